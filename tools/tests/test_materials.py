# SPDX-License-Identifier: Apache-2.0
"""Data keys from AWS KMS: both engines of record-cipher, the master keys and the keyrings of the AWS Encryption SDK for
Python, and the keyrings of the one for JavaScript read each other's messages in every mode, and refuse the same ones."""

import base64
import hashlib
import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools import ROOT
from tools.bench.measure import FakeAws
from tools.local_aws.stack import build_binaries
from tools.tests.conftest import ACCOUNT, run
from tools.tests.test_interoperation import INTEROP, NODE

HERE, ELSEWHERE = "eu-west-1", "us-east-1"
BOTH = [HERE, ELSEWHERE]
ALIAS = "alias/records"
MULTI_REGION_KEY = "key/mrk-1234"
CONTEXT = {"stream": "records"}
PLAINTEXT = base64.b64encode(b'{"id":"1"}').decode()
UNSIGNED, SIGNED = 0x0478, 0x0578
# Without key commitment: no key derivation, with key derivation, and signed.
FORBIDDEN_SUITES = [0x0078, 0x0178, 0x0378]

# Programs of this project, and others. Only the others also have keyrings that are not aware of multi-Region keys.
OWN = ["native", "aws-esdk"]
OTHERS = ["python-master-keys", "python-keyrings", "javascript"]
IMPLEMENTATIONS = [*OWN, *OTHERS]


@dataclass(frozen=True)
class Written:
    """A message, and what it was encrypted for."""

    writer: str
    suite: int
    key: str
    regions: tuple[str, ...]
    message: str


class Programs:
    """Encrypts and decrypts with every implementation, on a KMS that all share."""

    def __init__(self, aws: FakeAws, own: Path) -> None:
        python = [str(ROOT / ".venv" / "mpl" / "bin" / "python"), "-m", "tools.interop.kms_messages"]
        self._environment = aws.environment()
        self._commands = {
            "native": [str(own), "native"],
            "aws-esdk": [str(own), "aws-esdk"],
            "python-master-keys": [*python, "master-keys"],
            "python-keyrings": [*python, "keyrings"],
            "javascript": [str(NODE), str(INTEROP / "javascript" / "kms_messages.mjs")],
        }

    def answers(self, implementation: str, cases: list[dict]) -> list[dict]:
        lines = "\n".join(map(json.dumps, cases))
        output = run(self._commands[implementation], self._environment, lines).stdout
        return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def programs(binaries: dict[str, Path]) -> Iterator[Programs]:
    own = build_binaries(["--example", "kms_messages"], "record-cipher/aws-esdk")["kms_messages"]
    with FakeAws(binaries["fake-aws"]) as aws:
        yield Programs(aws, own)


@pytest.fixture(scope="module")
def messages(programs: Programs) -> list[Written]:
    return [written for writer in IMPLEMENTATIONS for written in write(programs, writer)]


def write(programs: Programs, writer: str) -> list[Written]:
    """A message for every suite, key and list of Regions."""
    targets = list(itertools.product([UNSIGNED, SIGNED], [ALIAS, MULTI_REGION_KEY], [[HERE], BOTH]))
    cases = [
        case(suite, arns(key, regions))
        | {"key": key if key == ALIAS else arn(key, HERE), "regions": regions}
        # The others' keyrings that are aware of multi-Region keys take no two replicas of one key.
        | {"mrk_aware": (key, regions) != (MULTI_REGION_KEY, BOTH)}
        for suite, key, regions in targets
    ]
    answers = programs.answers(writer, cases)
    return [
        Written(writer, suite, key, tuple(regions), answer["message"])
        for (suite, key, regions), answer in zip(targets, answers, strict=True)
    ]


def case(suite: int, key_arns: list[str]) -> dict:
    return {"plaintext": PLAINTEXT, "context": CONTEXT, "suite": suite, "strict": key_arns}


def arn(key: str, region: str) -> str:
    """The ARN of a key, or of the one that fake-aws has behind an alias."""
    if key.startswith("alias/"):
        key = f"key/{uuid.UUID(bytes=hashlib.sha256(key.encode()).digest()[:16], version=4)}"
    return f"arn:aws:kms:{region}:{ACCOUNT}:{key}"


def arns(key: str, regions: list[str]) -> list[str]:
    return [arn(key, region) for region in regions]


def discovery(region: str, account: str = ACCOUNT, partition: str = "aws") -> dict:
    return {"discovery": {"region": region, "accounts": [account], "partition": partition}}


def readers(reader: str, written: Written) -> list[tuple[dict, bool]]:
    """Keys to decrypt with, and whether they decrypt the message."""
    key, is_replicated = written.key, written.key == MULTI_REGION_KEY
    is_for_both = len(written.regions) == 2
    aware = [
        ({"strict": arns(key, [HERE])}, True),
        ({"strict": arns(key, [ELSEWHERE])}, is_for_both or is_replicated),
        ({"strict": arns("alias/other", [HERE])}, False),
        (discovery(HERE), True),
        # Python's master keys call KMS in the Region of the message's key, wherever that is.
        (discovery(ELSEWHERE), is_for_both or is_replicated or reader == "python-master-keys"),
        (discovery(HERE, account="111111111111"), False),
        (discovery(HERE, partition="aws-cn"), False),
    ]
    if reader in OWN or not is_replicated:
        aware.append(({"strict": arns(key, [ELSEWHERE, HERE])}, True))
    plain = [
        ({"strict": arns(key, [HERE])}, True),
        ({"strict": arns(key, [ELSEWHERE])}, is_for_both),
        ({"strict": arns(key, [ELSEWHERE, HERE])}, True),
        (discovery(HERE), True),
        (discovery(HERE, account="111111111111"), False),
        (discovery(HERE, partition="aws-cn"), False),
    ]
    modes = {True: aware} | ({} if reader in OWN else {False: plain})
    return [(keys | {"mrk_aware": mode}, reads) for mode, cases in modes.items() for keys, reads in cases]


