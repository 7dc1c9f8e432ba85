# SPDX-License-Identifier: Apache-2.0
"""Records that must not get through, and records that get through when they are put through again."""

import json
import re
import subprocess
import uuid

import pytest

from tools.local_aws.pipeline import REGIONS, STREAM, Pipeline
from tools.local_aws.stack import parse_json, wait_until
from tools.tests.conftest import run
from tools.tests.kinesis_events import Event, encryptor, quarantine_key

REGION, OTHER_REGION = REGIONS[1], REGIONS[0]
LOG_SECONDS = 30
# In what is encrypted here, and so to be found nowhere else.
MARKER = "Confidential-Marker"


class Batch:
    """Records for the stream of one Region: some good, some that must be refused, each with a plaintext of its own."""

    def __init__(self, pipeline: Pipeline) -> None:
        encrypted = encryptor(pipeline, REGION)
        self.plaintexts = [record(secret=f"{MARKER} {number}") for number in range(6)]
        first, elsewhere, content, signature, plain, last = self.plaintexts
        self.data = [
            encrypted(first),
            encrypted(elsewhere, stream="another-stream"),
            # An unsigned message ends with the tag of its content, a signed one with its signature.
            flip_last_bit(encrypted(content, "unsigned")),
            flip_last_bit(encrypted(signature)),
            plain.encode(),
            encrypted(last, "unsigned"),
        ]
        self.good = [0, 5]
        self.refused = {
            1: "the record was encrypted for stream another-stream, not for stream records",
            2: "the message was refused: the authentication tag of the body does not match",
            3: "the message was refused: the signature does not match",
            4: "the message was refused: it is JSON that is not encrypted",
        }

    def items(self) -> list[dict]:
        """What is to be in the table."""
        return [parse_json(self.plaintexts[at]) for at in self.good]

    def reasons(self, event_ids: list[str]) -> dict[str, str]:
        """How the reason of each record that must be refused begins, by the record's event id."""
        return {event_ids[at]: reason for at, reason in self.refused.items()}


def record(**attributes: str | int) -> str:
    return json.dumps({"id": f"{uuid.uuid4()}"} | attributes)


def flip_last_bit(message: bytes) -> bytes:
    return message[:-1] + bytes([message[-1] ^ 1])


@pytest.fixture
def batch(pipeline: Pipeline, aws_environment: None) -> Batch:
    return Batch(pipeline)


def test_the_consumer_quarantines_what_it_refuses_and_writes_the_rest(pipeline: Pipeline, batch: Batch) -> None:
    event = Event(pipeline.outputs[REGION]["StreamArn"], batch.data)
    response = pipeline.invoke_consumer(REGION, json.dumps(event.json))

    assert response["batchItemFailures"] == []
    pipeline.wait_for_items_in(REGION, batch.items())
    assert_quarantined(pipeline, batch.reasons(event.event_ids))
    assert_logged(pipeline, batch.reasons(event.event_ids))
    documents = pipeline.quarantined(REGION, f"{STREAM}/{event.shard}/")
    records = [document["record"] for document in documents.values()]
    assert records == [event.json["Records"][at] for at in batch.refused]


def test_what_is_refused_in_the_stream_keeps_nothing_else_out(pipeline: Pipeline, batch: Batch) -> None:
    records = [{"Data": data, "PartitionKey": uuid.uuid4().hex} for data in batch.data]
    response = pipeline.stack.client("kinesis", REGION).put_records(StreamName=STREAM, Records=records)
    event_ids = [f"{record['ShardId']}:{record['SequenceNumber']}" for record in response["Records"]]

    assert_logged(pipeline, batch.reasons(event_ids))
    pipeline.wait_for_items_in(REGION, batch.items())
    assert_quarantined(pipeline, batch.reasons(event_ids))
    assert pipeline.items(OTHER_REGION) == []


@pytest.mark.parametrize("bucket", ["", "no-such-bucket"])
def test_what_is_refused_and_cannot_be_stored_is_reported(pipeline: Pipeline, bucket: str) -> None:
    event = Event(pipeline.outputs[REGION]["StreamArn"], [b"plain text"])
    with pipeline.consumer_settings(REGION, QUARANTINE_BUCKET=bucket):
        response = pipeline.invoke_consumer(REGION, json.dumps(event.json))
    assert response["batchItemFailures"] == [{"itemIdentifier": event.sequence_numbers[0]}]
    assert pipeline.quarantined(REGION, f"{STREAM}/{event.shard}/") == {}


def test_what_kms_does_not_decrypt_now_is_reported_and_not_stored(pipeline: Pipeline, aws_environment: None) -> None:
    event = Event(pipeline.outputs[REGION]["StreamArn"], [encryptor(pipeline, REGION)(record())])
    kms, key = pipeline.stack.client("kms", REGION), pipeline.outputs[REGION]["KeyArn"]
    kms.disable_key(KeyId=key)
    try:
        response = pipeline.invoke_consumer(REGION, json.dumps(event.json))
    finally:
        kms.enable_key(KeyId=key)
    assert response["batchItemFailures"] == [{"itemIdentifier": event.sequence_numbers[0]}]
    assert pipeline.quarantined(REGION, f"{STREAM}/{event.shard}/") == {}


