# SPDX-License-Identifier: Apache-2.0
"""What AWS's services cost."""

from dataclasses import dataclass

KINESIS = "https://aws.amazon.com/kinesis/data-streams/pricing/"
DYNAMODB = "https://aws.amazon.com/dynamodb/pricing/"
LAMBDA = "https://aws.amazon.com/lambda/pricing/"
CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
KMS = "https://aws.amazon.com/kms/pricing/"


@dataclass(frozen=True)
class Price:
    """What one thing costs in us-east-1, in US dollars."""

    usd: float
    page: str
    read: str


# AWS fills the figures into its pages by script, so these are as others have quoted them, at the time that is given.
# Check them: they differ by Region, and change. --price NAME=USD sets another.
PRICES = {
    "kms-request": Price(0.03 / 10_000, KMS, "March 2026"),
    "kms-key-month": Price(1.0, KMS, "March 2026"),
    "kinesis-gib-in": Price(0.08, KINESIS, "September 2023"),
    "kinesis-gib-out": Price(0.04, KINESIS, "September 2023"),
    "kinesis-stream-hour": Price(0.04, KINESIS, "September 2023"),
    "kinesis-retention-gib-month": Price(0.10, KINESIS, "2024, on demand, beyond 24 hours"),
    "kinesis-put-unit": Price(0.014 / 1e6, KINESIS, "September 2023"),
    "kinesis-shard-hour": Price(0.015, KINESIS, "September 2023"),
    "kinesis-retention-shard-hour": Price(0.020, KINESIS, "2024, provisioned, 24 hours to 7 days"),
    "lambda-request": Price(0.20 / 1e6, LAMBDA, "2024"),
    "lambda-gb-second": Price(0.0000133334, LAMBDA, "2024, arm64"),
    "dynamodb-write-unit": Price(0.625 / 1e6, DYNAMODB + "on-demand/", "July 2025"),
    "dynamodb-write-capacity-hour": Price(0.00065, DYNAMODB + "provisioned/", "2024"),
    "logs-gib": Price(0.50, CLOUDWATCH, "2024"),
    "metric-month": Price(0.30, CLOUDWATCH, "2024"),
    "alarm-metric-month": Price(0.10, CLOUDWATCH, "2024"),
}
# On-demand Advantage, a setting of the account: no stream-hours, and at least 60 % less for data in, data out and
# retention. https://aws.amazon.com/blogs/big-data/amazon-kinesis-data-streams-launches-on-demand-advantage-for-instant-throughput-increases-and-streaming-at-scale
ADVANTAGE = 0.4
