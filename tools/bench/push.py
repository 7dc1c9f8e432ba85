# SPDX-License-Identifier: Apache-2.0
"""Measures `sealstream push` and, beside it, producer.py, pushing the same records to the same streams.

Prints the figures as JSON. They are of the difference between a short and a long run, so that neither program's
start-up is in them, except for the peak of memory, which is the long run's.
"""

import json
import sys
import time
from pathlib import Path

from tools.bench import measure
from tools.bench.measure import KMS_ARNS, REGIONS, STREAM, FakeAws, Usage
from tools.bench.records import RECORD_BYTES, lines

SUITES = ["unsigned", "signed"]
KEY_ALIAS = "alias/sealstream"
AGGREGATE_BYTES = "24000"
# Enough for some seconds each.
OUR_RECORDS, PEER_RECORDS = 200_000, 20_000
BACKLOG_RECORDS = 1_000_000
# Most of a throttled run is waiting. With a larger share sealstream gives some of the records up.
THROTTLED_RECORDS, THROTTLED_SHARE = 100_000, 0.3
BLOCK_RECORDS = 100


def main() -> None:
    binaries, scale = measure.arguments(__doc__)
    bench = Bench(binaries, scale)
    suites = {suite: bench.programs(suite) for suite in SUITES}
    memory = [bench.memory(BACKLOG_RECORDS, 0), bench.memory(THROTTLED_RECORDS, THROTTLED_SHARE)]
    print(json.dumps({"python": measure.python(), "suites": suites, "memory": memory}))


class Bench:
    def __init__(self, binaries: Path, scale: float) -> None:
        self._sealstream = str(binaries / "sealstream")
        self._fake_aws = binaries / "fake-aws"
        self._scale = scale
        self._block = b"".join(line + b"\n" for line in lines(BLOCK_RECORDS))

    def programs(self, suite: str) -> dict[str, dict]:
        single = sealstream_push(self._sealstream, suite)
        return {
            "sealstream push": self._steady(single, OUR_RECORDS),
            "sealstream push, aggregated": self._steady([*single, "--aggregate-bytes", AGGREGATE_BYTES], OUR_RECORDS),
            "Python": self._steady(python(suite), PEER_RECORDS),
        }

    def memory(self, records: int, throttled: float) -> dict:
        records = int(records * self._scale)
        usage = self._run(sealstream_push(self._sealstream, "unsigned"), records, "--throttle", str(throttled))
        return {"records": records, "throttled": throttled, "peak_bytes": usage.peak_bytes}

    def _steady(self, command: list[str], records: int) -> dict:
        records = int(records * self._scale)
        short, long = self._run(command, records // 10), self._run(command, records)
        difference = records - records // 10
        return {
            "records_per_second": difference / (long.seconds - short.seconds),
            "cpu_seconds_per_million": (long.cpu_seconds - short.cpu_seconds) / difference * 1e6,
            "peak_bytes": long.peak_bytes,
        }

    def _run(self, command: list[str], records: int, *sink: str) -> Usage:
        """Pushes so many records, the block's over and over, and makes sure that they have arrived."""
        regions = [argument for region in REGIONS for argument in ("--region", region)]
        with FakeAws(self._fake_aws, "--stream", STREAM, *regions, *sink) as aws:
            started = time.monotonic()
            with measure.running(command, aws.environment()) as program:
                for _ in range(records // BLOCK_RECORDS):
                    program.stdin.write(self._block)
                program.stdin.close()
                usage = measure.reap(program, started)
            arrived = min(stream["bytes"] for stream in aws.report()["streams"])
        if program.returncode != 0 or arrived < records * RECORD_BYTES:
            sys.exit(f"{command[0]} did not push {records} records to every Region")
        return usage


def sealstream_push(program: str, suite: str) -> list[str]:
    return [
        *(program, "push"),
        *("--regions", ",".join(REGIONS)),
        *("--kms-key", KEY_ALIAS),
        *("--stream", STREAM),
        *("--suite", suite),
        *("--output", "json"),
    ]


def python(suite: str) -> list[str]:
    return [
        *(sys.executable, "-m", "tools.bench.producer"),
        *("--key-arns", ",".join(arn + KEY_ALIAS for arn in KMS_ARNS)),
        *("--stream", STREAM),
        *("--suite", suite),
    ]


if __name__ == "__main__":
    main()
