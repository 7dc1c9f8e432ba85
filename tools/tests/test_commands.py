# SPDX-License-Identifier: Apache-2.0
"""The commands in the documentation: those that can run do, on a local AWS, and the rest are listed with the reason.

The shell blocks of a page run one after the other in one shell, in a folder that looks like the repository's root, with
version 1 of the AWS CLI, which PyPI has, in the place of version 2.
"""

import os
import re
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import jmespath
import pytest

from tools import ROOT
from tools.local_aws.pipeline import REGIONS, Pipeline
from tools.tests.conftest import local_aws, run

BLOCK = re.compile(r"^( *)```(?:sh|bash|shell|console)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
QUERY = re.compile(r"--query\s+(?:'([^']*)'|\"([^\"]*)\"|(\S+))")
# A command of this project, and its arguments.
OWN_COMMAND = re.compile(r"(?<![\w/])(scripts/[\w-]+|sealstream [a-z][a-z-]*|conversations [a-z][a-z-]*)([^|;&)#\n]*)")
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")), "events/README.md"]
SAMPLES = ROOT / "events" / "sample-records.ndjson"
PAGE_SECONDS = 300

# Why a block does not run here, by its page and a line of it.
DEPLOYED = "test_deploy.py runs it without building for Lambda"
NOT_RUN = {
    "README.md": {
        "./scripts/demo ": "this test runs within it",
        "scripts/deploy --regions": DEPLOYED,
        "curl -H": "test_cache_extension.py asks the extension, which the local AWS does not start",
    },
    "docs/conversations.md": {
        "conversations seed --direct ": "it has ids that are cut short; test_conversations.py runs these commands",
        "sam build": "it builds for Lambda",
    },
    "docs/deployment.md": {
        "scripts/deploy": DEPLOYED,
        "scripts/destroy": DEPLOYED,
        "sam build": "it builds for Lambda",
        "scripts/template --out": "test_plain_template.py deploys the file",
    },
    "docs/operations.md": {"scripts/deploy ": DEPLOYED},
    "docs/governance.md": {
        "aws cloudformation deploy": "it leaves the names of a deployment open",
        "aws kms generate-data-key --dry-run": "AWS answers a dry run with an error",
        "aws organizations": "it needs an organisation",
    },
    "docs/permissions.md": {"aws kms generate-data-key --dry-run": "AWS answers a dry run with an error"},
    "docs/testing.md": {"--example check_vectors": "it needs AWS's vectors; a test of the crate runs it on others"},
    "events/README.md": {"cargo lambda": "it serves until it is stopped", "sam local": "it needs Docker"},
}
# What a page leaves to its reader, by the output of the stack.
PLACEHOLDERS = {"BUCKET": "QuarantineBucket"}
PUSH = "--regions us-east-1,eu-west-1 --kms-key alias/sealstream --stream records"
PRELUDES = {
    # Messages that no Region takes.
    "README.md": f"""
generate-records | AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:9 sealstream push {PUSH} --spool undelivered.ndjson \\
    --delivery-timeout-seconds 1 2>/dev/null || [ -s undelivered.ndjson ]
""",
    "docs/operations.md": f"""
generate-records | AWS_ENDPOINT_URL_KINESIS=http://127.0.0.1:9 sealstream push {PUSH} --spool undelivered.ndjson \\
    --delivery-timeout-seconds 1 2>/dev/null || [ -s undelivered.ndjson ]
""",
}


def blocks(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [textwrap.dedent(block) for _, block in BLOCK.findall(text)]


def is_run(page: str, block: str) -> bool:
    return not any(line in block for line in NOT_RUN.get(page, {}))


PAGES_WITH_BLOCKS = [page for page in PAGES if blocks(page)]


@pytest.mark.parametrize("page", PAGES_WITH_BLOCKS)
def test_every_block_is_valid_bash(page: str) -> None:
    for block in blocks(page):
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, f"{block}\n{checked.stderr}"


@pytest.mark.parametrize("page", PAGES_WITH_BLOCKS)
def test_every_query_compiles(page: str) -> None:
    for block in blocks(page):
        for found in QUERY.findall(block):
            # A parameter of a shell function stands for a name.
            jmespath.compile(re.sub(r"\$\d", "Name", "".join(found)))


def test_every_flag_is_in_the_help_of_its_command(binaries: dict[str, Path]) -> None:
    """Of the commands that do not run here too."""
    used: dict[str, set[str]] = {}
    for page in PAGES_WITH_BLOCKS:
        for block in blocks(page):
            for command, arguments in OWN_COMMAND.findall(block.replace("\\\n", " ")):
                used.setdefault(command, set()).update(re.findall(r"(?<!\S)--[a-z-]+", arguments))
    assert {"sealstream push", "scripts/deploy"} <= used.keys()
    for command, flags in used.items():
        program, *rest = command.split()
        path = binaries.get(program, ROOT / program)
        text = run([str(path), *rest, "--help"], {"PATH": os.environ["PATH"]}).stdout
        assert {flag for flag in flags if flag not in text} == set(), command


def test_what_does_not_run_is_still_there() -> None:
    listed = {(page, line) for page, lines in NOT_RUN.items() for line in lines}
    assert {(page, line) for page, line in listed if not any(line in block for block in blocks(page))} == set()


@pytest.fixture(scope="module")
def pipeline(binaries: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    """A pipeline that the commands may change."""
    with local_aws(request) as stack:
        yield Pipeline(stack, binaries)


@pytest.fixture
def folder(pipeline: Pipeline, binaries: dict[str, Path], tmp_path: Path) -> Path:
    """A folder that looks like the repository's root, with a `bin` of the programs that a reader has installed."""
    folder = tmp_path / "sealstream"
    folder.mkdir()
    for name in ("scripts", "events", "infra", "tools", "docs", ".venv", "Cargo.toml"):
        (folder / name).symlink_to(ROOT / name)
    programs = folder / "bin"
    programs.mkdir()
    for name, script in PROGRAMS.items():
        script = script.replace("SEALSTREAM", str(binaries["sealstream"]))
        (programs / name).write_text(f"#!/usr/bin/env bash\nset -euo pipefail\n{script}", encoding="utf-8")
        (programs / name).chmod(0o755)
    (folder / "records.ndjson").symlink_to(SAMPLES)
    return folder


# Programs that a reader has, or that stand for the reader's own.
PROGRAMS = {
    # Version 1 reads files as they are, which version 2 has to be told.
    "aws": f"""\
arguments=()
while [ $# -gt 0 ]; do
    case "$1" in
    --cli-binary-format) shift ;;
    *) arguments+=("$1") ;;
    esac
    shift
done
exec {ROOT}/.venv/aws/bin/aws "${{arguments[@]}}"
""",
    "generate-records": f"head -n 20 {SAMPLES}\n",
    # A tail that follows is ended by Ctrl-C.
    "sealstream": """\
case " $* " in
*" --no-follow "* | *" --count "* | " push "* | " resume "*) exec SEALSTREAM "$@" ;;
*) timeout --preserve-status --signal INT 3 SEALSTREAM "$@" || [ $? = 130 ] ;;
esac
""",
    "jq": "cat >/dev/null\n",
    "sleep": "",
}


@pytest.mark.parametrize(
    "page", [page for page in PAGES_WITH_BLOCKS if any(is_run(page, block) for block in blocks(page))]
)
def test_the_commands_of_a_page_run(page: str, pipeline: Pipeline, folder: Path) -> None:
    assert subprocess.run([ROOT / "tools" / "python-env", "aws"], check=False).returncode == 0
    outputs = pipeline.outputs[REGIONS[0]]
    script = ["set -euo pipefail", PRELUDES.get(page, "")]
    for block in blocks(page):
        if is_run(page, block):
            for placeholder, output in PLACEHOLDERS.items():
                block = re.sub(rf"(?<![\w=$\"])\b{placeholder}\b(?=\s)", outputs[output], block)
            script.append(f"cat >&2 <<'BLOCK'\n== {block}BLOCK\n{block}")
    environment = pipeline.stack.environment() | {
        "AWS_REGION": REGIONS[0],
        "AWS_DEFAULT_REGION": REGIONS[0],
        "HOME": str(folder),
    }
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    result = subprocess.run(
        ["bash"],
        input="\n".join(script),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PAGE_SECONDS,
    )
    assert result.returncode == 0, f"{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
