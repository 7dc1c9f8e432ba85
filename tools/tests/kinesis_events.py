# SPDX-License-Identifier: Apache-2.0
"""Events as Lambda delivers them, and the messages in them."""

import base64
import random
from collections.abc import Callable

from aws_encryption_sdk import StrictAwsKmsMasterKeyProvider

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
        sequence_number = f"{4954 * 10**52 + number}"
        return {
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventName": "aws:kinesis:record",
            "eventID": f"{self.shard}:{sequence_number}",
            "eventSourceARN": stream_arn,
            "awsRegion": stream_arn.split(":")[3],
            "invokeIdentityArn": "arn:aws:iam::000000000000:role/record-consumer",
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": "key",
                "sequenceNumber": sequence_number,
                "data": base64.b64encode(message).decode(),
                "approximateArrivalTimestamp": 1767600000.125,
                "encryptionType": "NONE",
            },
        }


def quarantine_key(event_id: str) -> str:
    """Where the consumer stores a record."""
    shard, sequence_number = event_id.split(":")
    return f"{STREAM}/{shard}/{sequence_number}.json"
