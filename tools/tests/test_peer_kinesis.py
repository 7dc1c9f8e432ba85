# SPDX-License-Identifier: Apache-2.0
"""`sealstream push`, `resume` and `tail`, unmodified, on kinesis-mock: an emulator of Kinesis that others wrote.

KMS is the local AWS. kinesis-mock has no limits on a shard's rate or on the size of a request, so a proxy in front of it
enforces those where a test is about them.
"""

import json
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tools.local_aws.pipeline import REGIONS, Pipeline
from tools.local_aws.stack import wait_until
from tools.peers import Peer, kinesis_mock
from tools.shard_limits import ShardLimits
from tools.tests.conftest import run

ACTIVE_SECONDS = 10
# What the tail of a stream may take to print what was pushed.
ARRIVAL_SECONDS = 60
MIDDLE = 1 << 127


@pytest.fixture(scope="module")
def kinesis() -> Iterator[Peer]:
    with kinesis_mock() as peer:
        yield peer


class Program:
    """`sealstream` with KMS on the local AWS and Kinesis somewhere else."""

    def __init__(self, pipeline: Pipeline, kinesis: str) -> None:
        self._pipeline = pipeline
        self.environment = pipeline.stack.environment() | {"AWS_ENDPOINT_URL_KINESIS": kinesis}

    def push(
        self, stream: str, lines: list[str], *options: str, regions: list[str] = REGIONS, code: int = 0
    ) -> subprocess.CompletedProcess:
        command = [*self.push_command(stream, regions), "--output", "json", *options]
        return run(command, self.environment, "\n".join(lines), code=code)

    def push_command(self, stream: str, regions: list[str] = REGIONS) -> list[str]:
        return self._pipeline.push_command(stream, regions)

    def resume(self, spool: Path, *options: str, code: int = 0) -> subprocess.CompletedProcess:
        command = [str(self._pipeline.sealstream), "resume", "--spool", str(spool), *options]
        return run(command, self.environment, code=code)

    def tail(self, stream: str, region: str, *options: str) -> list[str]:
        """What a Region's stream has, read to its end."""
        command = [*self.tail_command(stream, region), "--since", "trim-horizon", "--no-follow", *options]
        return run(command, self.environment).stdout.splitlines()

    def tail_command(self, stream: str, region: str) -> list[str]:
        key = self._pipeline.outputs[region]["KeyArn"]
        return [
            *(str(self._pipeline.sealstream), "tail"),
            *("--stream", stream),
            *("--region", region),
            *("--kms-key", key),
        ]


@pytest.fixture
def program(deployed: Pipeline, kinesis: Peer) -> Program:
    return Program(deployed, kinesis.endpoint)


def create(kinesis: Peer, region: str, shards: int = 2, *, max_record_kib: int | None = None, name: str = "") -> str:
    """A stream of the test's own. With a name, it is made in another Region too."""
    name = name or f"test-{uuid.uuid4().hex}"
    client = kinesis.client("kinesis", region)
    client.create_stream(StreamName=name, ShardCount=shards)
    wait_until_active(kinesis, region, name)
    if max_record_kib:
        arn = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
        client.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=max_record_kib)
        wait_until_active(kinesis, region, name)
    return name


def create_everywhere(kinesis: Peer, shards: int = 2) -> str:
    name = create(kinesis, REGIONS[0], shards)
    return create(kinesis, REGIONS[1], shards, name=name)


