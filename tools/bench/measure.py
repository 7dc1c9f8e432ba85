# SPDX-License-Identifier: Apache-2.0
"""A program that runs beside `fake-aws`, and what it used.

The operating system counts the memory of this process, as it is when it starts a program, as the program's. So nothing
large is imported or held here.
"""

import argparse
import contextlib
import json
import os
import platform
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self

from tools import ROOT

REGIONS = ["us-east-1", "eu-west-1"]
# fake-aws has every key and every alias.
KMS_ARNS = [f"arn:aws:kms:{region}:000000000000:" for region in REGIONS]
STREAM = "records"
ANSWER_SECONDS = 300


def arguments(description: str) -> tuple[Path, float]:
    """Where the binaries are, and the share of the work to do."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--binaries", required=True, type=Path, help="directory of the release binaries")
    parser.add_argument("--scale", type=float, default=1, help="share of the work to do, at least 0.1; for a try")
    parsed = parser.parse_args()
    return parsed.binaries.resolve(), parsed.scale


def python() -> str:
    """What the programs in Python run on."""
    packages = [f"{package} {version(package)}" for package in ("aws-encryption-sdk", "boto3")]
    return ", ".join([f"Python {platform.python_version()}", *packages])


@dataclass(frozen=True)
class Usage:
    """What a program used from its start to its end."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


class FakeAws:
    """A `fake-aws` of its own for one measurement. Leaving the context stops it."""

    def __init__(self, program: Path, *arguments: str) -> None:
        self._process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, bufsize=0)
        self.url = self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.communicate()

    def environment(self) -> dict[str, str]:
        """The environment for a program that is to use it, free of the caller's own AWS settings."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return inherited | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def invocations(self) -> dict:
        """Waits until a function has answered all events, and returns figures of that."""
        return json.loads(self._line())

    def report(self) -> dict:
        """Ends it, and returns the calls and records that it got."""
        self._process.terminate()
        return json.loads(self._line())

    def _line(self) -> str:
        # Nobody prints a line when the program that is measured has died.
        ready, _, _ = select.select([self._process.stdout], [], [], ANSWER_SECONDS)
        if not ready:
            sys.exit(f"fake-aws has said nothing for {ANSWER_SECONDS} seconds; has what it serves ended?")
        return self._process.stdout.readline().decode().strip()


@contextlib.contextmanager
def running(command: list, environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    """A program with its standard input open. Leaving the context ends it, unless it was reaped."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def reap(process: subprocess.Popen, started: float) -> Usage:
    """Waits until a program ends."""
    _, status, used = os.wait4(process.pid, 0)
    # As Popen's own wait() would; it does not know that the process is gone.
    process.returncode = os.waitstatus_to_exitcode(status)
    return Usage(
        seconds=time.monotonic() - started,
        cpu_seconds=used.ru_utime + used.ru_stime,
        peak_bytes=used.ru_maxrss * 1024,
    )
