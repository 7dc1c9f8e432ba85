# SPDX-License-Identifier: Apache-2.0
"""The events of events/, in the functions that they are for."""

import json
import uuid

from conftest import run
from pipeline import REGIONS, Pipeline
from stack import ROOT, parse_json

REGION = REGIONS[1]
MAKE = str(ROOT / "events" / "make-consumer-event")


def test_an_event_of_what_was_pushed_goes_through_the_consumer(pipeline: Pipeline, stream: str) -> None:
    environment = pipeline.stack.environment()
    lines = [json.dumps({"id": f"{uuid.uuid4()}", "kind": "order", "amount": number}) for number in range(10)]
    # One partition key, and so one shard.
    command = [*pipeline.push_command(stream), "--partition-key-field", "kind"]
    run(command, environment, "\n".join(lines))

    made = run([MAKE, "--region", REGION, "--stream", stream, "--records", "9"], environment).stdout
    event = json.loads(made)
    assert len(event["Records"]) == 9
    assert {record["eventSourceARN"].rpartition("/")[2] for record in event["Records"]} == {stream}

    response = pipeline.invoke_consumer(REGION, made)
    assert response["batchItemFailures"] == []
    pipeline.wait_for_items_in(REGION, [parse_json(line) for line in lines[:9]])


def test_a_stream_without_records_makes_no_event(pipeline: Pipeline, stream: str) -> None:
    result = run([MAKE, "--region", REGION, "--stream", stream], pipeline.stack.environment(), code=1)
    assert result.stderr == f"make-consumer-event: the stream {stream} holds no record; push some first\n"
    assert result.stdout == ""
