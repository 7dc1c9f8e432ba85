# SPDX-License-Identifier: Apache-2.0
"""What a deployment will do to a stack, found out before anything is built or changed."""

import re

from tools.deploy.command import SetupError, template
from tools.deploy.stacks import RegionStack

# A stack with this status could not be created. Nothing but deleting it is possible.
NOT_CREATED = "ROLLBACK_COMPLETE"
# No resources yet: a change set was made and never executed.
EMPTY = "REVIEW_IN_PROGRESS"
# Every version of the template has these.
OWN_PARAMETERS = {"StreamName", "KeyAlias", "PusherRegions"}
# What to do about a stack that CloudFormation does not update.
BROKEN = {
    "UPDATE_ROLLBACK_FAILED": (
        "finish the failed update first: "
        "aws cloudformation continue-update-rollback --region {region} --stack-name {name}"
    ),
    "CREATE_FAILED": "delete it first: scripts/destroy --regions {region} --stack-name {name}",
    "DELETE_FAILED": "delete it first: scripts/destroy --regions {region} --stack-name {name}",
    "ROLLBACK_FAILED": "delete it first: scripts/destroy --regions {region} --stack-name {name}",
}
BUSY = "CloudFormation is still working on it; wait until that is over"


def check_stack(stack: RegionStack) -> None:
    """Refuses a stack of somebody else's, and one that CloudFormation cannot update now."""
    require_own(stack)
    status = stack.status()
    if status in (None, EMPTY):
        return
    advice = BUSY if status.endswith("_IN_PROGRESS") else BROKEN.get(status)
    if advice:
        advice = advice.format(region=stack.region, name=stack.name)
        raise SetupError(f"the stack {stack.name} in {stack.region} is in the state {status}: {advice}")


def require_own(stack: RegionStack) -> None:
    """Refuses a stack that was not made from infra/template.yaml, in any version."""
    if stack.status() in (None, EMPTY) or OWN_PARAMETERS <= stack.parameters().keys():
        return
    raise SetupError(f"the stack {stack.name} in {stack.region} is not sealstream's; choose another --stack-name")


def check_value(name: str, value: str, region: str) -> None:
    """Refuses a value that CloudFormation would refuse after everything is built."""
    parameter = template()["Parameters"][name]
    reason = refusal(parameter, value)
    if name == "AlarmTopicArn" and value and f":sns:{region}:" not in value:
        reason = reason or f"alarms of {region} need a topic in {region}; give it as {region}:{name}=…"
    if reason:
        raise SetupError(f"{name}={value}: {reason}")


def refusal(parameter: dict, value: str) -> str | None:
    allowed = [f"{choice}" for choice in parameter.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return f"the value is not one of {', '.join(allowed)}"
    if parameter["Type"] == "Number":
        low, high = parameter.get("MinValue", 0), parameter.get("MaxValue")
        if not re.fullmatch(r"-?\d+", value) or int(value) < low or (high is not None and int(value) > high):
            return f"the value is not a number from {low} to {high}" if high is not None else f"the least is {low}"
    if len(value) < parameter.get("MinLength", 0):
        return "the value is empty"
    if len(value) > parameter.get("MaxLength", len(value)):
        return f"the value has {len(value)} characters, and at most {parameter['MaxLength']} are allowed"
    if not re.fullmatch(parameter.get("AllowedPattern", ".*"), value):
        return f"the value is not {parameter.get('ConstraintDescription', 'like ' + parameter['AllowedPattern'])}"
    return None


def plan(stack: RegionStack, parameters: dict[str, str]) -> list[str]:
    """A line with the parameters that change, and one for each thing that is replaced or deleted."""
    if stack.status() in (None, NOT_CREATED, EMPTY):
        return [", ".join(["create", *(f"{name}={value}" for name, value in parameters.items() if value)])]
    now = stack.parameters()
    changes = {name: value for name, value in parameters.items() if now.get(name) != value}
    first = ", ".join(["update", *(f"{name}={value} (now {now.get(name)})" for name, value in changes.items())])
    return [first, *consequences(now, now | parameters)]


def consequences(now: dict[str, str], then: dict[str, str]) -> list[str]:
    """What is replaced or deleted if these parameters become those."""

    def changed(name: str) -> bool:
        return now.get(name, "") != then.get(name, "")

    found = []
    if changed("StreamName"):
        found.append(
            f"REPLACES the stream {now['StreamName']}. The old one is kept with the records that are still in it, and "
            "record-consumer no longer reads it"
        )
    if changed("KeyAlias"):
        found.append(f"DELETES alias/{now['KeyAlias']}. Producers that name it fail")
    if changed("ExistingTable") and then["ExistingTable"]:
        found.append(f"writes to the table {then['ExistingTable']}. The one that it wrote to until now is kept")
    elif changed("TableName") or changed("ExistingTable"):
        found.append(f"CREATES the table {then['TableName']}. The one that it wrote to until now is kept")
    regions_now, regions_then = (set(filter(None, of.get("PusherRegions", "").split(","))) for of in (now, then))
    if regions_now and not regions_then:
        found.append("DELETES the function record-pusher")
    elif lost := sorted(regions_now - regions_then):
        found.append(f"record-pusher no longer sends to {', '.join(lost)}")
    return found
