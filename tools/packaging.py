# SPDX-License-Identifier: Apache-2.0
"""Packages every crate that can be published, after checking what crates.io asks of its manifest.

Without --verify the packages are made, but not built, and changes that are not committed go in.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools import ROOT
from tools.cargo import metadata

REQUIRED = ("description", "license", "readme", "repository")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/package", description=__doc__)
    parser.add_argument("--verify", action="store_true", help="build each package from what is in it; takes minutes")
    verify = parser.parse_args().verify
    packages = metadata("--no-deps")["packages"]
    if found := [problem for package in packages if is_publishable(package) for problem in problems(package)]:
        sys.exit("\n".join(found))
    unpublished = [f"--exclude={package['name']}" for package in packages if not is_publishable(package)]
    how = [] if verify else ["--no-verify", "--allow-dirty"]
    command = ["cargo", "package", "--quiet", "--workspace", "--locked", *unpublished, *how]
    sys.exit(subprocess.run(command, cwd=ROOT, check=False).returncode)


def is_publishable(package: dict) -> bool:
    # An empty list is `publish = false`.
    return package["publish"] != []


def problems(package: dict) -> Iterator[str]:
    """What crates.io would refuse, or its page would lack."""
    manifest = Path(package["manifest_path"])
    name = manifest.relative_to(ROOT)
    yield from (f"{name} has no {field}" for field in REQUIRED if not package[field])
    if package["readme"] and not (manifest.parent / package["readme"]).is_file():
        yield f"{name} names a readme that does not exist: {package['readme']}"


if __name__ == "__main__":
    main()
