# SPDX-License-Identifier: Apache-2.0
"""Prints an event for record-consumer: records of a Kinesis stream, encrypted as they are there, as Lambda delivers them.

Like Lambda's, the event has records of one shard only: the oldest ones of the first shard that has some.
"""

import argparse
import base64
import json
import sys
from collections.abc import Iterator
from itertools import islice

import boto3
from botocore.exceptions import BotoCoreError, ClientError

EXAMPLE = """\
example, on the local AWS that scripts/demo --keep has left running:
  events/make-consumer-event --region us-east-1 --stream records >event.json

Credentials, Region and endpoint are found as the AWS CLI finds them; kinesis:DescribeStreamSummary, kinesis:ListShards,
kinesis:GetShardIterator and kinesis:GetRecords are needed, and no permission on a key.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="events/make-consumer-event",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--region", help="Region of the stream")
    parser.add_argument("--stream", required=True, help="name of the stream")
    parser.add_argument("--records", type=positive, default=10, metavar="N", help="at most so many (default: 10)")
    arguments = parser.parse_args()
    try:
        records = event_records(boto3.client("kinesis", arguments.region), arguments.stream, arguments.records)
    except (BotoCoreError, ClientError) as error:
        sys.exit(f"make-consumer-event: {error}")
    if not records:
        sys.exit(f"make-consumer-event: the stream {arguments.stream} holds no record; push some first")
    print(json.dumps({"Records": records}, indent=2))


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return int(text)


def event_records(kinesis, stream: str, count: int) -> list[dict]:
    """The oldest records of the first shard that has some."""
    stream_arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
    for page in kinesis.get_paginator("list_shards").paginate(StreamName=stream):
        for shard in page["Shards"]:
            if records := list(islice(shard_records(kinesis, stream, shard["ShardId"]), count)):
                return [as_delivered(stream_arn, shard["ShardId"], record) for record in records]
    return []


def shard_records(kinesis, stream: str, shard: str) -> Iterator[dict]:
    """The records of a shard from the oldest to the newest."""
    position = {"ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(StreamName=stream, **position)["ShardIterator"]
    while iterator:
        page = kinesis.get_records(ShardIterator=iterator)
        yield from page["Records"]
        # A page can be empty though the shard has more.
        iterator = page.get("NextShardIterator") if page["MillisBehindLatest"] else None


def as_delivered(stream_arn: str, shard: str, record: dict) -> dict:
    """A record, as GetRecords returns it, in the form in which Lambda delivers it:
    https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    return {
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventName": "aws:kinesis:record",
        "eventID": f"{shard}:{record['SequenceNumber']}",
        "eventSourceARN": stream_arn,
        "awsRegion": stream_arn.split(":")[3],
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/record-consumer",
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record["PartitionKey"],
            "sequenceNumber": record["SequenceNumber"],
            "data": base64.b64encode(record["Data"]).decode(),
            "approximateArrivalTimestamp": record["ApproximateArrivalTimestamp"].timestamp(),
            "encryptionType": record.get("EncryptionType", "NONE"),
        },
    }


if __name__ == "__main__":
    main()
