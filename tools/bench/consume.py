# SPDX-License-Identifier: Apache-2.0
"""Measures the function `record-consumer` and, beside it, consumer.py, on the same events and the same table.

Prints the figures as JSON. CPU time is that of a long run without what a run of one event takes, and so without
start-up. Latencies and peak memory are the long run's, and the time to the first answer is the other's.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tools import ROOT
from tools.bench import measure
from tools.bench.measure import KMS_ARNS, STREAM, FakeAws, Usage
from tools.bench.records import BATCH_RECORDS

SUITES = ["unsigned", "signed"]
TABLE = "records"
KEY_ARNS = [f"{arn}key/records" for arn in KMS_ARNS]
# More than the caches hold, so that each batch needs a data key that is not there, as in production.
BATCHES = 120
OUR_REPETITIONS, PEER_REPETITIONS = 10, 2


def main() -> None:
    binaries, scale = measure.arguments(__doc__)
    fake_aws, function = binaries / "fake-aws", [binaries / "record-consumer"]
    in_python = [sys.executable, "-m", "tools.bench.consumer"]
    suites = {}
    with tempfile.TemporaryDirectory() as directory:
        for suite in SUITES:
            events = Path(directory, suite)
            make_events(fake_aws, suite, int(BATCHES * scale), events)
            suites[suite] = {
                "record-consumer": figures(fake_aws, function, events, OUR_REPETITIONS),
                "Python": figures(fake_aws, in_python, events, PEER_REPETITIONS),
            }
    print(json.dumps({"python": measure.python(), "suites": suites}))


def make_events(fake_aws: Path, suite: str, batches: int, file: Path) -> None:
    command = [
        *(sys.executable, "-m", "tools.bench.events"),
        *("--key-arns", ",".join(KEY_ARNS), "--stream", STREAM, "--suite", suite, "--batches", str(batches)),
    ]
    with FakeAws(fake_aws) as aws, file.open("wb") as output:
        subprocess.run(command, cwd=ROOT, env=aws.environment(), stdout=output, check=True)


def figures(fake_aws: Path, function: list, events: Path, repetitions: int) -> dict:
    first = events.with_suffix(".first")
    with events.open("rb") as batches:
        first.write_bytes(batches.readline())
    short, _ = serve(fake_aws, function, first, 1)
    long, latencies = serve(fake_aws, function, events, repetitions)
    records = (latencies["invocations"] - 1) * BATCH_RECORDS
    return {
        "cpu_seconds_per_thousand": (long.cpu_seconds - short.cpu_seconds) / records * 1e3,
        "p50_ms": latencies["p50_us"] / 1e3,
        "p99_ms": latencies["p99_us"] / 1e3,
        "peak_bytes": long.peak_bytes,
        "first_answer_seconds": short.seconds,
    }


def serve(fake_aws: Path, function: list, events: Path, repetitions: int) -> tuple[Usage, dict]:
    """Has a function answer the events, and makes sure that it has written all records."""
    arguments = ["--table", f"{TABLE}:id", "--events", str(events), "--repeat", str(repetitions)]
    with FakeAws(fake_aws, *arguments) as aws:
        started = time.monotonic()
        with measure.running(function, aws.environment() | settings(aws)) as program:
            invocations = aws.invocations()
            program.kill()
            usage = measure.reap(program, started)
    if invocations["errors"] or invocations["batch_item_failures"] or not invocations["invocations"]:
        sys.exit(f"{function} did not write all records: {invocations}")
    return usage, invocations


def settings(aws: FakeAws) -> dict[str, str]:
    """The environment that Lambda and the template give a function."""
    return {
        "AWS_LAMBDA_RUNTIME_API": aws.url.removeprefix("http://"),
        "AWS_LAMBDA_FUNCTION_NAME": "consumer",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/consumer",
        "AWS_LAMBDA_LOG_STREAM_NAME": "consumer",
        "CMK_ARN": KEY_ARNS[0],
        "TABLE_NAME": TABLE,
    }


if __name__ == "__main__":
    main()
