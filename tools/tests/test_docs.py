# SPDX-License-Identifier: Apache-2.0
"""What the documents point to is there: files, headings, tests, and what the functions log."""

import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tools import ROOT

LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`]*`")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
# `cargo doc` checks these, in the READMEs that are crates' documentation.
RUST_PATH = re.compile(r"\w+(::\w+)*")
TRACING = re.compile(r"tracing::\w+!\((.*?)\);", re.DOTALL)
# "`test`, `test` (`file`)" in the threat model.
PROOF = re.compile(r"((?:`[a-z_]+`(?:, )?)+) \(`([\w/.-]+\.rs)`\)")


def documents() -> list[str]:
    """Every Markdown file that is in the repository or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(path for path in listed if (ROOT / path).exists())


@cache
def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


@cache
def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives a document's headings."""
    found: list[str] = []
    for heading in HEADING.findall(prose(path)):
        text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        repeated = sum(re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other) is not None for other in found)
        found.append(f"{slug}-{repeated}" if repeated else slug)
    return set(found)


@pytest.mark.parametrize("document", documents())
def test_every_link_leads_somewhere(document: str) -> None:
    path = ROOT / document
    targets = LINK.findall(CODE.sub("", prose(path)))
    assert [target for target in targets if not leads_somewhere(path, target)] == []


def leads_somewhere(document: Path, target: str) -> bool:
    if re.match(r"[a-z]+://|mailto:", target) or RUST_PATH.fullmatch(target):
        return True
    name, _, anchor = unquote(target).partition("#")
    path = document.parent / name if name else document
    return path.exists() and (not anchor or anchor in anchors(path))


def test_the_alarms_link_to_the_runbook() -> None:
    runbook = anchors(ROOT / "docs" / "operations.md")
    linked = [
        anchor
        for template in (ROOT / "infra").glob("*.yaml")
        for anchor in re.findall(r"docs/operations\.md#([\w-]+)", template.read_text(encoding="utf-8"))
    ]
    assert [anchor for anchor in linked if anchor not in runbook] == []


@cache
def sources() -> str:
    """The code of the functions and of what they are made of."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "crates").glob("*/src/**/*.rs")))


def runbook() -> str:
    return (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_the_runbook_asks_for_what_is_logged() -> None:
    asked = set(re.findall(r'fields\.message = "([^"]+)"', runbook()))
    assert asked
    assert [message for message in asked if f'"{message}"' not in sources()] == []
    fields = set(re.findall(r"\bfields\.([a-z_.]+[a-z])", runbook())) - {"message"}
    assert fields
    logged = "\n".join(TRACING.findall(sources()))
    assert [name for name in fields if not re.search(rf"\b{re.escape(name)}( =|,)", logged)] == []


def test_what_the_threat_model_names_as_proof_is_there() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
    proofs = PROOF.findall(text)
    assert proofs
    tests = [(name, file) for names, file in proofs for name in re.findall(r"`(\w+)`", names)]
    assert [test for test in tests if not has_test(*test)] == []
    files = re.findall(r"`((?:crates|examples|testing|tools|scripts|infra)/[\w/.-]+)`", text)
    assert [file for file in files if not (ROOT / file).exists()] == []


def has_test(name: str, file: str) -> bool:
    path = ROOT / file
    return path.exists() and re.search(rf"\bfn {name}\b", path.read_text(encoding="utf-8")) is not None


def test_the_justfile_lists_every_script() -> None:
    recipes = set(re.findall(r"^    scripts/([\w-]+)", (ROOT / "justfile").read_text(encoding="utf-8"), re.MULTILINE))
    assert recipes == {path.name for path in (ROOT / "scripts").iterdir()}
