#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes modelled_errors.tsv: every error that botocore's models name for the operations in use.

Causes are reviewed by hand: those in the file are kept, and new rows get a question mark, which the
test refuses. Run it with a Python that has botocore, after an update of the AWS SDK.
"""

import csv
from pathlib import Path

import botocore.session
from botocore.retries import standard

FILE = Path(__file__).with_suffix(".tsv")
COLUMNS = ["service", "operation", "code", "fault", "retry", "cause"]
OPERATIONS = {
    "cloudformation": "DescribeStackResources DescribeStacks",
    "dynamodb": "BatchGetItem BatchWriteItem CreateTable DeleteItem DescribeTable GetItem PutItem "
    "Query Scan TransactWriteItems UpdateItem UpdateTimeToLive",
    "kinesis": "DescribeStreamSummary GetRecords GetShardIterator ListShards PutRecords",
    "kms": "Decrypt DescribeKey Encrypt GenerateDataKey",
    "lambda": "GetEventSourceMapping GetFunctionConfiguration Invoke ListEventSourceMappings",
    "s3": "DeleteObject GetObject HeadBucket HeadObject ListObjectsV2 PutObject",
    "secretsmanager": "GetSecretValue",
    "sqs": "DeleteMessage DeleteMessageBatch ReceiveMessage SendMessage SendMessageBatch",
    "ssm": "GetParameter GetParameters",
    "sts": "AssumeRole AssumeRoleWithWebIdentity GetCallerIdentity",
}


def modelled():
    """Yields a row without its cause for each code of each operation."""
    session = botocore.session.get_session()
    for service, operations in OPERATIONS.items():
        model = session.get_service_model(service)
        for operation in operations.split():
            for shape in model.operation_model(operation).error_shapes:
                error = shape.metadata.get("error", {})
                server = shape.metadata.get("fault") or error.get("httpStatusCode", 400) >= 500
                retry = shape.metadata.get("retryable")
                kind = "-" if not retry else "throttling" if retry.get("throttling") else "transient"
                for code in {shape.name, error.get("code", shape.name)}:
                    yield service, operation, code, "server" if server else "client", kind


def retried():
    """Yields the codes that botocore's standard mode retries for all services."""
    throttled = standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES
    transient = standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES
    for kind, codes in [("throttling", throttled), ("transient", transient)]:
        for code in codes:
            yield "any", "any", code, "-", kind


def reviewed():
    """Returns the causes in the file, by service, operation and code."""
    if not FILE.exists():
        return {}
    with FILE.open(newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {(row["service"], row["operation"], row["code"]): row["cause"] for row in rows}


def main():
    causes = reviewed()
    rows = sorted({*modelled(), *retried()})
    with FILE.open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([*row, causes.get(row[:3], "?")] for row in rows)


if __name__ == "__main__":
    main()
