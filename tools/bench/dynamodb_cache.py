# SPDX-License-Identifier: Apache-2.0
"""Measures reads through dynamodb-cache, with a local store and without, and beside it plain_cache.py.

Prints the figures as JSON. They are of the difference between a short and a long run, so that neither program's
start-up is in them.
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

from tools.bench import measure
from tools.bench.measure import FakeAws, Usage

TABLE = "bench-cache"
# What the program does, and enough reads for some seconds.
WAYS = {
    "one by one": ("table", 40_000),
    "64 at once": ("table-64-at-once", 100_000),
    "100 keys at a time": ("table-100-keys", 400_000),
    "one by one, local store": ("local", 10_000_000),
    "one by one, local store, `get_or_load`": ("local-load", 4_000_000),
}
PEER_READS = 10_000


def main() -> None:
    binaries, scale = measure.arguments(__doc__)
    fake_aws, program = binaries / "fake-aws", str(binaries / "examples" / "cache_reads")
    in_python = [sys.executable, "-m", "tools.bench.plain_cache", TABLE]
    ways = {name: figures(fake_aws, [program, TABLE, way], int(reads * scale)) for name, (way, reads) in WAYS.items()}
    peer = figures(fake_aws, in_python, int(PEER_READS * scale))
    packages = f"Python {sys.version.split()[0]}, boto3 {version('boto3')}"
    print(json.dumps({"python": packages, "ways": ways, "peer": peer}))


def figures(fake_aws: Path, command: list[str], reads: int) -> dict:
    (short, short_calls), (long, long_calls) = (run(fake_aws, command, times) for times in (reads // 10, reads))
    difference = reads - reads // 10
    return {
        "reads_per_second": difference / (long.seconds - short.seconds),
        "cpu_seconds_per_million": (long.cpu_seconds - short.cpu_seconds) / difference * 1e6,
        "calls_per_ten_thousand": (long_calls - short_calls) / difference * 1e4,
    }


def run(fake_aws: Path, command: list[str], reads: int) -> tuple[Usage, int]:
    """What so many reads used, and how many calls to DynamoDB they made."""
    # A call has at most 100 keys.
    reads -= reads % 100
    with FakeAws(fake_aws, "--table", f"{TABLE}:id") as aws:
        started = time.monotonic()
        with measure.running([*command, str(reads)], aws.environment()) as program:
            usage = measure.reap(program, started)
        calls = {call["operation"]: call["calls"] for call in aws.report()["calls"]}
    if program.returncode != 0:
        sys.exit(f"{command[0]} did not read {reads} values")
    return usage, calls.get("GetItem", 0) + calls.get("BatchGetItem", 0)


if __name__ == "__main__":
    main()
