# SPDX-License-Identifier: Apache-2.0
"""What the scripts around deployments share: arguments, files, questions, failures."""

import argparse
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from samtranslator.yaml_helper import yaml_parse

from tools import ROOT

TEMPLATE = ROOT / "infra" / "template.yaml"
SETTINGS = ROOT / "infra" / "samconfig.toml"
SAM = ROOT / ".venv" / "tools" / "bin" / "sam"


class SetupError(Exception):
    """Something is missing or wrong, and nothing was changed."""


class StackFailure(Exception):
    """CloudFormation did not get a stack to where it should be."""


def simple_parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """A script's help, without arguments yet."""
    return argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def parser(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """The arguments of the scripts that change stacks."""
    arguments = simple_parser(program, description, epilog)
    arguments.add_argument(
        "--regions", required=True, type=region_list, metavar="REGION,…", help="AWS Regions, separated by commas"
    )
    arguments.add_argument(
        "--stack-name",
        default=settings()["stack_name"],
        metavar="NAME",
        help=f"the same in every Region (default: {SETTINGS.name}'s, %(default)s)",
    )
    arguments.add_argument("--yes", action="store_true", help="do not ask")
    return arguments


def region_list(text: str) -> list[str]:
    regions = [region.strip() for region in text.split(",")]
    if "" in regions or len(set(regions)) < len(regions):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different Regions such as us-east-1,eu-west-1")
    return regions


def settings() -> dict:
    """What infra/samconfig.toml says for `sam deploy`."""
    return tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["default"]["deploy"]["parameters"]


def template() -> dict:
    """infra/template.yaml, with the short forms of its functions in their long form."""
    return yaml_parse(TEMPLATE.read_text(encoding="utf-8"))


def run(command: list[str | Path], **environment: str) -> int:
    """Runs a program in the root of the repository, its output on standard error. Returns its exit code."""
    environment = os.environ | {"SAM_CLI_TELEMETRY": "0"} | environment
    return subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False).returncode


def ask(question: str, answer: str) -> None:
    """Goes on only if the question gets that answer."""
    if not sys.stdin.isatty():
        raise SetupError("standard input is not a terminal, so nobody can be asked; --yes goes on without asking")
    say(question)
    if input() != answer:
        raise SetupError("stopped")


def say(text: str = "") -> None:
    """To standard error: standard output is for the result."""
    print(text, file=sys.stderr, flush=True)


def exit_with(program: str, main: Callable[[], None]) -> None:
    """Runs a script's main function. The exit code is 2 if nothing was changed, and 1 if something failed."""
    try:
        main()
    except SetupError as error:
        fail(program, f"{error}", 2)
    except (StackFailure, BotoCoreError, ClientError) as error:
        fail(program, f"{error}", 1)
    except KeyboardInterrupt:
        fail(program, "interrupted; CloudFormation goes on with what it has begun", 1)


def fail(program: str, reason: str, code: int) -> None:
    say(f"{program}: {reason}")
    sys.exit(code)
