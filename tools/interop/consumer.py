# SPDX-License-Identifier: Apache-2.0
"""Reads a stream with the AWS Encryption SDK for Python and prints each record's plaintext on a line of its own.

It shares no code with the Rust crates: what it can read, every AWS Encryption SDK can.
"""

import argparse
import sys
from collections.abc import Iterator

import boto3
from aws_encryption_sdk import StrictAwsKmsMasterKeyProvider

from tools.interop.esdk import CLIENT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--region", required=True)
    parser.add_argument("--stream", required=True)
    parser.add_argument("--key-arn", required=True, help="the only key that records are accepted under")
    arguments = parser.parse_args()

    keys = StrictAwsKmsMasterKeyProvider(key_ids=[arguments.key_arn])
    for message in messages(boto3.client("kinesis", region_name=arguments.region), arguments.stream):
        plaintext, header = CLIENT.decrypt(source=message, key_provider=keys)
        stream = header.encryption_context.get("stream")
        if stream != arguments.stream:
            sys.exit(f"a record in the stream {arguments.stream} was encrypted for the stream {stream}")
        print(plaintext.decode())


def messages(kinesis, stream: str) -> Iterator[bytes]:
    """The data of every record that is in the stream now, shard by shard, oldest first."""
    for shard in shards(kinesis, stream):
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        behind = True
        while behind and iterator:
            page = kinesis.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                yield record["Data"]
            iterator = page.get("NextShardIterator")
            behind = page["MillisBehindLatest"] > 0


def shards(kinesis, stream: str) -> Iterator[dict]:
    for page in kinesis.get_paginator("list_shards").paginate(StreamName=stream):
        yield from page["Shards"]


if __name__ == "__main__":
    main()
