# SPDX-License-Identifier: Apache-2.0
"""Builds the functions for AWS Lambda, and the template that has them as its code."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tools import ROOT
from tools.deploy.command import TEMPLATE, SetupError, run, say, template

ENVIRONMENT = ROOT / ".venv" / "build"
# Git ignores it.
FUNCTIONS = TEMPLATE.parent / ".aws-sam" / "functions"
TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}
# The C library of provided.al2023. https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html
GLIBC = "2.34"
# e_machine in the header of an ELF file: two bytes at offset 18.
MACHINES = {183: "arm64", 62: "x86_64"}


def build(architecture: str) -> Path:
    """Builds with cargo-lambda, and zig as its linker. Returns the directory that has NAME/bootstrap for each function.

    `sam build` does the same one function after the other. Fat LTO compiles a library for the programs that it ends in,
    so most of the dependencies would be compiled twice.
    """
    if shutil.which("cargo") is None:
        raise SetupError("cargo is not installed; https://rustup.rs says how to get it")
    require_target(TARGETS[architecture])
    if run([ROOT / "tools" / "python-env", "build"]) != 0:
        raise SetupError("the Python environment with cargo-lambda and zig could not be installed")
    say("Building the functions (the first time takes minutes)")
    command = [
        *("cargo", "lambda", "build", "--release", "--locked"),
        *("--target", f"{TARGETS[architecture]}.{GLIBC}"),
        *("--lambda-dir", FUNCTIONS),
        *(f"--bin={binary(function)}" for function in functions(template()).values()),
    ]
    if run(command, PATH=f"{ENVIRONMENT / 'bin'}{os.pathsep}{os.environ['PATH']}") != 0:
        raise SetupError("the functions could not be built; cargo's messages are above")
    return FUNCTIONS


def require_target(target: str) -> None:
    """Sees to it that Rust's standard library for the target is there."""
    command = ["rustc", "--print", "target-libdir", "--target", target]
    directory = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False).stdout.strip()
    if Path(directory).is_dir():
        return
    if shutil.which("rustup") is None:
        raise SetupError(
            f"Rust's standard library for {target} is not installed; get it from where Rust came from, or install Rust "
            f"with https://rustup.rs and run: rustup target add {target}"
        )
    say(f"rustup target add {target}")
    if run(["rustup", "target", "add", target]) != 0:
        raise SetupError(f"Rust's standard library could not be installed with: rustup target add {target}")


def package(directory: Path, architecture: str, packaged: Path) -> None:
    """Writes the template for `sam deploy`, with the functions of that directory as code, to the file `packaged`."""
    content = template()
    del content["Globals"]["Function"]["CodeUri"]
    for name, function in functions(content).items():
        code = directory.resolve() / binary(function)
        require_architecture(name, code / "bootstrap", architecture)
        function["Properties"]["CodeUri"] = str(code)
    for resource in content["Resources"].values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            nested = resource["Properties"]
            nested["TemplateURL"] = str(TEMPLATE.parent / nested["TemplateURL"])
    packaged.write_text(json.dumps(content), encoding="utf-8")


def require_architecture(name: str, bootstrap: Path, architecture: str) -> None:
    """Lambda would only find out when it starts the function."""
    try:
        with bootstrap.open("rb") as file:
            machine = int.from_bytes(file.read(20)[18:], "little")
    except FileNotFoundError as error:
        raise SetupError(f"{name} has no executable: {error}") from error
    found = MACHINES.get(machine, "something else")
    if found != architecture:
        raise SetupError(f"{name} is to run on {architecture}, but {bootstrap} is for {found}")


def functions(content: dict) -> dict[str, dict]:
    """The functions of a template, by logical id."""
    resources = content["Resources"]
    return {name: entry for name, entry in resources.items() if entry["Type"] == "AWS::Serverless::Function"}


def binary(function: dict) -> str:
    return function["Metadata"]["BuildProperties"]["Binary"]
