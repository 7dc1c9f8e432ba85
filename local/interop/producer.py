# SPDX-License-Identifier: Apache-2.0
"""Encrypts records, one a line on standard input, with the AWS Encryption SDK for Python and puts them to a stream.

Each record is encrypted once, under one key in every Region, with data keys from the SDK's own caching materials
manager, and put under the same partition key in every Region. It shares no code with the Rust crates: what it writes,
every AWS Encryption SDK may write.
"""

import argparse
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", required=True)
    parser.add_argument(
        "--key-arns", required=True, help="a key in each Region, separated by commas; the first generates data keys"
    )
    parser.add_argument("--unsigned", action="store_true", help="use the suite without a signature")
    arguments = parser.parse_args()

    key_arns = arguments.key_arns.split(",")
    encrypt = encryptor(key_arns, arguments.stream, arguments.unsigned)
    records = [
        {"Data": encrypt(line.rstrip("\n")), "PartitionKey": uuid.uuid4().hex} for line in sys.stdin if line.strip()
    ]
    for region in (arn.split(":")[3] for arn in key_arns):
        put(boto3.client("kinesis", region_name=region), arguments.stream, records)


def encryptor(key_arns: list[str], stream: str, unsigned: bool):
    """A function that turns a plaintext into a message for the stream."""
    client = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    materials = CachingCryptoMaterialsManager(
        master_key_provider=StrictAwsKmsMasterKeyProvider(key_ids=key_arns),
        cache=LocalCryptoMaterialsCache(capacity=100),
        max_age=600.0,
        max_messages_encrypted=100,
    )
    suite = (
        AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY
        if unsigned
        else AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384
    )

    def encrypt(plaintext: str) -> bytes:
        source = plaintext.encode()
        message, _ = client.encrypt(
            source=source,
            # The cache takes part only where the length is known beforehand.
            source_length=len(source),
            materials_manager=materials,
            algorithm=suite,
            encryption_context={"stream": stream},
        )
        return message

    return encrypt


def put(kinesis, stream: str, records: list[dict]) -> None:
    for start in range(0, len(records), PUT_RECORDS_LIMIT):
        response = kinesis.put_records(StreamName=stream, Records=records[start : start + PUT_RECORDS_LIMIT])
        if response["FailedRecordCount"]:
            sys.exit(f"{response['FailedRecordCount']} records were refused")


if __name__ == "__main__":
    main()
