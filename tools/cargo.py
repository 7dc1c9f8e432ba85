# SPDX-License-Identifier: Apache-2.0
"""What cargo says about this workspace."""

import json
import subprocess

from tools import ROOT


def metadata(*options: str) -> dict:
    """The answer of `cargo metadata`."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", *options]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


def packages_of(program: str) -> set[str]:
    """The packages that a program is built from, itself included, with their versions."""
    command = [
        "cargo",
        "tree",
        "--package",
        program,
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--no-dedupe",
        "--locked",
    ]
    tree = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return {" ".join(line.split()[:2]) for line in tree.splitlines()}
