# SPDX-License-Identifier: Apache-2.0
"""The pipeline on a local AWS, deployed once for all tests."""

import itertools
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools import ROOT
from tools.deploy.plain_template import NAME
from tools.local_aws.pipeline import REGIONS, Pipeline
from tools.local_aws.stack import CREDENTIALS, Stack, build_binaries, wait_until

ACTIVE_SECONDS = 10
BATCH_WRITE_LIMIT = 25
ACCOUNT = "000000000000"


@dataclass
class Deployment:
    """The template in the first Region, on a local AWS of its own."""

    stack: Stack
    outputs: dict[str, str]


@pytest.fixture(scope="session")
def binaries() -> dict[str, Path]:
    return build_binaries()


@pytest.fixture(scope="session")
def plain_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of scripts/template."""
    folder = tmp_path_factory.mktemp("template")
    # Neither a Region nor credentials are needed.
    run([ROOT / "scripts" / "template", "--out", folder], {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    return folder / NAME


@contextmanager
def local_aws(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """A local AWS. Its logs are kept if a test fails on it."""
    failed_before = request.session.testsfailed
    stack = Stack()
    try:
        yield stack
    finally:
        stack.close(keep_logs=request.session.testsfailed > failed_before)


@pytest.fixture(scope="session")
def deployed(binaries: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    with local_aws(request) as stack:
        yield Pipeline(stack, binaries)


@pytest.fixture(scope="session")
def with_options(binaries: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Deployment]:
    """The template with other parameters than the defaults, wherever there is a choice."""
    with local_aws(request) as stack:
        ec2 = stack.client("ec2", REGIONS[0])
        subnets = ec2.describe_subnets()["Subnets"][:2]
        tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [subnets[0]["VpcId"]]}])["RouteTables"]
        packages = {
            "RecordConsumer": stack.package(binaries["record-consumer"]),
            "RecordPusher": stack.package(binaries["record-pusher"]),
        }
        parameters = {
            "PusherRegions": REGIONS[0],
            "StreamShardCount": "3",
            "StreamMaxRecordKiB": "2048",
            "TableSortKey": "at",
            "TableSortKeyType": "N",
            "TableWriteCapacity": "50",
            "VersionAttribute": "version",
            "ParallelizationFactor": "2",
            "ConsumerReservedConcurrency": "6",
            "Suite": "unsigned",
            "EncryptFor": "available",
            "PartitionKeyField": "id",
            "RequireKey": "id:S,at:N",
            "PreviousKeyArns": f"arn:aws:kms:{REGIONS[0]}:{ACCOUNT}:key/previous",
            "AggregateBytes": "1000",
            "Compression": "zstd",
            "Tracing": "PassThrough",
            "EncryptPrincipals": f"arn:aws:iam::{ACCOUNT}:role/producer-*,arn:aws:iam::{ACCOUNT}:role/another",
            "DecryptPrincipals": f"arn:aws:iam::{ACCOUNT}:role/reader",
            "AlarmTopicArn": f"arn:aws:sns:{REGIONS[0]}:{ACCOUNT}:alarms",
            "VpcId": subnets[0]["VpcId"],
            "SubnetIds": ",".join(subnet["SubnetId"] for subnet in subnets),
            "RouteTableIds": ",".join(table["RouteTableId"] for table in tables),
        }
        yield Deployment(stack, stack.deploy(REGIONS[0], packages, **parameters))


@pytest.fixture
def pipeline(deployed: Pipeline) -> Pipeline:
    """The pipeline with empty tables. Each test waits until what it sends has arrived or was refused, so that nothing
    of it reaches the tables of the next one."""
    for region in REGIONS:
        empty_table(deployed, region)
    return deployed


@pytest.fixture
def aws_environment(deployed: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the AWS Encryption SDK, which makes its own clients, from the environment."""
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": deployed.stack.endpoint}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def stream(deployed: Pipeline) -> str:
    """A stream of the test's own in every Region, which no function reads."""
    name = f"test-{uuid.uuid4().hex}"
    for region in REGIONS:
        create_stream(deployed, region, name)
    return name


def create_stream(pipeline: Pipeline, region: str, name: str) -> None:
    kinesis = pipeline.stack.client("kinesis", region)
    kinesis.create_stream(StreamName=name, ShardCount=2)

    def active() -> bool:
        description = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
        return description["StreamStatus"] == "ACTIVE"

    wait_until(active, ACTIVE_SECONDS, f"the stream {name} in {region} is not active")


def stream_data(pipeline: Pipeline, region: str, stream: str) -> list[bytes]:
    """The data of every record in a stream."""
    kinesis = pipeline.stack.client("kinesis", region)
    data = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        position = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(StreamName=stream, **position)["ShardIterator"]
        # One page holds more than any test sends.
        data += [record["Data"] for record in kinesis.get_records(ShardIterator=iterator)["Records"]]
    return data


def empty_table(pipeline: Pipeline, region: str) -> None:
    table = pipeline.outputs[region]["TableName"]
    dynamodb = pipeline.stack.client("dynamodb", region)
    deletions = ({"DeleteRequest": {"Key": {"id": {"S": item["id"]}}}} for item in pipeline.items(region))
    while batch := list(itertools.islice(deletions, BATCH_WRITE_LIMIT)):
        dynamodb.batch_write_item(RequestItems={table: batch})


def run(
    command: list[str], environment: dict[str, str], standard_input: str = "", *, code: int = 0
) -> subprocess.CompletedProcess:
    """Runs a program to its end and checks its exit code."""
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        input=standard_input,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == code, result.stderr
    return result
