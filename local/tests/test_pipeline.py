# SPDX-License-Identifier: Apache-2.0
"""Records through the whole pipeline, and records that must not get through."""

import base64
import json
import re
import uuid

import pytest
from aws_encryption_sdk import StrictAwsKmsMasterKeyProvider
from conftest import run
from interop.esdk import caching_manager, encrypt
from pipeline import REGIONS, STREAM, Pipeline
from stack import CREDENTIALS, ROOT, parse_json, wait_until

SAMPLE = ROOT / "events" / "sample-records.ndjson"
INVOCATION = ROOT / "events" / "record-pusher.json"
LOG_SECONDS = 30
# In what is encrypted here, and so to be found nowhere else.
MARKER = "Confidential-Marker"


def test_the_sample_records_reach_the_tables_of_both_regions(pipeline: Pipeline) -> None:
    calls_before = pipeline.stack.kms_calls()
    command = [*pipeline.push_command(), "--output", "json", str(SAMPLE)]
    summary = json.loads(run(command, pipeline.stack.environment()).stdout)
    sent = [parse_json(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    pipeline.wait_for_items(sent)

    records = len(sent)
    assert records == 600
    assert summary.pop("elapsed_seconds") > 0
    assert summary == {
        "records": records,
        "delivered": records,
        "undelivered": 0,
        "rejected_lines": 0,
        "plaintext_bytes": SAMPLE.stat().st_size,
        "regions": {region: {"delivered": records, "undelivered": 0} for region in REGIONS},
        "cache": {"hits": 594, "misses": 6, "hit_rate": 0.99},
    }
    # One data key for a hundred records: made in the first Region, wrapped in the second, unwrapped in both.
    calls = pipeline.stack.kms_calls()
    assert {region: calls[region] - calls_before[region] for region in REGIONS} == {
        "us-east-1": {"GenerateDataKey": 6, "Decrypt": 6},
        "eu-west-1": {"Encrypt": 6, "Decrypt": 6},
    }


def test_the_function_pushes_a_list_of_records(pipeline: Pipeline) -> None:
    event = INVOCATION.read_text(encoding="utf-8")
    response = pipeline.invoke_pusher(event)
    records = parse_json(event)["records"]
    pipeline.wait_for_items(records)
    assert_acknowledged(response, len(records))


def test_the_function_pushes_a_single_object(pipeline: Pipeline) -> None:
    # The local AWS parses the event, and so keeps only the digits that a float has.
    event = f'{{"id": "{uuid.uuid4()}", "name": "Łukasz", "amount": 1234.5}}'
    response = pipeline.invoke_pusher(event)
    pipeline.wait_for_items([parse_json(event)])
    assert_acknowledged(response, 1)


def assert_acknowledged(response: dict, records: int) -> None:
    assert response["undelivered"] == 0
    assert len(response["records"]) == records
    for record in response["records"]:
        assert re.fullmatch("[0-9a-f]{32}", record["partitionKey"])
        assert list(record["regions"]) == sorted(REGIONS)
        for acknowledgement in record["regions"].values():
            assert re.fullmatch(r"shardId-\d{12}", acknowledgement["shardId"])
            assert re.fullmatch(r"\d+", acknowledgement["sequenceNumber"])


class Batch:
    """Records for the stream of one Region: some good, some that must be refused, each with a plaintext of its own."""

    def __init__(self, pipeline: Pipeline, region: str) -> None:
        keys = StrictAwsKmsMasterKeyProvider(key_ids=[pipeline.outputs[region]["KeyArn"]])
        materials = caching_manager(keys)

        def encrypted(plaintext: str, suite: str, stream: str = STREAM) -> bytes:
            return encrypt(materials, suite, {"stream": stream}, plaintext.encode())

        self.plaintexts = [
            json.dumps({"id": f"{uuid.uuid4()}", "secret": f"{MARKER} {number}"}, ensure_ascii=False)
            for number in range(6)
        ]
        first, elsewhere, content, signature, plain, last = self.plaintexts
        self.data = [
            encrypted(first, "signed"),
            encrypted(elsewhere, "signed", "another-stream"),
            # An unsigned message ends with the tag of its content, a signed one with its signature.
            flip_last_bit(encrypted(content, "unsigned")),
            flip_last_bit(encrypted(signature, "signed")),
            plain.encode(),
            encrypted(last, "unsigned"),
        ]
        self.good = [0, 5]
        self.refused = {
            1: r"the record was encrypted for stream another-stream, not for stream records",
            2: r"the message was refused",
            3: r"the message was refused",
            4: r"the message was refused",
        }

    def items(self) -> list[dict]:
        """What is to be in the table."""
        return [parse_json(self.plaintexts[at]) for at in self.good]


def flip_last_bit(message: bytes) -> bytes:
    return message[:-1] + bytes([message[-1] ^ 1])


@pytest.fixture
def batch(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Batch:
    # The AWS Encryption SDK makes its own clients, from the environment.
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in {**CREDENTIALS, "AWS_ENDPOINT_URL": pipeline.stack.endpoint}.items():
        monkeypatch.setenv(name, value)
    return Batch(pipeline, REGIONS[1])


def test_the_consumer_reports_what_it_refuses_and_writes_the_rest(pipeline: Pipeline, batch: Batch) -> None:
    """Invoked as Lambda does it, because the local AWS does not heed what the function reports."""
    region = REGIONS[1]
    sequence_numbers = [f"{uuid.uuid4().int}" for _ in batch.data]
    event = kinesis_event(pipeline.outputs[region]["StreamArn"], sequence_numbers, batch.data)
    response = pipeline.invoke_consumer(region, json.dumps(event))

    reported = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
    assert sorted(reported) == sorted(sequence_numbers[at] for at in batch.refused)
    pipeline.wait_for_items_in(region, batch.items())
    event_ids = [record["eventID"] for record in event["Records"]]
    assert_refusals_are_logged(pipeline, region, batch, event_ids)


def kinesis_event(stream_arn: str, sequence_numbers: list[str], data: list[bytes]) -> dict:
    records = [
        {
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventName": "aws:kinesis:record",
            "eventID": f"shardId-000000000000:{sequence_number}",
            "eventSourceARN": stream_arn,
            "awsRegion": stream_arn.split(":")[3],
            "invokeIdentityArn": "arn:aws:iam::000000000000:role/record-consumer",
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": "key",
                "sequenceNumber": sequence_number,
                "data": base64.b64encode(message).decode(),
                "approximateArrivalTimestamp": 1767600000.0,
            },
        }
        for sequence_number, message in zip(sequence_numbers, data, strict=True)
    ]
    return {"Records": records}


def test_what_is_refused_in_the_stream_keeps_nothing_else_out(pipeline: Pipeline, batch: Batch) -> None:
    region, other_region = REGIONS[1], REGIONS[0]
    records = [{"Data": data, "PartitionKey": uuid.uuid4().hex} for data in batch.data]
    response = pipeline.stack.client("kinesis", region).put_records(StreamName=STREAM, Records=records)
    event_ids = [f"{record['ShardId']}:{record['SequenceNumber']}" for record in response["Records"]]

    assert_refusals_are_logged(pipeline, region, batch, event_ids)
    pipeline.wait_for_items_in(region, batch.items())
    assert pipeline.items(other_region) == []


def assert_refusals_are_logged(pipeline: Pipeline, region: str, batch: Batch, event_ids: list[str]) -> None:
    def refusals() -> dict[str, str]:
        """The reason for each event id of this test."""
        found = re.findall(r'event_id="(.*?)" kind=Permanent reason=(.*)', plain_log(pipeline, region))
        return {event_id: reason for event_id, reason in found if event_id in event_ids}

    wait_until(lambda: len(refusals()) >= len(batch.refused), LOG_SECONDS, "not every refusal is logged")
    logged = refusals()
    assert logged.keys() == {event_ids[at] for at in batch.refused}
    for at, reason in batch.refused.items():
        assert re.match(reason, logged[event_ids[at]])
    assert MARKER not in plain_log(pipeline, region)


def plain_log(pipeline: Pipeline, region: str) -> str:
    """The consumer's log without colours."""
    return re.sub(r"\x1b\[\d+m", "", pipeline.consumer_log(region))
