# SPDX-License-Identifier: Apache-2.0
"""Checks the licences, bans and sources of all dependencies against deny.toml, and the number of packages that each
program is built from against the ceilings in the root Cargo.toml."""

import re
import sys
import tomllib

from tools import ROOT
from tools.cargo import metadata, packages_of

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
# A ceiling that is farther above the count lets much in before anybody notices.
SLACK = 10


class Licence:
    """An SPDX expression, as far as Cargo manifests use it; "/" is Cargo's old spelling of OR."""

    def __init__(self, expression: str, allowed: set[str]) -> None:
        self._tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
        self._allowed = allowed

    def is_allowed(self) -> bool:
        allowed = self._any_of()
        if self._tokens:
            raise ValueError(f"unexpected {self._tokens[0]}")
        return allowed

    def _any_of(self) -> bool:
        allowed = self._all_of()
        while self._take("OR"):
            allowed |= self._all_of()
        return allowed

    def _all_of(self) -> bool:
        allowed = self._one()
        while self._take("AND"):
            allowed &= self._one()
        return allowed

    def _one(self) -> bool:
        if self._take("("):
            allowed = self._any_of()
            if not self._take(")"):
                raise ValueError("a parenthesis is not closed")
            return allowed
        name = self._next()
        if self._take("WITH"):
            name = f"{name} WITH {self._next()}"
        return name in self._allowed

    def _take(self, token: str) -> bool:
        if self._tokens[:1] == [token]:
            self._tokens.pop(0)
            return True
        return False

    def _next(self) -> str:
        if not self._tokens or self._tokens[0] in ("AND", "OR", "WITH", ")"):
            raise ValueError("a licence is missing")
        return self._tokens.pop(0)


def licence_problem(package: dict, allowed: set[str]) -> str | None:
    expression = package["license"]
    try:
        if expression and Licence(expression, allowed).is_allowed():
            return None
    except ValueError as error:
        expression = f"{expression} ({error})"
    return f"its licence, {expression}, is not in deny.toml's licenses.allow; add it after review, or replace the crate"


def problems(package: dict, rules: dict):
    if problem := licence_problem(package, set(rules["licenses"]["allow"])):
        yield problem
    for ban in rules["bans"]["deny"]:
        if ban["crate"] == package["name"]:
            yield f"it is banned: {ban['reason']}; `cargo tree -i {package['name']}` says what brings it"
    if package["source"] not in (None, CRATES_IO):
        yield f"it comes from {package['source']}; only crates.io and this workspace are allowed"


def ceiling_problem(program: str, count: int, ceiling: int) -> str | None:
    if count > ceiling:
        return (
            f"{program} is built from {count} packages, {count - ceiling} above its ceiling in Cargo.toml; `cargo tree -p "
            f"{program} -e normal` shows them: leave some out, or raise the ceiling with the reason in the commit"
        )
    if ceiling > count + SLACK:
        return f"{program} is built from {count} packages: lower its ceiling in Cargo.toml, {ceiling}, to {count + SLACK // 2}"
    return None


def main() -> None:
    rules = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
    workspace = metadata()
    found = [
        f"{package['name']} {package['version']}: {problem}"
        for package in workspace["packages"]
        for problem in problems(package, rules)
    ]
    for program, ceiling in workspace["metadata"]["package-ceilings"].items():
        count = len(packages_of(program))
        print(f"{program}: {count} packages, at most {ceiling}")
        if problem := ceiling_problem(program, count, ceiling):
            found.append(problem)
    print("\n".join(found) or f"{len(workspace['packages'])} packages keep the rules of deny.toml")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
