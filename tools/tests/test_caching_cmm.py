# SPDX-License-Identifier: Apache-2.0
"""The caching CMM of esdk-caching-cmm: messages to and from the AWS Encryption SDKs for Python and JavaScript, and the
calls to KMS that it saves."""

import base64
import itertools
import json
import os
import sys
from pathlib import Path

import pytest

from tools.local_aws.pipeline import KEY_ALIAS, REGIONS, Pipeline
from tools.tests.conftest import run
from tools.tests.test_interoperation import INTEROP, NODE, SUITES

PROGRAMS = {
    "python": [sys.executable, "-m", "tools.interop.messages"],
    "javascript": [str(NODE), str(INTEROP / "javascript" / "messages.mjs")],
}

CONTEXTS = [
    {},
    {"stream": "records", "purpose": "test"},
    # The order of U+FF5E and U+1F642 is not the same in UTF-8 and in UTF-16.
    {"～": "全角", "🙂": "😀 𝄞", "ключ": "значение", "é": "", "e\u0301": "ß"},
]
PLAINTEXTS = [b"", "Zażółć gęślą jaźń, 佐藤 陽菜, 🙂".encode(), os.urandom(1 << 20)]
# What a signed message says of itself: the key that its signature is verified with.
PUBLIC_KEY = "aws-crypto-public-key"

DATA_KEYS = len(CONTEXTS) * len(SUITES)
REQUESTS = DATA_KEYS * len(PLAINTEXTS)
STATS = {"requests": REQUESTS, "hits": REQUESTS - DATA_KEYS, "calls": DATA_KEYS}


@pytest.fixture(scope="module")
def rust(binaries: dict[str, Path]) -> list[str]:
    return [str(binaries["interop"])]


@pytest.fixture(scope="module")
def cases() -> list[dict]:
    return [
        {"plaintext": base64.b64encode(plaintext).decode(), "context": context, "suite": suite}
        for plaintext, context, suite in itertools.product(PLAINTEXTS, CONTEXTS, SUITES)
    ]


@pytest.mark.parametrize("language", PROGRAMS)
def test_another_sdk_reads_what_the_caching_cmm_wrote(language: str, rust: list[str], cases: list[dict]) -> None:
    messages, stats = work([*rust, "write"], cases)
    assert json.loads(stats) == STATS
    contents, _ = work([*PROGRAMS[language], "read"], messages)
    assert_are(contents, cases)


@pytest.mark.parametrize("language", PROGRAMS)
def test_the_caching_cmm_reads_what_another_sdk_wrote(language: str, rust: list[str], cases: list[dict]) -> None:
    messages, _ = work([*PROGRAMS[language], "write"], cases)
    contents, stats = work([*rust, "read"], messages)
    # The other SDK used its own cache too: otherwise there were more data keys.
    assert json.loads(stats) == STATS
    assert_are(contents, cases)


def test_a_data_key_for_a_hundred_messages_saves_99_of_100_kms_calls(
    deployed: Pipeline, binaries: dict[str, Path]
) -> None:
    region = REGIONS[0]
    environment = deployed.stack.environment() | {"AWS_REGION": region}
    calls_before = deployed.stack.kms_calls()[region]
    command = [str(binaries["kms_calls"]), "--kms-key", KEY_ALIAS, "--messages", "250"]
    heading, *rows, ratio = run(command, environment).stdout.splitlines()
    assert heading.split() == ["250", "messages", "GenerateDataKey", "Decrypt", "seconds"]
    assert [row.split()[:-1] for row in rows] == [
        ["without", "caching", "250", "250"],
        ["with", "caching", "3", "3"],
    ]
    assert ratio.startswith("83.3 times fewer calls, ")
    # The other side counted the same.
    calls = deployed.stack.kms_calls()[region] - calls_before
    assert calls == {"DescribeKey": 1, "GenerateDataKey": 253, "Decrypt": 253}


def work(command: list[str], inputs: list[dict]) -> tuple[list[dict], str]:
    """What a program makes of each input, and what it says on standard error."""
    result = run(command, dict(os.environ), "\n".join(map(json.dumps, inputs)))
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def assert_are(contents: list[dict], cases: list[dict]) -> None:
    """Checks that what was read is what was written, in the same order."""
    assert len(contents) == len(cases)
    for content, case in zip(contents, cases, strict=True):
        public_key = content["context"].pop(PUBLIC_KEY, None)
        assert (public_key is not None) == (case["suite"] == "signed")
        assert content == {"plaintext": case["plaintext"], "context": case["context"]}
