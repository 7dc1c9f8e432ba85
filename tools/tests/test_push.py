# SPDX-License-Identifier: Apache-2.0
"""`sealstream push` as its users meet it: settings, input, reports and exit codes."""

import base64
import json
import subprocess
import uuid
from pathlib import Path

import pytest

from tools.local_aws.pipeline import KEY_ALIAS, REGIONS, Pipeline
from tools.tests.conftest import create_stream, run, stream_data

# In records, and so to be found nowhere in what the program says.
MARKER = "Confidential-Marker"
# Free of the caller's settings and of an AWS to reach: these runs end before they need one.
NO_AWS = {"PATH": "/usr/bin:/bin"}
SETTINGS = {"--regions": "us-east-1,eu-west-1", "--kms-key": KEY_ALIAS, "--stream": "records"}


@pytest.fixture
def push(binaries: dict[str, Path]) -> list[str]:
    return [str(binaries["sealstream"]), "push"]


def lines(count: int) -> list[str]:
    return [json.dumps({"id": f"{uuid.uuid4()}", "secret": f"{MARKER} {number}"}) for number in range(count)]


def counts(pipeline: Pipeline, stream: str) -> dict[str, int]:
    """How many records are in the stream of each Region."""
    return {region: len(stream_data(pipeline, region, stream)) for region in REGIONS}


