# SPDX-License-Identifier: Apache-2.0
"""Puts quarantined records through record-consumer again, and deletes those that get through. The same for batches that
Lambda skipped, which are under aws/lambda/.

A record that can still not be written stays in the quarantine. Without a version attribute a record replaces whatever
the table has under its key, also if that is newer.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

EXAMPLE = """\
example, for what shard 3 of the stream "records" has left:
  scripts/redrive --region us-east-1 --bucket sealstream-quarantine-1a2b3c \\
      --function sealstream-record-consumer --prefix records/shardId-000000000003/

Bucket and function are outputs of the stack: QuarantineBucket and ConsumerFunction. Credentials and Region are found
as the AWS CLI finds them; s3:ListBucket, s3:GetObject, s3:DeleteObject and lambda:InvokeFunction are needed. The exit
code is 0 only if every record got through.
"""
# More than the template's functions may take.
INVOCATION_SECONDS = 70


@dataclass
class Document:
    """What the quarantine has of a record, or of a batch that Lambda skipped."""

    key: str
    etag: str
    time: str
    reason: str
    event: dict


class Quarantine:
    """The documents of a bucket whose keys begin with a prefix."""

    def __init__(self, s3, bucket: str, prefix: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix

    def keys(self) -> Iterator[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        return (entry["Key"] for page in pages for entry in page.get("Contents", []))

    def read(self, key: str) -> Document:
        stored = self._s3.get_object(Bucket=self._bucket, Key=key)
        content = json.load(stored["Body"])
        return Document(key, stored["ETag"], *time_reason_and_event(content))

    def delete(self, document: Document) -> bool:
        """Deletes the document that was read. False if another is stored under its key by now.

        One that the consumer has stored since has another time in it, and so another ETag. S3 compares and deletes in
        one step, so that no such document is ever lost.
        """
        try:
            self._s3.delete_object(Bucket=self._bucket, Key=document.key, IfMatch=document.etag)
        except ClientError as error:
            # The second is S3's answer while the other document is being stored.
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict"):
                return False
            raise
        return True


def time_reason_and_event(content: dict) -> tuple[str, str, dict]:
    """Of what record-consumer has stored, or of what Lambda stores in an on-failure destination on S3."""
    if "record" in content:
        return content["time"], content["reason"], {"Records": [content["record"]]}
    payload = content["payload"]
    event = json.loads(payload) if isinstance(payload, str) else payload
    return content["timestamp"], f"skipped by Lambda: {content['requestContext']['condition']}", event


class Redrive:
    """Invokes record-consumer with records from the quarantine."""

    def __init__(self, quarantine: Quarantine, client, function: str) -> None:
        self._quarantine = quarantine
        self._lambda = client
        self._function = function

    def put_through(self, document: Document) -> str | None:
        """Why the record did not get through; None if it did and its document is deleted."""
        response = self._lambda.invoke(FunctionName=self._function, Payload=json.dumps(document.event))
        answer = json.load(response["Payload"])
        if "FunctionError" in response:
            return "the function failed; its log says why"
        if answer["batchItemFailures"]:
            return "it could not be written now; the function's log says why"
        if not self._quarantine.delete(document):
            return f"it is in the quarantine again: {self._quarantine.read(document.key).reason}"
        return None


def main() -> None:
    arguments = parse_arguments()
    session = boto3.Session(region_name=arguments.region)
    quarantine = Quarantine(session.client("s3"), arguments.bucket, arguments.prefix)
    config = Config(read_timeout=INVOCATION_SECONDS)
    redrive = Redrive(quarantine, session.client("lambda", config=config), arguments.function)
    keys = list(quarantine.keys())
    if arguments.dry_run:
        show(quarantine, keys)
    elif not put_all_through(quarantine, redrive, keys):
        sys.exit(1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/redrive",
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--bucket", required=True, help="the quarantine")
    parser.add_argument("--function", required=True, help="name or ARN of the function record-consumer")
    parser.add_argument(
        "--prefix", default="", help="only keys that begin with this: STREAM/SHARD/SEQUENCE-NUMBER.json"
    )
    parser.add_argument("--region", help="the AWS Region of both (default: as the AWS CLI finds it)")
    parser.add_argument("--dry-run", action="store_true", help="list the records with their reasons and do nothing")
    return parser.parse_args()


def show(quarantine: Quarantine, keys: list[str]) -> None:
    for key in keys:
        document = quarantine.read(key)
        print(f"{key}: {document.time}: {document.reason}")
    print(f"{len(keys)} records are in the quarantine")


def put_all_through(quarantine: Quarantine, redrive: Redrive, keys: list[str]) -> bool:
    """Says what becomes of each record, and whether all got through."""
    through = 0
    for key in keys:
        problem = redrive.put_through(quarantine.read(key))
        through += problem is None
        print(f"{key}: {problem or 'got through'}", flush=True)
    print(f"{through} of {len(keys)} records got through")
    return through == len(keys)


if __name__ == "__main__":
    try:
        main()
    except (BotoCoreError, ClientError) as failure:
        sys.exit(f"redrive: {failure}")
