# SPDX-License-Identifier: Apache-2.0
"""Programs, unmodified, on the official DynamoDB Local: what record-consumer accepts is there and reads back equal, and what it
refuses is refused there.

KMS, the quarantine and Lambda's runtime API are fake-aws.
"""

import json
import os
import random
import subprocess
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import boto3
import botocore.config
import pytest
from aws_encryption_sdk import StrictAwsKmsMasterKeyProvider
from botocore.exceptions import ClientError

from tools import ROOT
from tools.bench.measure import FakeAws, running
from tools.interop.esdk import caching_manager, encrypt
from tools.local_aws.stack import CREDENTIALS
from tools.peers import Peer, dynamodb_local
from tools.tests.adversarial import records
from tools.tests.conftest import run
from tools.tests.kinesis_events import Event, quarantine_key
from tools.tests.test_conversations import expected_rows, newest_of_groups

REGION = "us-east-1"
KEY_ARN = f"arn:aws:kms:{REGION}:000000000000:key/records"
STREAM = "records"
STREAM_ARN = f"arn:aws:kinesis:{REGION}:000000000000:stream/{STREAM}"
BUCKET = "quarantine"
RECORDS = 3000
# One in every run, so that a failure is about what has changed, and as many at random as the environment asks for.
SEEDS = [1, *(random.randrange(1 << 32) for _ in range(int(os.environ.get("PEER_SEEDS", "0"))))]
# Lambda's events have at most 6 MB, of which base64 takes a quarter.
EVENT_BYTES = 4_400_000
EVENT_RECORDS = 200
# What the consumer refuses though DynamoDB takes it, by what its reason says. docs/testing.md has the reasons.
STRICTER = {"the text is not valid Unicode"}

CONFORMANCE = ["cargo", "test", "--workspace", "--locked", "--test"]


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Peer]:
    with dynamodb_local() as peer:
        yield peer


class Table:
    """A table of DynamoDB Local with a string as its partition key."""

    def __init__(self, dynamodb: Peer, name: str) -> None:
        self.name = name
        self._dynamodb = dynamodb
        self._client = dynamodb.client("dynamodb", REGION)
        self._client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def accepts(self, record: dict) -> bool:
        """Puts a record, and says whether DynamoDB took it."""
        try:
            item = {name: as_attribute(value) for name, value in record.items()}
            self._client.put_item(TableName=self.name, Item=item)
        except (ClientError, RecursionError):
            return False
        return True

    def items(self) -> dict[str, dict]:
        return {item["id"]: item for item in items_of(self._dynamodb, self.name)}


def items_of(dynamodb: Peer, table: str) -> list[dict]:
    """Every item of a table, in Python's types."""
    pages = dynamodb.client("dynamodb", REGION).get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [from_attribute({"M": item}) for page in pages for item in page["Items"]]


def from_attribute(attribute: dict):
    """boto3 does not read every number that DynamoDB keeps: it minds zeros at the end."""
    [(kind, value)] = attribute.items()
    match kind:
        case "N":
            return Decimal(value)
        case "NULL":
            return None
        case "L":
            return [from_attribute(element) for element in value]
        case "M":
            return {name: from_attribute(element) for name, element in value.items()}
        case "S" | "BOOL":
            return value


class Number(str):
    """A number of JSON, as it was written."""

    def without_exponent_of_zero(self) -> str:
        """The number for DynamoDB Local, which refuses a zero whose exponent does not fit into 32 bits.

        Every such text is the number zero, and record-consumer writes it as `0`.
        """
        digits, _, _ = self.lower().partition("e")
        return self if digits.strip("-0.") else "0"


