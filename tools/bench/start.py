# SPDX-License-Identifier: Apache-2.0
"""Measures the functions' time from the start of the process to the first answer, and the size of their executables.

Prints the figures as JSON. The functions start in turn, and each start has a `fake-aws` of its own.
"""

import io
import json
import statistics
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tools.bench import consume, measure
from tools.bench.measure import REGIONS, STREAM, FakeAws

STARTS = 21
KMS_OPERATIONS = {"Decrypt", "Encrypt", "GenerateDataKey", "DescribeKey"}
PUSHER = {"REGIONS": ",".join(REGIONS), "KMS_KEY": "alias/records", "STREAM": STREAM}


def main() -> None:
    binaries, scale = measure.arguments(__doc__)
    fake_aws = binaries / "fake-aws"
    with tempfile.TemporaryDirectory() as directory:
        records, record = Path(directory, "records"), Path(directory, "record")
        consume.make_events(fake_aws, "signed", 1, records)
        record.write_text('{"id":"1"}\n', encoding="utf-8")
        table = ["--table", f"{consume.TABLE}:id"]
        streams = ["--stream", STREAM, *(option for region in REGIONS for option in ("--region", region))]
        functions = {
            "record-consumer": (["--events", str(records), *table], {}),
            "record-pusher": (["--events", str(record), *streams], PUSHER),
        }
        starts = {name: [] for name in functions}
        for _ in range(max(1, int(STARTS * scale))):
            for name, (arguments, variables) in functions.items():
                starts[name].append(start(fake_aws, binaries / name, arguments, variables))
    print(json.dumps({"functions": {name: figures(binaries / name, runs) for name, runs in starts.items()}}))


def start(fake_aws: Path, function: Path, arguments: list[str], variables: dict[str, str]) -> tuple[float, int]:
    """Seconds until the first answer, and the calls to KMS until then."""
    with FakeAws(fake_aws, *arguments) as aws:
        started = time.monotonic()
        with measure.running([function], aws.environment() | consume.settings(aws) | variables):
            invocations = aws.invocations()
            seconds = time.monotonic() - started
        calls = aws.report()["calls"]
    if invocations["errors"] or not invocations["invocations"]:
        sys.exit(f"{function} did not answer: {invocations}")
    return seconds, sum(call["calls"] for call in calls if call["operation"] in KMS_OPERATIONS)


def figures(executable: Path, runs: list[tuple[float, int]]) -> dict:
    seconds = sorted(seconds for seconds, _ in runs)
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(executable, "bootstrap")
    return {
        "binary_bytes": executable.stat().st_size,
        "zip_bytes": len(package.getvalue()),
        "first_answer_ms": statistics.median(seconds) * 1e3,
        "fastest_ms": seconds[0] * 1e3,
        "slowest_ms": seconds[-1] * 1e3,
        "kms_calls": max(calls for _, calls in runs),
    }


if __name__ == "__main__":
    main()
