# SPDX-License-Identifier: Apache-2.0
"""A Lambda function that decrypts a stream's records and writes them to a table, as record-consumer does, in Python.

It is set by the same environment variables. `serve` is in place of Lambda's own runtime for Python, awslambdaric, which
has to be compiled where there is no wheel of it; it does the same four steps and none of the runtime's logging.
"""

import base64
import http.client
import json
import os
from collections.abc import Callable
from decimal import Decimal

import boto3
from aws_encryption_sdk import (
    CachingCryptoMaterialsManager,
    CommitmentPolicy,
    EncryptionSDKClient,
    LocalCryptoMaterialsCache,
    StrictAwsKmsMasterKeyProvider,
)

CLIENT = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
MATERIALS = CachingCryptoMaterialsManager(
    master_key_provider=StrictAwsKmsMasterKeyProvider(key_ids=[os.environ["CMK_ARN"]]),
    cache=LocalCryptoMaterialsCache(capacity=100),
    max_age=600.0,
)
TABLE = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def handle(event: dict) -> dict:
    with TABLE.batch_writer() as batch:
        for record in event["Records"]:
            batch.put_item(Item=item(record))
    return {"batchItemFailures": []}


def item(record: dict) -> dict:
    message = base64.b64decode(record["kinesis"]["data"])
    plaintext, header = CLIENT.decrypt(source=message, materials_manager=MATERIALS)
    stream = record["eventSourceARN"].split("/")[1]
    if header.encryption_context["stream"] != stream:
        raise ValueError(f"a record in the stream {stream} was encrypted for another one")
    return json.loads(plaintext, parse_float=Decimal)


def serve(handler: Callable[[dict], dict]) -> None:
    """Answers events until the process is ended, as Lambda does it, or until the handler fails."""
    runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        runtime.request("GET", "/2018-06-01/runtime/invocation/next")
        invocation = runtime.getresponse()
        answer = json.dumps(handler(json.loads(invocation.read())))
        identifier = invocation.headers["lambda-runtime-aws-request-id"]
        runtime.request("POST", f"/2018-06-01/runtime/invocation/{identifier}/response", answer)
        runtime.getresponse().read()


if __name__ == "__main__":
    serve(handle)