@pytest.mark.parametrize("reader", IMPLEMENTATIONS)
def test_each_implementation_reads_and_refuses_alike(programs: Programs, messages: list[Written], reader: str) -> None:
    cases = [(written, keys, reads) for written in messages for keys, reads in readers(reader, written)]
    answers = programs.answers(reader, [keys | {"message": written.message} for written, keys, _ in cases])
    for (written, keys, reads), answer in zip(cases, answers, strict=True):
        if not reads:
            expect_refused(reader, answer, f"{written} with {keys}")
            continue
        assert answer.get("plaintext") == PLAINTEXT, f"{written} with {keys}: {answer}"
        if reader not in OWN:
            public_key = answer["context"].pop("aws-crypto-public-key", None)
            assert (public_key is not None) == (written.suite == SIGNED)
            assert answer["context"] == CONTEXT


@pytest.mark.parametrize("reader", IMPLEMENTATIONS)
def test_each_implementation_refuses_what_was_changed(programs: Programs, messages: list[Written], reader: str) -> None:
    changed = [case for suite in (UNSIGNED, SIGNED) for case in changes(messages, suite)]
    keys = {"strict": arns(ALIAS, [HERE]), "mrk_aware": True}
    texts = [base64.b64encode(message).decode() for _, message in changed]
    answers = programs.answers(reader, [keys | {"message": text} for text in texts])
    for (what, _), answer in zip(changed, answers, strict=True):
        expect_refused(reader, answer, what)


@pytest.mark.parametrize("writer", OTHERS)
def test_a_policy_that_requires_commitment_refuses_to_encrypt_without(programs: Programs, writer: str) -> None:
    for answer in programs.answers(writer, without_commitment()):
        expect_refused(writer, answer, "encrypting without commitment")


def test_each_implementation_refuses_messages_without_commitment(programs: Programs) -> None:
    allowed = {"policy": "FORBID_ENCRYPT_ALLOW_DECRYPT"}
    writes = [write | allowed for write in without_commitment()]
    written = [(writer, answer["message"]) for writer in OTHERS for answer in programs.answers(writer, writes)]
    keys = {"strict": arns(ALIAS, [HERE]), "mrk_aware": True}
    for reader in IMPLEMENTATIONS:
        answers = programs.answers(reader, [keys | {"message": message} for _, message in written])
        for (writer, _), answer in zip(written, answers, strict=True):
            expect_refused(reader, answer, f"{reader} with a message without commitment of {writer}")


def without_commitment() -> list[dict]:
    return [case(suite, arns(ALIAS, [HERE])) | {"mrk_aware": True} for suite in FORBIDDEN_SUITES]


def expect_refused(reader: str, answer: dict, what: str) -> None:
    assert list(answer) == ["refused"], f"{what}: {answer}"
    if reader in OWN:
        assert answer["refused"] == "Record", what


def changes(messages: list[Written], suite: int) -> list[tuple[str, bytes]]:
    """Messages that were changed in one field each, or put together from two."""
    good, other = (
        base64.b64decode(written.message)
        for written in messages
        if (written.suite, written.key, written.regions) == (suite, ALIAS, (HERE,))
        and written.writer in ("native", "javascript")
    )
    fields = header(good)
    changed = []
    for name, field in fields.items():
        middle = (field.start + field.stop) // 2
        changed.append((f"{name} changed", good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]))
        changed.append((f"cut off within its {name}", good[:middle]))
    # The same key of KMS, but another data key, public key or message key.
    for name, field in header(other).items():
        theirs = other[field.start : field.stop]
        changed.append((f"{name} of another message", replaced(good, fields[name], theirs)))
    if suite == SIGNED:
        unsigned = good[:1] + UNSIGNED.to_bytes(2) + good[3:]
        context = serialized(CONTEXT)
        changed += [
            ("declared unsigned", unsigned),
            ("public key removed", replaced(good, fields["context"], context)),
            ("declared unsigned, public key removed", replaced(unsigned, fields["context"], context)),
        ]
    # Fields that say the same in both messages do not count.
    return [(f"{suite:#06x}: {what}", message) for what, message in changed if message != good]


def replaced(message: bytes, field: range, content: bytes) -> bytes:
    return message[: field.start] + content + message[field.stop :]


def serialized(context: dict[str, str]) -> bytes:
    """A header's encryption context, with its length."""
    texts = [text.encode() for pair in context.items() for text in pair]
    pairs = len(context).to_bytes(2) + b"".join(len(text).to_bytes(2) + text for text in texts)
    return len(pairs).to_bytes(2) + pairs


def header(message: bytes) -> dict[str, range]:
    """Where the fields of a message of format version 2 are. It has one encrypted data key."""

    def number(at: int) -> int:
        return int.from_bytes(message[at : at + 2])

    ends = {"version": 1, "suite": 3, "message id": 35}
    ends["context"] = 35 + 2 + number(35)
    at = ends["context"] + 2
    for name in ("provider id", "provider information", "encrypted data key"):
        at += 2 + number(at)
        ends[name] = at
    ends |= {"content type": at + 1, "frame length": at + 5, "commitment": at + 37, "header tag": at + 53}
    ends["body"] = len(message)
    starts = [0, *ends.values()]
    fields = {name: range(start, end) for (name, end), start in zip(ends.items(), starts, strict=False)}
    return fields | {"encrypted data keys": range(ends["context"], ends["encrypted data key"])}
