# SPDX-License-Identifier: Apache-2.0
"""What scripts/cost predicts is what the programs do: counted by fake-aws, and on the local AWS."""

import base64
import hashlib
import json
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools import ROOT
from tools.bench.measure import FakeAws, running
from tools.bench.records import RECORD_BYTES, lines
from tools.cost import workload as cost
from tools.cost.__main__ import ALARM_METRICS, CONSUMER_METRICS
from tools.local_aws.pipeline import REGIONS, STREAM, Pipeline
from tools.local_aws.stack import INFRA, read_template
from tools.tests.conftest import run
from tools.tests.kinesis_events import Event

SAMPLE = ROOT / "events" / "sample-records.ndjson"
ALIAS = "alias/sealstream"
# Of a data key that fake-aws wraps.
WRAPPED_KEY_BYTES = 136
# As fast as the program reads it, so that no limit on time counts.
BACKLOG = 1e6
PROGRAM_SECONDS = 120


def workload(records: int, **settings):
    """A workload of the records that are pushed here."""
    return cost.Workload(
        records=records,
        record_bytes=RECORD_BYTES,
        wrapped_key_bytes=WRAPPED_KEY_BYTES,
        **{"records_per_second": BACKLOG, **settings},
    )


def flags(described) -> list[str]:
    """The settings of `sealstream push` that a workload describes."""
    return [
        *("--regions", ",".join(REGIONS[: described.regions])),
        *("--kms-key", ALIAS),
        *("--stream", STREAM),
        *("--suite", "signed" if described.signed else "unsigned"),
        *("--cache-max-messages", f"{described.messages_per_data_key}"),
        *("--cache-max-age-seconds", f"{described.data_key_max_age:.0f}"),
        *("--aggregate-bytes", f"{described.aggregate_bytes}"),
        *("--linger-ms", f"{described.linger_ms:.0f}"),
    ]


@dataclass
class Measured:
    """What fake-aws has counted."""

    report: dict

    def calls(self, operation: str) -> int:
        return sum(calls["calls"] for calls in self.report["calls"] if calls["operation"] == operation)

    def of_streams(self, what: str) -> list[int]:
        return [stream[what] for stream in self.report["streams"]]


def push(binaries: dict[str, Path], described, pause: float = 0, spool: Path | None = None) -> Measured:
    """Pushes a workload's records, with a pause after each. With a spool nothing is delivered, and all is in there."""
    regions = [argument for region in REGIONS[: described.regions] for argument in ("--region", region)]
    sink = ["--throttle", "1"] if spool else []
    keep = ["--spool", str(spool), "--delivery-timeout-seconds", "1"] if spool else []
    with FakeAws(binaries["fake-aws"], "--stream", STREAM, *regions, *sink) as aws:
        command = [binaries["sealstream"], "push", *flags(described), *keep]
        with running(command, aws.environment()) as program:
            for line in lines(described.records):
                program.stdin.write(line + b"\n")
                if pause:
                    program.stdin.flush()
                    time.sleep(pause)
            program.stdin.close()
            assert program.wait(PROGRAM_SECONDS) == (1 if spool else 0)
        return Measured(aws.report())


@pytest.mark.parametrize(
    "settings",
    [
        {"regions": 1, "signed": False},
        {"regions": 2, "signed": False},
        {"regions": 2, "signed": True},
        {"regions": 2, "signed": False, "messages_per_data_key": 7},
        {"regions": 1, "signed": False, "messages_per_data_key": 1},
        {"regions": 2, "signed": False, "aggregate_bytes": 24000, "linger_ms": 1000, "messages_per_data_key": 3},
        {"regions": 1, "signed": True, "aggregate_bytes": 2 * RECORD_BYTES + 3, "linger_ms": 1000},
        {"regions": 1, "signed": False, "aggregate_bytes": 2 * RECORD_BYTES + 2, "linger_ms": 1000},
    ],
    ids=lambda settings: ", ".join(f"{name} {value}" for name, value in settings.items()),
)
def test_what_pushing_takes_is_predicted(binaries: dict[str, Path], settings: dict) -> None:
    described = workload(250, **settings)
    measured, predicted = push(binaries, described), cost.count(described)
    assert measured.calls("GenerateDataKey") == predicted.generate_data_key
    assert measured.calls("Encrypt") == predicted.encrypt
    assert measured.of_streams("records") == [predicted.messages] * described.regions
    # fake-aws counts no partition keys. A signature may have a byte more or less than is predicted.
    expected = sum(size * number for size, number in cost.message_sizes(described).items())
    tolerance = predicted.messages if described.signed else 0
    assert measured.of_streams("bytes") == [pytest.approx(expected, abs=tolerance)] * described.regions


def test_at_a_low_rate_the_age_of_data_keys_counts(binaries: dict[str, Path]) -> None:
    pause = 0.1
    described = workload(30, regions=1, signed=False, data_key_max_age=1, records_per_second=1 / pause)
    predicted = cost.count(described)
    assert predicted.data_keys == 3
    # On a busy machine pauses are longer, and so fewer records have the time.
    assert 3 <= push(binaries, described, pause).calls("GenerateDataKey") <= 4