def test_a_record_gets_through_once_the_settings_are_right(pipeline: Pipeline, aws_environment: None) -> None:
    good, bad = record(amount=7), "[]"
    encrypted = encryptor(pipeline, REGION)
    event = Event(pipeline.outputs[REGION]["StreamArn"], [encrypted(good), encrypted(bad)])
    keys = [quarantine_key(event_id) for event_id in event.event_ids]
    with pipeline.consumer_settings(REGION, VERSION_ATTRIBUTE="revision"):
        pipeline.invoke_consumer(REGION, json.dumps(event.json))
        missing = "attribute revision: the version attribute is missing"
        listed = redrive(pipeline, event, "--dry-run")
        assert f"{missing}\n" in listed.stdout
        assert listed.stderr == "2 documents: 0 redriven, 2 left, 0 unreadable\n"
        still_missing = redrive(pipeline, event, code=1).stdout
        assert f"{keys[0]}: it is in the quarantine again: {missing}\n" in still_missing

    result = redrive(pipeline, event, code=1)
    written, refused = result.stdout.splitlines()
    assert written == f"{keys[0]}: redriven"
    assert refused.startswith(f"{keys[1]}: it is in the quarantine again: ")
    assert result.stderr == "2 documents: 1 redriven, 1 left, 0 unreadable\n"
    assert pipeline.items(REGION) == [parse_json(good)]
    assert list(pipeline.quarantined(REGION, f"{STREAM}/{event.shard}/")) == keys[1:]


def test_a_record_that_cannot_be_written_now_stays(pipeline: Pipeline, aws_environment: None) -> None:
    good = record()
    event = Event(pipeline.outputs[REGION]["StreamArn"], [encryptor(pipeline, REGION)(good)])
    key = quarantine_key(event.event_ids[0])
    document = json.dumps({"time": "2026-01-05T08:01:26Z", "reason": "by hand", "record": event.json["Records"][0]})
    s3, bucket = pipeline.stack.client("s3", REGION), pipeline.outputs[REGION]["QuarantineBucket"]
    s3.put_object(Bucket=bucket, Key=key, Body=document)

    with pipeline.consumer_settings(REGION, TABLE_NAME="no-such-table", TABLE_KEY_ATTRIBUTES="id:S"):
        said = redrive(pipeline, event, code=1).stdout
        assert said.startswith(f"{key}: it could not be written now")
        assert list(pipeline.quarantined(REGION, key)) == [key]

    assert redrive(pipeline, event).stdout == f"{key}: redriven\n"
    assert pipeline.items(REGION) == [parse_json(good)]
    assert pipeline.quarantined(REGION, key) == {}


def test_a_batch_that_lambda_skipped_gets_through(pipeline: Pipeline, aws_environment: None) -> None:
    records = [record(), record()]
    event = Event(pipeline.outputs[REGION]["StreamArn"], [encryptor(pipeline, REGION)(text) for text in records])
    # As Lambda stores it in an on-failure destination on S3.
    skipped = {
        "requestContext": {"condition": "RetryAttemptsExhausted", "approximateInvokeCount": 3},
        "timestamp": "2026-01-05T08:01:26.000Z",
        "KinesisBatchInfo": {"shardId": event.shard, "batchSize": 2},
        "payload": json.dumps(event.json),
    }
    key = f"aws/lambda/{uuid.uuid4()}/{event.shard}/2026/01/05/skipped"
    s3, bucket = pipeline.stack.client("s3", REGION), pipeline.outputs[REGION]["QuarantineBucket"]
    s3.put_object(Bucket=bucket, Key=key, Body=json.dumps(skipped))

    listed = redrive(pipeline, event, "--dry-run", prefix=key).stdout
    assert listed.startswith(f"{key}: 2026-01-05T08:01:26.000Z: skipped by Lambda: RetryAttemptsExhausted\n")
    assert redrive(pipeline, event, prefix=key).stdout == f"{key}: redriven\n"
    assert sorted(item["id"] for item in pipeline.items(REGION)) == sorted(parse_json(text)["id"] for text in records)
    assert pipeline.quarantined(REGION, key) == {}


def redrive(
    pipeline: Pipeline, event: Event, *arguments: str, prefix: str = "", code: int = 0
) -> subprocess.CompletedProcess:
    outputs = pipeline.outputs[REGION]
    command = [
        *(str(pipeline.sealstream), "redrive"),
        *("--region", REGION),
        *("--bucket", outputs["QuarantineBucket"]),
        *("--function", outputs["ConsumerFunction"]),
        *("--prefix", prefix or f"{STREAM}/{event.shard}/"),
        *arguments,
    ]
    return run(command, pipeline.stack.environment(), code=code)


def assert_quarantined(pipeline: Pipeline, reasons: dict[str, str]) -> None:
    documents = pipeline.quarantined(REGION)
    for event_id, reason in reasons.items():
        document = documents[quarantine_key(event_id)]
        assert document["reason"].startswith(reason)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", document["time"])
    assert MARKER not in json.dumps(documents)


def assert_logged(pipeline: Pipeline, reasons: dict[str, str]) -> None:
    def logged() -> dict[str, str]:
        """The reason for each event id of this test."""
        pattern = r'record quarantined event_id="(.*?)" kind=Record reason=(.*)'
        found = re.findall(pattern, plain_log(pipeline))
        return {event_id: reason for event_id, reason in found if event_id in reasons}

    wait_until(lambda: logged().keys() == reasons.keys(), LOG_SECONDS, "not every refusal is logged")
    for event_id, reason in logged().items():
        assert reason.startswith(reasons[event_id])
    assert MARKER not in plain_log(pipeline)


def plain_log(pipeline: Pipeline) -> str:
    """The consumer's log without colours."""
    return re.sub(r"\x1b\[\d+m", "", pipeline.consumer_log(REGION))
