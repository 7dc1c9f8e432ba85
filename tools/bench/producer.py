# SPDX-License-Identifier: Apache-2.0
"""Pushes JSON lines from standard input to a stream in several Regions, as `sealstream push` does, in Python.

It follows the producer in the AWS Encryption SDK's developer guide (data key caching, "MultiRegionRecordPusher"), with
two things that make it faster: it puts 500 records with one request, and it sends a line as it is instead of writing
the JSON anew.
"""

import argparse
import itertools
import json
import sys
import uuid

import boto3
from aws_encryption_sdk import (
    CachingCryptoMaterialsManager,
    CommitmentPolicy,
    EncryptionSDKClient,
    LocalCryptoMaterialsCache,
    StrictAwsKmsMasterKeyProvider,
)
from aws_encryption_sdk.identifiers import AlgorithmSuite

PUT_RECORDS_LIMIT = 500
SUITES = {
    "unsigned": AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    "signed": AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", required=True)
    parser.add_argument("--suite", required=True, choices=SUITES)
    parser.add_argument("--key-arns", required=True, help="a key or alias in each Region, separated by commas")
    arguments = parser.parse_args()

    key_arns = arguments.key_arns.split(",")
    encryptor = Encryptor(key_arns, arguments.suite, arguments.stream)
    streams = [boto3.client("kinesis", region_name=arn.split(":")[3]) for arn in key_arns]
    while lines := list(itertools.islice(sys.stdin.buffer, PUT_RECORDS_LIMIT)):
        records = [{"Data": encryptor.encrypt(record(line)), "PartitionKey": uuid.uuid4().hex} for line in lines]
        for kinesis in streams:
            put(kinesis, arguments.stream, records)


class Encryptor:
    """Encrypts records under one key in every Region. The first one generates the data keys."""

    def __init__(self, key_arns: list[str], suite: str, stream: str) -> None:
        self._client = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
        self._suite = SUITES[suite]
        self._context = {"stream": stream}
        self._materials = CachingCryptoMaterialsManager(
            master_key_provider=StrictAwsKmsMasterKeyProvider(key_ids=key_arns),
            cache=LocalCryptoMaterialsCache(capacity=100),
            max_age=300.0,
            max_messages_encrypted=100,
        )

    def encrypt(self, plaintext: bytes) -> bytes:
        message, _ = self._client.encrypt(
            source=plaintext,
            # The cache takes part only where the length is known beforehand.
            source_length=len(plaintext),
            materials_manager=self._materials,
            algorithm=self._suite,
            encryption_context=self._context,
        )
        return message


def record(line: bytes) -> bytes:
    if not isinstance(json.loads(line), dict):
        sys.exit("a line is not a JSON object")
    return line.rstrip(b"\n")


def put(kinesis, stream: str, records: list[dict]) -> None:
    response = kinesis.put_records(StreamName=stream, Records=records)
    if response["FailedRecordCount"]:
        sys.exit(f"{response['FailedRecordCount']} records were refused")


if __name__ == "__main__":
    main()
