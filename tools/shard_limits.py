# SPDX-License-Identifier: Apache-2.0
"""A loopback proxy in front of an emulator of Kinesis that enforces the limits of PutRecords, which emulators leave out.

https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html: a request has at most 500 records and 10 MiB with
partition keys, or it is rejected as a whole. Each shard takes 1,000 records and 1 MiB a second; a record beyond that fails alone
with ProvisionedThroughputExceededException, while the others of the request are stored by the emulator.
"""

import base64
import contextlib
import hashlib
import http.client
import json
import threading
import time
import urllib.parse
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

RECORDS_LIMIT = 500
REQUEST_BYTES_LIMIT = 10 << 20
SHARD_RECORDS, SHARD_BYTES = 1000, 1 << 20


class ShardLimits:
    """The proxy, on a free port. `records_per_second` is of each shard, and 0 closes them."""

    def __init__(self, upstream: str, records_per_second: int = SHARD_RECORDS) -> None:
        self.records_per_second = records_per_second
        self.counts = Counter()
        """Records `stored` and `throttled`, and requests that were `rejected`."""
        self._upstream = urllib.parse.urlsplit(upstream).netloc
        self._lock = threading.Lock()
        self._spent: dict[tuple, tuple[float, int, int]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        limits = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                put = self.headers.get("X-Amz-Target", "").endswith(".PutRecords")
                status, answer = limits.put_records(self.headers, body) if put else limits.forward(self.headers, body)
                # A client that has stopped waiting is gone.
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/x-amz-json-1.1")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_) -> None:
                pass

        return Handler

    def forward(self, headers, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._upstream)
        kept = {name: value for name, value in headers.items() if name.lower() not in ("content-length", "host")}
        connection.request("POST", "/", body, kept)
        response = connection.getresponse()
        try:
            return response.status, response.read()
        finally:
            connection.close()

    def put_records(self, headers, body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        entries = request["Records"]
        if len(entries) > RECORDS_LIMIT or sum(map(size, entries)) > REQUEST_BYTES_LIMIT:
            self.counts["rejected"] += 1
            error = {"__type": "InvalidArgumentException", "message": "the request has too many records or bytes"}
            return 400, json.dumps(error).encode()
        allowed = self._allowed(headers, request.get("StreamName") or request["StreamARN"], entries)
        accepted = [entry for entry, fits in zip(entries, allowed, strict=True) if fits]
        stored = {"Records": []}
        if accepted:
            status, answer = self.forward(headers, json.dumps(request | {"Records": accepted}).encode())
            if status != 200:
                return status, answer
            stored = json.loads(answer)
        results = iter(stored["Records"])
        records = [next(results) if fits else throttled() for fits in allowed]
        failed = sum(bool(record.get("ErrorCode")) for record in records)
        self.counts.update(stored=len(records) - failed, throttled=len(allowed) - len(accepted))
        return 200, json.dumps(stored | {"Records": records, "FailedRecordCount": failed}).encode()

    def _allowed(self, headers, stream: str, entries: list[dict]) -> list[bool]:
        """Which entries their shards still take in this second."""
        region = headers["Authorization"].split("/")[2]
        shards = self._shards(headers, stream)
        with self._lock:
            return [self._spend((region, stream, shard_of(shards, entry)), size(entry)) for entry in entries]

    def _spend(self, shard: tuple, entry_bytes: int) -> bool:
        now = time.monotonic()
        began, records, spent_bytes = self._spent.get(shard, (now, 0, 0))
        if now - began >= 1:
            began, records, spent_bytes = now, 0, 0
        # A record above the limit of a second is taken, if nothing else was.
        fits = records < self.records_per_second and (not records or spent_bytes + entry_bytes <= SHARD_BYTES)
        if fits:
            records, spent_bytes = records + 1, spent_bytes + entry_bytes
        self._spent[shard] = began, records, spent_bytes
        return fits

    def _shards(self, headers, stream: str) -> list[dict]:
        listing = dict(headers.items()) | {"X-Amz-Target": "Kinesis_20131202.ListShards"}
        key = "StreamARN" if stream.startswith("arn:") else "StreamName"
        status, answer = self.forward(listing, json.dumps({key: stream}).encode())
        return json.loads(answer)["Shards"] if status == 200 else []


def size(entry: dict) -> int:
    return len(base64.b64decode(entry["Data"])) + len(entry["PartitionKey"].encode())


def shard_of(shards: list[dict], entry: dict) -> str | None:
    """The open shard whose range has the hash of the partition key."""
    key = int.from_bytes(hashlib.md5(entry["PartitionKey"].encode(), usedforsecurity=False).digest())
    for shard in shards:
        hashes, sequence = shard["HashKeyRange"], shard["SequenceNumberRange"]
        open_shard = not sequence.get("EndingSequenceNumber")
        if open_shard and int(hashes["StartingHashKey"]) <= key <= int(hashes["EndingHashKey"]):
            return shard["ShardId"]
    return None


def throttled() -> dict:
    return {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded for the shard"}