def test_help_names_every_setting_and_has_examples(push: list[str]) -> None:
    text = run([*push, "--help"], NO_AWS).stdout
    for flag in ["--regions", "--kms-key", "--stream", "--suite", "--fail-fast", "--output"]:
        assert flag in text
    assert "SEALSTREAM_KMS_KEY for --kms-key" in text
    examples = text.partition("Examples:")[2]
    assert "sealstream push --regions us-east-1,eu-west-1 --kms-key alias/sealstream --stream records FILE" in examples


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_missing_setting_is_named(push: list[str], setting: str) -> None:
    others = [text for name, value in SETTINGS.items() if name != setting for text in (name, value)]
    errors = run([*push, *others], NO_AWS, code=2).stderr
    missing = [line.split()[0] for line in errors.splitlines() if line.startswith("  --")]
    assert missing == [setting]


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("--regions", "us-east-1,Ireland", "an AWS Region looks like eu-west-1"),
        ("--regions", "us-east-1,us-east-1", "is listed twice"),
        ("--kms-key", "my-key", "give alias/NAME, an alias ARN or a key ARN"),
        (
            "--kms-key",
            "arn:aws:kms:us-east-1:000000000000:key/1234",
            "give an alias that every Region has, or a multi-Region key",
        ),
        ("--stream", "my records", "1 to 128 letters, digits, '_', '.' or '-'"),
        ("--suite", "sealed", "possible values: signed, unsigned"),
        ("--cache-capacity", "-1", "invalid digit"),
        ("--cache-max-age-seconds", "0", "1..=31536000"),
        ("--cache-max-messages", "4294967297", "1..=4294967296"),
        ("--output", "xml", "possible values: human, json"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(push: list[str], setting: str, value: str, allowed: str) -> None:
    settings = {**SETTINGS, setting: value}
    command = [*push, *(f"{name}={text}" for name, text in settings.items())]
    result = run(command, NO_AWS, code=2)
    assert value.split(",")[-1] in result.stderr
    assert allowed in result.stderr
    assert result.stdout == ""

    # The same from the environment.
    variables = {variable(name): text for name, text in settings.items()}
    errors = run(push, NO_AWS | variables, code=2).stderr
    assert allowed in errors
    # What is wrong with several settings together names their values.
    assert variable(setting) in errors or "is listed twice" in errors or "does not exist in eu-west-1" in errors


def variable(flag: str) -> str:
    """The environment variable that stands in for a flag."""
    return "SEALSTREAM_" + flag.removeprefix("--").replace("-", "_").upper()


def region_summary(**counts: int) -> dict[str, int]:
    return {"delivered": 0, "undelivered": 0, "spooled": 0, "throttled_attempts": 0, "failed_attempts": 0} | counts


def test_settings_come_from_the_environment(pipeline: Pipeline, stream: str, push: list[str]) -> None:
    settings = {
        "SEALSTREAM_REGIONS": REGIONS[1],
        "SEALSTREAM_KMS_KEY": KEY_ALIAS,
        "SEALSTREAM_STREAM": stream,
        "SEALSTREAM_CACHE_MAX_MESSAGES": "2",
        "SEALSTREAM_OUTPUT": "json",
    }
    environment = pipeline.stack.environment() | settings
    summary = json.loads(run(push, environment, "\n".join(lines(4))).stdout)
    assert summary["regions"] == {REGIONS[1]: region_summary(delivered=4)}
    assert summary["cache"]["misses"] == 2
    assert counts(pipeline, stream) == {REGIONS[0]: 0, REGIONS[1]: 4}


def test_files_and_standard_input_are_read_in_turn(pipeline: Pipeline, stream: str, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("first.ndjson", "last.ndjson")]
    for file in files:
        # An empty line is no record, and the last line need not end.
        file.write_text("\n\n".join(lines(2)))
    command = [*pipeline.push_command(stream), str(files[0]), "-", str(files[1])]
    result = run(command, pipeline.stack.environment(), "\n".join(lines(1)) + "\n")
    assert "5 of 5 records" in result.stderr
    assert result.stdout == ""
    assert counts(pipeline, stream) == dict.fromkeys(REGIONS, 5)


@pytest.fixture
def flawed(tmp_path: Path) -> Path:
    """A file with records in its lines 1, 3 and 6."""
    first, third, sixth = lines(3)
    file = tmp_path / "flawed.ndjson"
    file.write_text("\n".join([first, f'{{"secret": {MARKER}}}', third, f'["{MARKER}"]', "", sixth]))
    return file


def test_lines_without_a_record_are_reported_and_the_rest_is_pushed(
    pipeline: Pipeline, stream: str, flawed: Path
) -> None:
    command = [*pipeline.push_command(stream), "--output", "json", str(flawed)]
    result = run(command, pipeline.stack.environment(), code=1)
    # Batches may end in any order.
    assert sorted(result.stderr.splitlines()) == [
        f"{flawed}:2: not valid JSON, skipped (column 12)",
        f"{flawed}:4: not a JSON object, skipped (expected one object per line; for an array, try `jq -c '.[]'`)",
    ]
    summary = json.loads(result.stdout)
    assert (summary["records"], summary["delivered"], summary["rejected_lines"]) == (3, 3, 2)
    assert counts(pipeline, stream) == dict.fromkeys(REGIONS, 3)


def test_fail_fast_stops_at_the_first_line_without_a_record(pipeline: Pipeline, stream: str, flawed: Path) -> None:
    command = [*pipeline.push_command(stream), "--fail-fast", str(flawed)]
    result = run(command, pipeline.stack.environment(), code=1)
    assert f"{flawed}:2: " in result.stderr
    assert f"{flawed}:4: " not in result.stderr
    assert counts(pipeline, stream) == dict.fromkeys(REGIONS, 1)


def test_an_unreadable_file_is_found_before_anything_is_pushed(
    pipeline: Pipeline, stream: str, flawed: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.ndjson"
    command = [*pipeline.push_command(stream), str(flawed), str(missing)]
    errors = run(command, pipeline.stack.environment(), code=2).stderr
    assert errors == f"error: cannot open {missing}: No such file or directory (os error 2)\n"
    assert counts(pipeline, stream) == dict.fromkeys(REGIONS, 0)


def test_a_region_without_the_stream_fails_alone(pipeline: Pipeline) -> None:
    stream = f"test-{uuid.uuid4().hex}"
    create_stream(pipeline, REGIONS[0], stream)
    command = [*pipeline.push_command(stream), "--output", "json"]
    result = run(command, pipeline.stack.environment(), "\n".join(lines(3)), code=3)

    assert f"<stdin>:1-3: 3 records: not delivered to {REGIONS[1]}: " in result.stderr
    assert f'error: stream "{stream}" does not exist in {REGIONS[1]}' in result.stderr
    assert "ResourceNotFoundException" in result.stderr
    summary = json.loads(result.stdout)
    assert (summary["delivered"], summary["undelivered"]) == (0, 3)
    assert summary["regions"] == {
        REGIONS[0]: region_summary(delivered=3),
        REGIONS[1]: region_summary(undelivered=3, failed_attempts=3),
    }
    assert len(stream_data(pipeline, REGIONS[0], stream)) == 3


def test_the_completions_for_bash_complete_flags(push: list[str]) -> None:
    script = run([push[0], "completions", "bash"], NO_AWS).stdout
    press_tab = """
        [[ $(complete -p sealstream) =~ -F\\ ([^ ]+) ]]
        COMP_WORDS=(sealstream push --reg) COMP_CWORD=2
        "${BASH_REMATCH[1]}" sealstream --reg push
        echo "${COMPREPLY[*]}"
    """
    completed = subprocess.run(["bash", "-c", script + press_tab], capture_output=True, text=True, check=True)
    assert completed.stdout == "--regions\n"
    assert completed.stderr == ""


def test_the_finest_log_shows_nothing_of_the_records(pipeline: Pipeline, stream: str) -> None:
    environment = pipeline.stack.environment() | {"RUST_LOG": "trace"}
    log = run(pipeline.push_command(stream), environment, "\n".join(lines(3))).stderr
    # What others log at this level is requests and responses, and so is not let through.
    assert "TRACE" not in log
    # Base64 has three forms of a text, by its place.
    encoded = [base64.b64encode(b"." * shift + MARKER.encode())[4:-4].decode() for shift in range(3)]
    for secret in [MARKER, *encoded]:
        assert secret not in log
    # That of a data key, in what KMS answers.
    assert '"Plaintext":"' not in log
