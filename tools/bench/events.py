# SPDX-License-Identifier: Apache-2.0
"""Prints events for a function that reads a stream, one a line: batches of 100 records, each with its own data key."""

import argparse
import base64
import itertools
import json

from tools.bench.producer import SUITES, Encryptor
from tools.bench.records import BATCH_RECORDS, lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stream", required=True)
    parser.add_argument("--suite", required=True, choices=SUITES)
    parser.add_argument("--key-arns", required=True, help="a key in each Region, separated by commas")
    parser.add_argument("--batches", required=True, type=int)
    arguments = parser.parse_args()

    # A data key of this producer lasts for as many records as a batch has.
    encryptor = Encryptor(arguments.key_arns.split(","), arguments.suite, arguments.stream)
    messages = map(encryptor.encrypt, lines(arguments.batches * BATCH_RECORDS))
    records = (record(arguments.stream, number, message) for number, message in enumerate(messages))
    for _ in range(arguments.batches):
        print(json.dumps({"Records": list(itertools.islice(records, BATCH_RECORDS))}))


def record(stream: str, number: int, message: bytes) -> dict:
    sequence_number = f"{number:056}"
    return {
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/consumer",
        "awsRegion": "us-east-1",
        "eventSourceARN": f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}",
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": f"{number:032x}",
            "sequenceNumber": sequence_number,
            "data": base64.b64encode(message).decode(),
            "approximateArrivalTimestamp": 1767600000.0,
        },
    }


if __name__ == "__main__":
    main()
