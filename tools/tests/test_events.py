# SPDX-License-Identifier: Apache-2.0
"""The events of events/, in the functions that they are for."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.local_aws.pipeline import REGIONS, STREAM, Pipeline
from tools.local_aws.stack import parse_json
from tools.tests.conftest import empty_table, local_aws, run

REGION = REGIONS[1]


def consumer_event(pipeline: Pipeline, stream: str) -> list[str]:
    return [str(pipeline.sealstream), "consumer-event", "--region", REGION, "--stream", stream]


@pytest.fixture
def untouched(binaries: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    """A pipeline whose stream holds nothing of other tests. The consumer may not decrypt what is in any other stream."""
    with local_aws(request) as stack:
        yield Pipeline(stack, binaries)


def test_an_event_of_what_was_pushed_goes_through_the_consumer(untouched: Pipeline) -> None:
    environment = untouched.stack.environment()
    lines = [json.dumps({"id": f"{uuid.uuid4()}", "kind": "order", "amount": number}) for number in range(10)]
    # One partition key, and so one shard.
    command = [*untouched.push_command(), "--partition-key-field", "kind"]
    run(command, environment, "\n".join(lines))
    untouched.wait_for_items_in(REGION, [parse_json(line) for line in lines])
    empty_table(untouched, REGION)

    made = run([*consumer_event(untouched, STREAM), "--records", "9"], environment).stdout
    event = json.loads(made)
    assert len(event["Records"]) == 9
    assert {record["eventSourceARN"].rpartition("/")[2] for record in event["Records"]} == {STREAM}

    response = untouched.invoke_consumer(REGION, made)
    assert response["batchItemFailures"] == []
    untouched.wait_for_items_in(REGION, [parse_json(line) for line in lines[:9]])


def test_a_stream_without_records_makes_no_event(pipeline: Pipeline, stream: str) -> None:
    result = run(consumer_event(pipeline, stream), pipeline.stack.environment(), code=1)
    assert result.stderr == f"error: stream {stream} in {REGION} holds no record\n  push some first\n"
    assert result.stdout == ""
