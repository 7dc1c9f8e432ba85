# SPDX-License-Identifier: Apache-2.0
"""What scripts/check-dependencies refuses, licences and too many packages; and which crates are published."""

import re

import pytest

from tools import ROOT
from tools.cargo import metadata
from tools.dependencies import Licence, ceiling_problem
from tools.packaging import is_publishable

ALLOWED = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"}


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("GPL-3.0", False),
        ("MIT OR GPL-3.0", True),
        ("MIT AND GPL-3.0", False),
        ("MIT/GPL-3.0", True),
        ("GPL-3.0 OR MIT AND GPL-3.0", False),
        ("(GPL-3.0 OR MIT) AND Apache-2.0", True),
        ("MIT AND (Apache-2.0 OR GPL-3.0) AND GPL-2.0", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("MIT WITH LLVM-exception", False),
    ],
)
def test_an_expression_is_allowed_by_its_parts(expression: str, allowed: bool) -> None:
    assert Licence(expression, ALLOWED).is_allowed() == allowed


@pytest.mark.parametrize("expression", ["", "MIT OR", "(MIT", "MIT)", "OR MIT", "MIT GPL-3.0"])
def test_what_is_no_expression_is_not_allowed_silently(expression: str) -> None:
    with pytest.raises(ValueError):
        Licence(expression, ALLOWED).is_allowed()


def test_a_ceiling_is_near_the_number_of_packages() -> None:
    assert ceiling_problem("sealstream", 10, 10) is None
    assert ceiling_problem("sealstream", 10, 20) is None
    assert "11 packages, 1 above its ceiling" in ceiling_problem("sealstream", 11, 10)
    assert "lower its ceiling" in ceiling_problem("sealstream", 10, 21)


def test_every_published_program_has_a_ceiling() -> None:
    workspace = metadata("--no-deps")
    programs = {
        package["name"]
        for package in workspace["packages"]
        if is_publishable(package) and any("bin" in target["kind"] for target in package["targets"])
    }
    assert programs <= workspace["metadata"]["package-ceilings"].keys()


def test_a_release_leaves_out_the_crates_that_are_not_published() -> None:
    unpublished = {package["name"] for package in metadata("--no-deps")["packages"] if not is_publishable(package)}
    page = (ROOT / "RELEASING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"--exclude ([\w-]+)", page)) == unpublished
