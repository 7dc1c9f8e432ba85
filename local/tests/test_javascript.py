# SPDX-License-Identifier: Apache-2.0
"""Records between this project and programs on the AWS Encryption SDK for JavaScript, both ways."""

import json
import sys
from pathlib import Path

import pytest
from conftest import run, stream_data
from pipeline import REGIONS, STREAM, Pipeline
from stack import ROOT, parse_json
from test_interoperation import SUITES, records

NODE = Path(sys.prefix) / "bin" / "node"
CONSUMER = ROOT / "local" / "interop" / "javascript" / "consumer.mjs"
PRODUCER = ROOT / "local" / "interop" / "javascript" / "producer.mjs"


@pytest.mark.parametrize("suite", SUITES)
def test_javascript_reads_what_push_records_wrote(pipeline: Pipeline, stream: str, suite: str) -> None:
    lines = records()
    environment = pipeline.stack.environment()
    command = [*pipeline.push_command(stream), "--suite", suite, "--output", "json"]
    summary = json.loads(run(command, environment, "\n".join(lines)).stdout)
    assert summary["delivered"] == len(lines)

    for region in REGIONS:
        key_arn = pipeline.outputs[region]["KeyArn"]
        reader = [str(NODE), str(CONSUMER), "--region", region, "--stream", stream, "--key-arn", key_arn]
        plaintexts = run(reader, environment).stdout.splitlines()
        assert sorted(plaintexts) == sorted(lines)
        assert {message[1:3] for message in stream_data(pipeline, region, stream)} == {SUITES[suite]}


@pytest.mark.parametrize("options", [[], ["--unsigned"]], ids=["signed", "unsigned"])
def test_the_consumer_writes_what_javascript_pushed(pipeline: Pipeline, options: list[str]) -> None:
    lines = records()
    key_arns = ",".join(pipeline.outputs[region]["KeyArn"] for region in REGIONS)
    command = [str(NODE), str(PRODUCER), "--stream", STREAM, "--key-arns", key_arns, *options]
    run(command, pipeline.stack.environment(), "\n".join(lines))
    pipeline.wait_for_items([parse_json(line) for line in lines])