@pytest.mark.parametrize(
    ("shards", "capacity"), [(1, 100), (4, 100), (4, 0)], ids=["one shard", "four shards", "without a cache"]
)
def test_what_consuming_takes_is_predicted(
    binaries: dict[str, Path], tmp_path: Path, shards: int, capacity: int
) -> None:
    described = workload(
        800, regions=1, signed=False, messages_per_data_key=10, shards=shards, consumer_capacity=capacity
    )
    spool = tmp_path / "spool"
    keys = push(binaries, described, spool=spool).calls("GenerateDataKey")
    decrypts = [
        consume(binaries, described, messages, tmp_path / f"{at}")
        for at, messages in enumerate(by_shard(spool, shards))
    ]
    predicted = cost.count(described).decrypt
    if shards == 1:
        assert sum(decrypts) == predicted == keys
    # Which shards the messages of a data key are in is chance; this is some seven standard deviations. Without a cache
    # requests that come together still share a call.
    assert sum(decrypts) == pytest.approx(predicted, rel=0.1)
    assert keys <= sum(decrypts) <= (keys * shards if capacity else described.records)


def by_shard(spool: Path, shards: int) -> list[list[bytes]]:
    """The messages of a spool, in the shards that Kinesis would put them in: by the MD5 of the partition key."""
    messages = [[] for _ in range(shards)]
    _header, *lines = spool.read_text().splitlines()
    for line in lines:
        entry = json.loads(line)
        place = int.from_bytes(hashlib.md5(entry["partition_key"].encode()).digest(), "big")
        messages[place * shards >> 128].append(base64.b64decode(entry["data"]))
    return messages


def consume(binaries: dict[str, Path], described, messages: list[bytes], events: Path) -> int:
    """Has one execution environment consume a shard, and returns how often it asked KMS."""
    arn = f"arn:aws:kinesis:{REGIONS[0]}:000000000000:stream/{STREAM}"
    batches = [messages[at : at + described.batch_size] for at in range(0, len(messages), described.batch_size)]
    events.write_text("".join(json.dumps(Event(arn, batch).json) + "\n" for batch in batches))
    with FakeAws(binaries["fake-aws"], "--table", "records:id", "--events", str(events)) as aws:
        settings = {
            "AWS_LAMBDA_RUNTIME_API": aws.url.removeprefix("http://"),
            "AWS_LAMBDA_FUNCTION_NAME": "consumer",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/consumer",
            "AWS_LAMBDA_LOG_STREAM_NAME": "consumer",
            "TABLE_NAME": "records",
            "KEY_DISCOVERY_ACCOUNTS": "000000000000",
            "KEY_DISCOVERY_PARTITION": "aws",
            "CACHE_CAPACITY": f"{described.consumer_capacity}",
        }
        with running([binaries["record-consumer"]], aws.environment() | settings):
            invocations = aws.invocations()
        assert (invocations["invocations"], invocations["errors"]) == (len(batches), 0)
        assert invocations["batch_item_failures"] == 0
        return Measured(aws.report()).calls("Decrypt")


@pytest.mark.parametrize("messages_per_data_key", [100, 50])
def test_the_whole_pipeline_takes_what_is_predicted(pipeline: Pipeline, messages_per_data_key: int) -> None:
    before = pipeline.stack.kms_calls()
    command = [*pipeline.push_command(), "--cache-max-messages", f"{messages_per_data_key}", str(SAMPLE)]
    run(command, pipeline.stack.environment())
    records = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    wait_until_stored(pipeline, len(records))

    # The local AWS has one execution environment for all shards.
    described = workload(len(records), messages_per_data_key=messages_per_data_key, shards=1)
    predicted = cost.count(described)
    after = pipeline.stack.kms_calls()
    calls = sum((after[region] - before[region] for region in REGIONS), start=type(after[REGIONS[0]])())
    assert calls == {
        "GenerateDataKey": predicted.generate_data_key,
        "Encrypt": predicted.encrypt,
        "Decrypt": predicted.decrypt,
    }


def wait_until_stored(pipeline: Pipeline, count: int) -> None:
    deadline = time.monotonic() + PROGRAM_SECONDS
    while any(len(pipeline.items(region)) < count for region in REGIONS):
        assert time.monotonic() < deadline, f"the tables do not hold {count} items"
        time.sleep(0.2)


def calculator(*arguments: str, code: int = 0) -> subprocess.CompletedProcess:
    return run([str(ROOT / "scripts" / "cost"), *arguments], {"PATH": "/usr/bin:/bin:/usr/local/bin"}, code=code)


def table(*arguments: str) -> dict[str, list[str]]:
    return {line[:28].strip(): line[28:].split() for line in calculator(*arguments).stdout.splitlines()}


def test_the_table_has_each_way_and_its_price() -> None:
    rows = table("--aggregate-bytes", "24000", "--linger-ms", "100", "--price", "kms-request=1")
    assert rows["KMS GenerateDataKey"] == ["1,000,000", "10,000", "435"]
    assert rows["USD KMS"] == ["4,000,000.000", "100,000.000", "4,350.000"]
    assert rows["Lambda GB-seconds"] == ["-", "-", "-"]


