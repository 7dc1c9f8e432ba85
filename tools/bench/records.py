# SPDX-License-Identifier: Apache-2.0
"""The records that the benchmarks push and consume: 1 KiB of JSON each, most of it text that does not repeat."""

import base64
import json
from collections.abc import Iterator
from random import Random

RECORD_BYTES = 1024
# In one event of a function.
BATCH_RECORDS = 100


def lines(count: int) -> Iterator[bytes]:
    """The first `count` records, each with an id of its own. They are the same every time."""
    chance = Random(0)
    return (record(chance) for _ in range(count))


def record(chance: Random) -> bytes:
    fields = {
        "id": f"{chance.getrandbits(128):032x}",
        "kind": "note",
        "amount": chance.randrange(10**6) / 100,
        "text": "",
    }
    room = RECORD_BYTES - len(json.dumps(fields))
    fields["text"] = base64.b64encode(chance.randbytes(room))[:room].decode()
    return json.dumps(fields).encode()
