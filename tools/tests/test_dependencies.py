# SPDX-License-Identifier: Apache-2.0
"""Licence expressions, as scripts/check-dependencies reads them."""

import pytest

from tools.dependencies import Licence

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
