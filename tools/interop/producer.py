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
from aws_encryption_sdk import StrictAwsKmsMasterKeyProvider

from tools.interop.esdk import caching_manager, encrypt

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
    materials = caching_manager(StrictAwsKmsMasterKeyProvider(key_ids=key_arns))
    suite = "unsigned" if arguments.unsigned else "signed"
    context = {"stream": arguments.stream}
    plaintexts = [line.rstrip("\n").encode() for line in sys.stdin if line.strip()]
    records = [
        {"Data": encrypt(materials, suite, context, plaintext), "PartitionKey": uuid.uuid4().hex}
        for plaintext in plaintexts
    ]
    for region in (arn.split(":")[3] for arn in key_arns):
        put(boto3.client("kinesis", region_name=region), arguments.stream, records)


def put(kinesis, stream: str, records: list[dict]) -> None:
    for start in range(0, len(records), PUT_RECORDS_LIMIT):
        response = kinesis.put_records(StreamName=stream, Records=records[start : start + PUT_RECORDS_LIMIT])
        if response["FailedRecordCount"]:
            sys.exit(f"{response['FailedRecordCount']} records were refused")


if __name__ == "__main__":
    main()