def reference(plaintext: bytes) -> list[dict] | None:
    """The records that a plaintext holds, as another parser of JSON reads it; None if it holds none."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    try:
        content = json.loads(
            plaintext.decode(), parse_int=Number, parse_float=Number, parse_constant=refuse, strict=True
        )
    except (ValueError, RecursionError):
        return None
    listed = content if isinstance(content, list) else [content]
    return listed if listed and all(isinstance(record, dict) for record in listed) else None


def as_attribute(value) -> dict:
    match value:
        case Number():
            return {"N": value.without_exponent_of_zero()}
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case None:
            return {"NULL": True}
        case list():
            return {"L": [as_attribute(element) for element in value]}
        case dict():
            return {"M": {name: as_attribute(element) for name, element in value.items()}}


@dataclass
class Consumed:
    """What became of each plaintext: why it was quarantined, or None."""

    reasons: list[str | None]
    batch_item_failures: int


def consume(binaries: dict[str, Path], dynamodb: Peer, table: str, plaintexts: list[bytes], scratch: Path) -> Consumed:
    """Has record-consumer work through events of these plaintexts, in their order."""
    with FakeAws(binaries["fake-aws"]) as aws, pytest.MonkeyPatch.context() as patch:
        # For the AWS Encryption SDK, which makes its own clients, from the environment.
        for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": aws.url}.items():
            patch.setenv(name, value)
        events = make_events(plaintexts)
    file = scratch / "events"
    file.write_text("".join(f"{json.dumps(event.json)}\n" for event in events), encoding="utf-8")
    with FakeAws(binaries["fake-aws"], "--events", str(file)) as aws:
        environment = aws.environment() | settings(aws) | {"TABLE_NAME": table}
        environment["AWS_ENDPOINT_URL_DYNAMODB"] = dynamodb.endpoint
        with running([binaries["record-consumer"]], environment):
            answered = aws.invocations()
        assert answered["errors"] == 0
        reasons = quarantined(aws, [event_id for event in events for event_id in event.event_ids])
    return Consumed(reasons, answered["batch_item_failures"])


def make_events(plaintexts: Iterable[bytes]) -> list[Event]:
    materials = caching_manager(StrictAwsKmsMasterKeyProvider(key_ids=[KEY_ARN]))
    batches: list[list[bytes]] = [[]]
    for plaintext in plaintexts:
        message = encrypt(materials, "unsigned", {"stream": STREAM}, plaintext)
        batch = batches[-1]
        if len(batch) == EVENT_RECORDS or sum(map(len, batch)) + len(message) > EVENT_BYTES:
            batches.append(batch := [])
        batch.append(message)
    return [Event(STREAM_ARN, batch) for batch in batches]


def settings(aws: FakeAws) -> dict[str, str]:
    return {
        "AWS_LAMBDA_RUNTIME_API": aws.url.removeprefix("http://"),
        "AWS_LAMBDA_FUNCTION_NAME": "record-consumer",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "CMK_ARN": KEY_ARN,
        "QUARANTINE_BUCKET": BUCKET,
    }


def quarantined(aws: FakeAws, event_ids: list[str]) -> list[str | None]:
    """Why each record is in the quarantine, or None if it is not there."""
    config = botocore.config.Config(s3={"addressing_style": "path"})
    credentials = {name.lower(): value for name, value in CREDENTIALS.items()}
    s3 = boto3.client("s3", REGION, endpoint_url=aws.url, config=config, **credentials)

    def reason(event_id: str) -> str | None:
        try:
            return json.load(s3.get_object(Bucket=BUCKET, Key=quarantine_key(event_id))["Body"])["reason"]
        except s3.exceptions.NoSuchKey:
            return None

    return [reason(event_id) for event_id in event_ids]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_consumer_accepts_what_dynamodb_takes(
    binaries: dict[str, Path], dynamodb: Peer, tmp_path: Path, seed: int
) -> None:
    plaintexts = list(records(seed, RECORDS))
    written, direct, probe = (Table(dynamodb, f"{name}-{seed}") for name in ("written", "direct", "probe"))
    consumed = consume(binaries, dynamodb, written.name, plaintexts, tmp_path)
    assert consumed.batch_item_failures == 0, f"seed {seed}"

    differences = []
    for plaintext, reason in zip(plaintexts, consumed.reasons, strict=True):
        found = reference(plaintext)
        taken = found is not None and all(
            # In the order in which the consumer has written them.
            (direct if reason is None else probe).accepts(record)
            for record in found
        )
        stricter = reason is not None and any(rule in reason for rule in STRICTER)
        if taken != (reason is None) and not stricter:
            differences.append((plaintext[:200], reason))
    assert differences == [], f"seed {seed}"
    # At least a third of them is good, and a third is not.
    accepted = consumed.reasons.count(None)
    assert RECORDS / 3 < accepted < RECORDS * 2 / 3, f"seed {seed}: {accepted}"
    assert written.items() == direct.items(), f"seed {seed}"


def test_a_batch_that_is_too_large_on_the_wire_is_written_in_parts(
    binaries: dict[str, Path], dynamodb: Peer, tmp_path: Path
) -> None:
    # A digit takes a byte in an event, two in an item, and ten in a request.
    zeros = ",".join("0" * 135_000)
    plaintexts = [f'{{"id":"{number}","v":[{zeros}]}}'.encode() for number in range(16)]
    table = Table(dynamodb, "large-batches")
    consumed = consume(binaries, dynamodb, table.name, plaintexts, tmp_path)
    assert consumed == Consumed([None] * len(plaintexts), 0)
    assert len(table.items()) == len(plaintexts)


def test_the_stores_of_dynamodb_cache_conform(dynamodb: Peer) -> None:
    table = Table(dynamodb, "orders-cache-test")
    output = cargo_test(dynamodb, "dynamodb_cache", "conformance::", DYNAMODB_CACHE_TEST_TABLE=table.name)
    assert "test result: ok. 3 passed" in output
    # The suite did run on this table, and gave its leases back.
    assert table.items()
    assert not [identity for identity in table.items() if identity.startswith("##")]


def test_the_tables_of_conversations_conform(dynamodb: Peer, conversations: Callable[..., str]) -> None:
    conversations("load-schema")
    # One after the other: a scan may miss an item while another test writes to the table.
    filters = ["conformance::", "--", "--test-threads=1"]
    output = cargo_test(dynamodb, "updater", *filters, CONVERSATIONS_TEST_TABLE=conversations.table)
    assert "test result: ok. 3 passed" in output
    # The suite did run on this table.
    assert items_of(dynamodb, conversations.table)


def cargo_test(dynamodb: Peer, *arguments: str, **variables: str) -> str:
    environment = {"AWS_ENDPOINT_URL": dynamodb.endpoint, "AWS_REGION": REGION, **CREDENTIALS, **variables}
    result = subprocess.run(
        [*CONFORMANCE, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def conversations(binaries: dict[str, Path], dynamodb: Peer) -> Callable[..., str]:
    """Runs the program of that name on a table of its own, and returns its output."""
    variables = {"AWS_ENDPOINT_URL": dynamodb.endpoint, "AWS_REGION": REGION, "TABLE_NAME": f"talks-{uuid.uuid4().hex}"}

    def conversations(*arguments: str) -> str:
        return run([str(binaries["conversations"]), *arguments], dict(os.environ) | CREDENTIALS | variables).stdout

    conversations.table = variables["TABLE_NAME"]
    return conversations


def test_the_example_makes_its_table_and_fills_it(conversations: Callable[..., str], dynamodb: Peer) -> None:
    made = [json.loads(conversations("load-schema", "--output", "json"))["made"] for _ in range(2)]
    assert made == [["table"], []]
    for _ in range(2):
        conversations("seed", "--direct", "--messages", "120")
        items = {(item["pk"], item["sk"]): item for item in items_of(dynamodb, conversations.table)}
        messages = {key: item for key, item in items.items() if key[0].startswith("MSG#")}
        assert len(messages) == 120
        assert {key: item for key, item in items.items() if key[0].startswith("GRP#")} == expected_rows(messages)
        assert sum(key[0].startswith("HEAD#") for key in items) == len(newest_of_groups(messages))


def test_the_example_lists_every_page_in_order(conversations: Callable[..., str]) -> None:
    conversations("load-schema")
    conversations("seed", "--direct", "--messages", "200")

    def page(*options: str) -> dict:
        return json.loads(conversations("list", "--user", "@ada", "--output", "json", *options))

    whole = page("--limit", "100")["conversations"]
    assert len(whole) > 3
    rows, cursor = [], []
    while True:
        answer = page("--limit", "2", *cursor)
        rows += answer["conversations"]
        if not answer.get("next"):
            break
        cursor = ["--cursor", answer["next"]]
    assert rows == whole
