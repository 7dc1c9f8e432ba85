# SPDX-License-Identifier: Apache-2.0
"""Records through the whole pipeline."""

import json
import re
import uuid

from tools import ROOT
from tools.local_aws.pipeline import REGIONS, Pipeline
from tools.local_aws.stack import parse_json
from tools.tests.conftest import run

SAMPLE = ROOT / "events" / "sample-records.ndjson"
INVOCATION = ROOT / "events" / "record-pusher.json"


def test_the_sample_records_reach_the_tables_of_both_regions(pipeline: Pipeline) -> None:
    calls_before = pipeline.stack.kms_calls()
    command = [*pipeline.push_command(), "--output", "json", str(SAMPLE)]
    summary = json.loads(run(command, pipeline.stack.environment()).stdout)
    sent = [parse_json(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    pipeline.wait_for_items(sent)

    records = len(sent)
    assert records == 600
    assert summary.pop("elapsed_seconds") > 0
    delivered = {"delivered": records, "undelivered": 0, "spooled": 0, "throttled_attempts": 0, "failed_attempts": 0}
    assert summary == {
        "records": records,
        "delivered": records,
        "undelivered": 0,
        "rejected_lines": 0,
        "interrupted": False,
        "spool_failed": False,
        "continue_from": None,
        "exit_code": 0,
        "plaintext_bytes": SAMPLE.stat().st_size,
        "regions": {region: delivered for region in REGIONS},
        "cache": {"hits": 594, "misses": 6, "hit_rate": 0.99},
    }
    # One data key for a hundred records: made in the first Region, wrapped in the second, unwrapped in both.
    calls = pipeline.stack.kms_calls()
    assert {region: calls[region] - calls_before[region] for region in REGIONS} == {
        "us-east-1": {"GenerateDataKey": 6, "Decrypt": 6},
        "eu-west-1": {"Encrypt": 6, "Decrypt": 6},
    }


def test_the_function_pushes_a_list_of_records(pipeline: Pipeline) -> None:
    # As text, because every digit counts.
    records = INVOCATION.read_text(encoding="utf-8").rstrip().removesuffix("}")
    response = pipeline.invoke_pusher(records + ', "acknowledgements": true}')
    records = parse_json(records + "}")["records"]
    pipeline.wait_for_items(records)
    acknowledgements = response.pop("acknowledgements")
    assert response == {"records": len(records), "undelivered": 0, "failed": []}
    assert len(acknowledgements) == len(records)
    for record in acknowledgements:
        assert re.fullmatch("[0-9a-f]{32}", record["partitionKey"])
        assert list(record["regions"]) == sorted(REGIONS)
        for acknowledgement in record["regions"].values():
            assert re.fullmatch(r"shardId-\d{12}", acknowledgement["shardId"])
            assert re.fullmatch(r"\d+", acknowledgement["sequenceNumber"])


def test_the_function_pushes_a_single_object(pipeline: Pipeline) -> None:
    # The local AWS parses the event, and so keeps only the digits that a float has.
    event = f'{{"id": "{uuid.uuid4()}", "name": "Łukasz", "amount": 1234.5}}'
    response = pipeline.invoke_pusher(event)
    pipeline.wait_for_items([parse_json(event)])
    assert response == {"records": 1, "undelivered": 0, "failed": []}
