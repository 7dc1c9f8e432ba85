# SPDX-License-Identifier: Apache-2.0
"""Builds the functions and creates or updates the pipeline's stack, infra/template.yaml, in every Region.

The first Region, or those in --pushers, get the function record-pusher, which sends to all of them. They are deployed
last, so that nothing is sent to a Region before it is there, and consumers are updated before pushers. When one Region
fails, the rest are left alone. Deploying again what is deployed changes nothing.
"""

import argparse
import json
import tempfile
from pathlib import Path

from tools.deploy.building import TARGETS, build, package
from tools.deploy.command import (
    SAM,
    SETTINGS,
    SetupError,
    StackFailure,
    ask,
    exit_with,
    parser,
    region_list,
    run,
    say,
    settings,
    template,
)
from tools.deploy.plan import NOT_CREATED, check_stack, check_value, plan
from tools.deploy.stacks import RegionStack

PROGRAM = "scripts/deploy"
EPILOG = """\
examples:
  scripts/deploy --regions us-east-1,eu-west-1
  scripts/deploy --regions us-east-1,eu-west-1 --parameter BatchSize=200 --parameter eu-west-1:MemoryMiB=1024
  scripts/deploy --regions us-east-1,eu-west-1 --yes --json > outputs.json

Always name all Regions of the pipeline: PusherRegions is made of them, unless it is given as a parameter. Any other
parameter that is neither given nor in infra/samconfig.toml keeps its value. Credentials are found as the AWS CLI finds
them. docs/deployment.md says more.

exit codes: 0 if every Region is up to date, 1 if something failed, 2 if nothing was changed
"""
EVERYWHERE = ""


def main() -> None:
    arguments = parse_arguments()
    given = given_parameters(arguments)
    stacks = [RegionStack(region, arguments.stack_name) for region in arguments.regions]
    account = {stack.account() for stack in stacks}.pop()
    for stack in stacks:
        check_stack(stack)
    architecture = given[EVERYWHERE].setdefault("Architecture", current_architecture(stacks[0]))
    say(f"Deploying the stack {arguments.stack_name} in account {account} on {architecture}:")
    # False goes before True: the pushers are last.
    in_order = sorted(stacks, key=lambda stack: stack.region in arguments.pushers)
    steps = [(stack, parameters_in(stack.region, arguments, given)) for stack in in_order]
    for stack, parameters in steps:
        for line in plan(stack, parameters):
            say(f"  {stack.region}: {line}")
    if not arguments.yes:
        ask('Go on? Type "yes":', "yes")
    directory = arguments.built or build(architecture)
    # Another deployment from the same clone, with other functions, may be under way.
    with tempfile.TemporaryDirectory() as scratch:
        packaged = Path(scratch) / "template.json"
        package(directory, architecture, packaged)
        for stack, parameters in steps:
            deploy(stack, packaged, key_arns(stack, stacks, parameters) | parameters)
    show({stack.region: stack.outputs() for stack in stacks}, as_json=arguments.json)


def parse_arguments() -> argparse.Namespace:
    arguments = parser(PROGRAM, __doc__, EPILOG)
    arguments.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="[REGION:]NAME=VALUE",
        help="a parameter of the template, in every Region or in that one; can be repeated",
    )
    arguments.add_argument("--arch", choices=TARGETS, help="of the functions, short for --parameter Architecture=…")
    arguments.add_argument(
        "--built",
        type=Path,
        metavar="DIRECTORY",
        help="build nothing: it has NAME/bootstrap for each function, as `cargo lambda build` makes it",
    )
    arguments.add_argument("--json", action="store_true", help="print the stacks' outputs as JSON, by Region")
    arguments.add_argument(
        "--pushers",
        type=region_list,
        metavar="REGION,…",
        help="Regions that get the function record-pusher (default: the first of --regions)",
    )
    parsed = arguments.parse_args()
    parsed.pushers = parsed.pushers or parsed.regions[:1]
    if absent := [region for region in parsed.pushers if region not in parsed.regions]:
        arguments.error(f"--pushers: {', '.join(absent)} is not among --regions")
    return parsed


def given_parameters(arguments: argparse.Namespace) -> dict[str, dict[str, str]]:
    """By Region, or EVERYWHERE: from samconfig.toml, and from the command line, which wins."""
    known = template()["Parameters"]
    given = {place: {} for place in [EVERYWHERE, *arguments.regions]}
    for entry in [*settings().get("parameter_overrides", []), *arguments.parameter]:
        left, separator, value = entry.partition("=")
        place, _, name = left.rpartition(":")
        if not separator or name not in known:
            raise SetupError(f"{entry!r} is not NAME=VALUE with one of the template's parameters: {', '.join(known)}")
        if place not in given:
            raise SetupError(f"{entry!r} is for {place}, which is not among the Regions {', '.join(arguments.regions)}")
        if place and name == "Architecture":
            raise SetupError(f"{entry!r}: the functions are built once, for one Architecture in all Regions")
        for region in [place] if place else arguments.regions:
            check_value(name, value, region)
        given[place][name] = value
    if arguments.arch:
        given[EVERYWHERE]["Architecture"] = arguments.arch
    return given


def parameters_in(region: str, arguments: argparse.Namespace, given: dict[str, dict[str, str]]) -> dict[str, str]:
    # A pusher's own Region goes first: there it generates data keys.
    others = [other for other in arguments.regions if other != region]
    pusher_regions = ",".join([region, *others]) if region in arguments.pushers else ""
    return {"PusherRegions": pusher_regions} | given[EVERYWHERE] | given[region]


def key_arns(stack: RegionStack, stacks: list[RegionStack], parameters: dict[str, str]) -> dict[str, str]:
    """The parameter PusherKeyArns: the keys of the other Regions, as far as they exist."""
    regions = parameters["PusherRegions"].split(",")
    others = [other for other in stacks if other is not stack and other.region in regions]
    arns = [other.outputs().get("KeyArns") for other in others if other.status() is not None]
    return {"PusherKeyArns": ",".join(arn for arn in arns if arn)}


def current_architecture(stack: RegionStack) -> str:
    return stack.parameters().get("Architecture") or template()["Parameters"]["Architecture"]["Default"]


def deploy(stack: RegionStack, packaged: Path, parameters: dict[str, str]) -> None:
    if stack.status() == NOT_CREATED:
        say(f"{stack.region}: deleting the stack that could not be created last time")
        stack.delete()
    before = stack.last_event()
    command = [
        *(SAM, "deploy"),
        *("--config-file", SETTINGS),
        *("--template-file", packaged),
        *("--region", stack.region),
        *("--stack-name", stack.name),
        *("--parameter-overrides", *(f'{name}="{value}"' for name, value in parameters.items())),
        *("--no-confirm-changeset", "--no-progressbar"),
    ]
    if run(command) != 0:
        reason = stack.reason(since=before) or "the messages of sam above say why"
        raise StackFailure(f"{stack.region} failed, and the Regions after it were left alone: {reason}")


def show(outputs: dict[str, dict[str, str]], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(outputs, indent=2))
        return
    for region, values in outputs.items():
        print(region)
        for name, value in values.items():
            print(f"  {name:<18}{value}")


if __name__ == "__main__":
    exit_with(PROGRAM, main)
