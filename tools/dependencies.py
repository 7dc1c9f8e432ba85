# SPDX-License-Identifier: Apache-2.0
"""Checks the licences, bans and sources of all dependencies against deny.toml."""

import json
import re
import subprocess
import sys
import tomllib

from tools import ROOT

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


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


def main() -> None:
    rules = tomllib.loads((ROOT / "deny.toml").read_text(encoding="utf-8"))
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    found = [
        f"{package['name']} {package['version']}: {problem}"
        for package in metadata["packages"]
        for problem in problems(package, rules)
    ]
    print("\n".join(found) or f"{len(metadata['packages'])} packages keep the rules of deny.toml")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
