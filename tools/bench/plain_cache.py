# SPDX-License-Identifier: Apache-2.0
"""Values with a time-to-live in a DynamoDB table, in Python and in the plain way, and reads of them."""

import sys
import time

import boto3

KEYS = 100


class PlainCache:
    def __init__(self, table: str) -> None:
        self._table = boto3.resource("dynamodb").Table(table)

    def get(self, key: str) -> str | None:
        item = self._table.get_item(Key={"id": key}).get("Item")
        if item is None or item["expires_at"] <= time.time():
            return None
        return item["cached_value"]

    def set(self, key: str, value: str, seconds: int = 55 * 60) -> None:
        item = {"id": key, "cached_value": value, "expires_at": int(time.time()) + seconds}
        self._table.put_item(Item=item)


def main() -> None:
    cache, reads = PlainCache(sys.argv[1]), int(sys.argv[2])
    for key in range(KEYS):
        cache.set(f"key {key}", "x" * 1024)
    for read in range(reads):
        if cache.get(f"key {read % KEYS}") is None:
            sys.exit("a value is missing")


if __name__ == "__main__":
    main()
