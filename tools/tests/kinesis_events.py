# SPDX-License-Identifier: Apache-2.0
"""Events as Lambda delivers them, and the messages in them."""

import random
from collections.abc import Callable
from datetime import UTC, datetime

from aws_encryption_sdk import StrictAwsKmsMasterKeyProvider

from tools.consumer_event import as_delivered
from tools.interop.esdk import caching_manager, encrypt
from tools.local_aws.pipeline import STREAM, Pipeline

Encrypt = Callable[..., bytes]


def encryptor(pipeline: Pipeline, region: str) -> Encrypt:
    """Encrypts a plaintext for a stream of a Region."""
    materials = caching_manager(StrictAwsKmsMasterKeyProvider(key_ids=[pipeline.outputs[region]["KeyArn"]]))

    def encrypted(plaintext: str, suite: str = "signed", stream: str = STREAM) -> bytes:
        return encrypt(materials, suite, {"stream": stream}, plaintext.encode())

    return encrypted


class Event:
    """An event with records of a shard that no other test has."""

    def __init__(self, stream_arn: str, data: list[bytes]) -> None:
        self.shard = f"shardId-{random.randrange(10**12):012}"
        self.json = {"Records": [self._record(stream_arn, number, message) for number, message in enumerate(data, 1)]}
        self.event_ids = [record["eventID"] for record in self.json["Records"]]
        self.sequence_numbers = [record["kinesis"]["sequenceNumber"] for record in self.json["Records"]]

    def _record(self, stream_arn: str, number: int, message: bytes) -> dict:
        record = {
            "SequenceNumber": f"{4954 * 10**52 + number}",
            "PartitionKey": "key",
            "Data": message,
            "ApproximateArrivalTimestamp": datetime.fromtimestamp(1767600000.125, UTC),
        }
        return as_delivered(stream_arn, self.shard, record)


def quarantine_key(event_id: str) -> str:
    """Where the consumer stores a record."""
    shard, sequence_number = event_id.split(":")
    return f"{STREAM}/{shard}/{sequence_number}.json"
