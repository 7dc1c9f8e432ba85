# SPDX-License-Identifier: Apache-2.0
"""Records between this project and programs on the AWS Encryption SDKs for Python and JavaScript, both ways."""

import json
import sys
import uuid
from pathlib import Path

import pytest

from tools import ROOT
from tools.local_aws.pipeline import REGIONS, STREAM, Pipeline
from tools.local_aws.stack import parse_json
from tools.tests.conftest import run, stream_data

INTEROP = ROOT / "tools" / "interop"
NODE = Path(sys.prefix) / "bin" / "node"
CONSUMERS = {
    "python": [sys.executable, "-m", "tools.interop.consumer"],
    "javascript": [str(NODE), str(INTEROP / "javascript" / "consumer.mjs")],
}
PRODUCERS = {
    "python": [sys.executable, "-m", "tools.interop.producer"],
    "javascript": [str(NODE), str(INTEROP / "javascript" / "producer.mjs")],
}

# The suites of the AWS Encryption SDK, as a message names them after its first byte.
SUITES = {"signed": b"\x05\x78", "unsigned": b"\x04\x78"}


def records() -> list[str]:
    """Records with what JSON can hold, each with an id of its own."""
    contents = [
        '"text": "Zażółć gęślą jaźń, 佐藤 陽菜, 🙂, \\u00e9 \\ud83d\\ude42 \\" \\\\ \\n", "ключ": "значение"',
        '"integer": 12345678901234567890123456789012345678, "negative": -99999999999999999999999999999999999999',
        '"fraction": 3.1415926535897932384626433832795028841, "small": 1e-130, "large": 9.9E+37, "zero": 0.00',
        '"nested": {"list": [1, [2.50, {"deep": null}], true], "empty": {}, "none": [], "text": ""}',
        f'"long": "{"ß" * 20_000}"',
    ]
    return [f'{{"id": "{uuid.uuid4()}", {content}}}' for content in contents]


@pytest.mark.parametrize("language", CONSUMERS)
@pytest.mark.parametrize("suite", SUITES)
def test_another_consumer_reads_what_sealstream_wrote(
    pipeline: Pipeline, stream: str, suite: str, language: str
) -> None:
    lines = records()
    environment = pipeline.stack.environment()
    command = [*pipeline.push_command(stream), "--suite", suite, "--output", "json"]
    summary = json.loads(run(command, environment, "\n".join(lines)).stdout)
    assert summary["delivered"] == len(lines)

    for region in REGIONS:
        key_arn = pipeline.outputs[region]["KeyArn"]
        reader = [*CONSUMERS[language], "--region", region, "--stream", stream, "--key-arn", key_arn]
        plaintexts = run(reader, environment).stdout.splitlines()
        assert sorted(plaintexts) == sorted(lines)
        assert {message[1:3] for message in stream_data(pipeline, region, stream)} == {SUITES[suite]}


@pytest.mark.parametrize("language", PRODUCERS)
@pytest.mark.parametrize("options", [[], ["--unsigned"]], ids=["signed", "unsigned"])
def test_the_consumer_writes_what_another_producer_pushed(
    pipeline: Pipeline, options: list[str], language: str
) -> None:
    lines = records()
    key_arns = ",".join(pipeline.outputs[region]["KeyArn"] for region in REGIONS)
    command = [*PRODUCERS[language], "--stream", STREAM, "--key-arns", key_arns, *options]
    run(command, pipeline.stack.environment(), "\n".join(lines))
    pipeline.wait_for_items([parse_json(line) for line in lines])