def test_plain_puts_are_billed_for_waiting() -> None:
    rows = table("--put-ms", "90", "--memory-mb", "512", "--price", "lambda-gb-second=1", "--price", "lambda-request=0")
    assert rows["GB-seconds of waiting"] == ["45,000", "0", "0"]
    assert rows["USD Lambda"] == ["45,000.000", "0.000", "0.000"]
    # They reuse data keys too.
    assert rows["KMS GenerateDataKey"] == ["10,000", "1,000,000", "10,000"]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        # A GiB in and out at 1 each, kept for six of 30.4 days more than the first, and a stream-hour.
        ([], 2 * 1 + 0.197 + 0.278),
        (["--retention-hours", "24"], 2 * 1 + 0.278),
        (["--advantage"], 0.4 * (2 * 1 + 0.197)),
        (["--advantage", "--retention-hours", "24"], 0.4 * 2 * 1),
        # 25 KB in each unit, and two shards.
        (["--provisioned", "--shards", "2", "--retention-hours", "24"], 43.69 + 2 * 0.278),
        (["--provisioned", "--shards", "2"], 43.69 + 2 * 2 * 0.278),
    ],
)
def test_kinesis_is_billed_by_mode_and_retention(flags: list[str], expected: float) -> None:
    names = ["gib-in", "gib-out", "stream-hour", "retention-gib-month", "shard-hour", "retention-shard-hour"]
    prices = [argument for name in names for argument in ("--price", f"kinesis-{name}=1")]
    # Messages of 24 KiB, which make a GiB together.
    size = [
        "--regions",
        "1",
        "--unsigned",
        "--record-bytes",
        f"{24 * 1024 - 622}",
        "--records",
        f"{(1 << 30) // 24576}",
    ]
    rate = ["--records-per-second", f"{(1 << 30) / 24576 / 1000}", "--price", "kinesis-put-unit=0.001"]
    [_, cached] = table(*size, *rate, *prices, *flags)["USD Kinesis"]
    assert float(cached.replace(",", "")) == pytest.approx(expected, rel=0.01)


def test_the_table_is_billed_by_mode() -> None:
    price = ["--regions", "1", "--price", "dynamodb-write-capacity-hour=1", "--price", "dynamodb-write-unit=1"]
    assert table(*price)["USD DynamoDB"] == ["1,000,000.000"] * 2
    # 1,000 units a second for a sixth of an hour and more, of capacity that is used to 70 %.
    assert table(*price, "--provisioned-table")["USD DynamoDB"] == ["396.825"] * 2


def test_compression_makes_messages_smaller() -> None:
    plain, small = (
        table("--aggregate-bytes", "24000", "--linger-ms", "100", "--compression", ratio)["bytes of a message"]
        for ratio in ("1", "5")
    )
    # Only those that are aggregated here.
    assert plain[:2] == small[:2]
    json, overhead = 23 * 1025 + 1, 104 + 7 + 2 * 255 + 198
    assert int(small[2].replace(",", "")) == json // 5 + 1 + overhead + 32 + 40


def test_what_a_region_costs_in_a_month_counts_the_metrics_that_there_are() -> None:
    resources = read_template(INFRA / "monitoring.yaml")["Resources"].values()
    alarms = [entry["Properties"] for entry in resources if entry["Type"] == "AWS::CloudWatch::Alarm"]
    metrics = [metric for alarm in alarms for metric in alarm.get("Metrics", [alarm])]
    # An expression over other metrics is not one itself, but a query is.
    assert sum("SELECT" in f"{metric}" or "Expression" not in metric for metric in metrics) == ALARM_METRICS
    page = (ROOT / "crates" / "record-telemetry" / "README.md").read_text(encoding="utf-8")
    reported = re.findall(r"^\| \w+ \| \w+ \| Service[, Region]* \| (all|consumer|functions) \|", page, re.MULTILINE)
    assert len(reported) == CONSUMER_METRICS

    rows = table()
    assert rows["stream"] == ["29.20"]
    assert rows["metrics of the consumer"] == [f"{CONSUMER_METRICS * 0.3:.2f}"]
    assert table("--provisioned", "--shards", "4", "--retention-hours", "24")["stream"] == ["43.80"]
    assert table("--advantage")["stream"] == ["0.00"]


def test_the_page_shows_what_the_calculator_says() -> None:
    page = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")
    said = calculator("--aggregate-bytes", "24000", "--linger-ms", "100").stdout
    assert f"```text\n{said}```" in page


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--regions", "0"], "0 is less than 1"),
        (["--records", "many"], "many is not a number"),
        (["--records-per-second", "nan"], "or no number"),
        (["--price", "kms=1"], "kms is none of kms-request"),
    ],
)
def test_a_wrong_flag_is_named(arguments: list[str], problem: str) -> None:
    error = calculator(*arguments, code=2).stderr
    assert arguments[0] in error
    assert problem in error