def wait_until_active(kinesis: Peer, region: str, stream: str) -> None:
    def active() -> bool:
        summary = kinesis.client("kinesis", region).describe_stream_summary(StreamName=stream)
        return summary["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE"

    wait_until(active, ACTIVE_SECONDS, f"the stream {stream} in {region} is not active")


def records(count: int, **fields: str) -> list[str]:
    return [json.dumps({"id": f"{uuid.uuid4()}", "number": number} | fields) for number in range(count)]


def test_records_are_read_in_every_region_as_they_were_pushed(kinesis: Peer, program: Program) -> None:
    stream, lines = create_everywhere(kinesis), records(600)
    summary = json.loads(program.push(stream, lines).stdout)
    assert summary["delivered"] == len(lines)
    for region in REGIONS:
        assert sorted(program.tail(stream, region)) == sorted(lines)


def accounts(count: int) -> list[str]:
    """Records of a few accounts, each with a number that says their order."""
    return [json.dumps({"id": f"{number}", "account": f"{number % 5}"}) for number in range(count)]


def assert_ordered(printed: list[str], lines: list[str]) -> None:
    """Checks that all lines were printed, once, and those of each account in their order."""
    assert Counter(printed) == Counter(lines)
    for account in range(5):
        numbers = [int(record["id"]) for record in map(json.loads, printed) if record["account"] == f"{account}"]
        assert numbers == sorted(numbers)


def test_records_of_a_partition_key_keep_their_order(kinesis: Peer, program: Program) -> None:
    stream, lines = create_everywhere(kinesis, shards=4), accounts(100)
    program.push(stream, lines, "--partition-key-field", "account")
    for region in REGIONS:
        assert_ordered(program.tail(stream, region), lines)


def test_entries_above_a_shards_limits_are_retried_alone(kinesis: Peer, deployed: Pipeline, program: Program) -> None:
    stream, lines = create_everywhere(kinesis, shards=1), records(300)
    with ShardLimits(kinesis.endpoint, records_per_second=200) as limits:
        summary = json.loads(Program(deployed, limits.endpoint).push(stream, lines).stdout)
    assert summary["delivered"] == len(lines)
    # Some entries of a request were stored and others were not; only those came again.
    assert limits.counts["throttled"] > 0
    assert limits.counts["stored"] == len(lines) * len(REGIONS)
    for region in REGIONS:
        assert sorted(program.tail(stream, region)) == sorted(lines)


def messages(spool: Path) -> int:
    """How many messages wait in a spool. Its first line says what kind of file it is."""
    return len(spool.read_bytes().splitlines()) - 1


def test_what_closed_shards_refuse_is_spooled_and_resumed(
    kinesis: Peer, deployed: Pipeline, program: Program, tmp_path: Path
) -> None:
    stream, lines, spool = create_everywhere(kinesis), records(40), tmp_path / "undelivered"
    with ShardLimits(kinesis.endpoint, records_per_second=0) as limits:
        closed = Program(deployed, limits.endpoint)
        options = ["--spool", str(spool), "--delivery-timeout-seconds", "1"]
        summary = json.loads(closed.push(stream, lines, *options, code=1).stdout)
        assert summary["delivered"] == 0
        assert messages(spool) == len(lines) * len(REGIONS)
        closed.resume(spool, "--delivery-timeout-seconds", "1", code=1)
        assert messages(spool) == len(lines) * len(REGIONS)
        limits.records_per_second = 20
        closed.resume(spool)
    assert not spool.exists()
    for region in REGIONS:
        assert sorted(program.tail(stream, region)) == sorted(lines)


@pytest.mark.parametrize("options", [[], ["--aggregate-bytes", "24000"]], ids=["single", "aggregated"])
def test_no_request_is_above_the_limits_of_put_records(
    kinesis: Peer, deployed: Pipeline, program: Program, options: list[str]
) -> None:
    stream, lines = create_everywhere(kinesis, shards=8), [*records(550), *records(4, text="x" * 900_000)]
    with ShardLimits(kinesis.endpoint, records_per_second=10_000) as limits:
        summary = json.loads(Program(deployed, limits.endpoint).push(stream, lines, *options).stdout)
    assert (summary["delivered"], limits.counts["rejected"]) == (len(lines), 0)
    assert sorted(program.tail(stream, REGIONS[0])) == sorted(lines)


def test_a_record_above_one_mebibyte_goes_through_where_the_stream_takes_it(kinesis: Peer, program: Program) -> None:
    # Almost the 10 MiB that Kinesis allows. kinesis-mock needs a second and more for each megabyte of a request, and an attempt
    # may take a third of the delivery timeout.
    region = REGIONS[0]
    stream = create(kinesis, region, 1, max_record_kib=10240)
    large = records(1, text="x" * 10_400_000)
    program.push(stream, large, "--delivery-timeout-seconds", "300", regions=[region])
    assert program.tail(stream, region) == large


def test_a_record_above_what_the_stream_takes_fails_alone(kinesis: Peer, program: Program) -> None:
    stream, lines = create_everywhere(kinesis), records(20)
    too_large = records(1, text="x" * (1 << 20))
    result = program.push(stream, [*lines, *too_large], code=1)
    assert json.loads(result.stdout)["delivered"] == len(lines)
    assert sorted(program.tail(stream, REGIONS[0])) == sorted(lines)


def test_an_entry_that_the_service_rejects_takes_no_other_with_it(kinesis: Peer, program: Program) -> None:
    # kinesis-mock counts a partition key in UTF-16 units, AWS in characters; either refuses the whole request.
    stream, lines = create_everywhere(kinesis), records(29, key="short")
    culprit = records(1, key="🙂" * 200)
    result = program.push(stream, [*lines[:10], *culprit, *lines[10:]], "--partition-key-field", "key", code=1)
    assert json.loads(result.stdout)["delivered"] == len(lines)
    assert sorted(program.tail(stream, REGIONS[0])) == sorted(lines)


@contextmanager
def following(program: Program, stream: str, region: str) -> Iterator[list[str]]:
    """A tail that follows a stream from its beginning, and the lines that it has printed so far."""
    command = [*program.tail_command(stream, region), "--since", "trim-horizon"]
    process = subprocess.Popen(command, env=program.environment, stdout=subprocess.PIPE, text=True, encoding="utf-8")
    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.extend(line.rstrip("\n") for line in process.stdout))
    reader.start()
    try:
        yield printed
    finally:
        process.terminate()
        process.wait(ACTIVE_SECONDS)
        reader.join()


def test_records_survive_resharding_while_they_are_pushed_and_followed(kinesis: Peer, program: Program) -> None:
    region = REGIONS[0]
    stream, lines = create_everywhere(kinesis), accounts(200)
    client = kinesis.client("kinesis", region)

    def reshard(change: Callable[[], None]) -> None:
        change()
        wait_until_active(kinesis, region, stream)

    changes = [
        lambda: client.split_shard(
            StreamName=stream, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(MIDDLE // 2)
        ),
        lambda: client.merge_shards(
            StreamName=stream, ShardToMerge="shardId-000000000002", AdjacentShardToMerge="shardId-000000000003"
        ),
        lambda: client.update_shard_count(StreamName=stream, TargetShardCount=4, ScalingType="UNIFORM_SCALING"),
    ]
    with following(program, stream, region) as printed:
        command = [*program.push_command(stream), "--partition-key-field", "account"]
        push = subprocess.Popen(command, env=program.environment, stdin=subprocess.PIPE, text=True, encoding="utf-8")
        parts = len(changes) + 1
        size = len(lines) // parts
        for part in range(parts):
            push.stdin.write("".join(f"{line}\n" for line in lines[part * size : (part + 1) * size]))
            push.stdin.flush()
            if part < len(changes):
                reshard(changes[part])
        push.stdin.close()
        assert push.wait(ARRIVAL_SECONDS) == 0
        deadline = time.monotonic() + ARRIVAL_SECONDS
        while len(printed) < len(lines) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert_ordered(printed, lines)
    assert_ordered(program.tail(stream, region), lines)
