# SPDX-License-Identifier: Apache-2.0
"""The extension's binary between Lambda's runtime and Extensions API, as cargo-lambda emulates them, and a local AWS."""

import contextlib
import importlib.util
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from tools import ROOT
from tools.local_aws.stack import Stack, free_port, wait_until
from tools.tests.conftest import local_aws

REGION = "us-east-1"
OTHER_REGION = "eu-west-1"
TOKEN = "session-token"
EXAMPLE = ROOT / "crates" / "cache-extension" / "example"
CARGO_LAMBDA = ROOT / ".venv" / "build" / "bin" / "cargo-lambda"
START_SECONDS = 60
STOP_SECONDS = 5
SECONDS = 10


@pytest.fixture(scope="module")
def aws(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with local_aws(request) as stack:
        yield stack


@pytest.fixture
def lambda_api(tmp_path: Path) -> Iterator[str]:
    """The address of an emulation of Lambda's runtime and Extensions API, which fails when an extension has gone."""
    assert CARGO_LAMBDA.exists(), f"{CARGO_LAMBDA} is missing; tools/python-env build installs it"
    port = free_port()
    command = [CARGO_LAMBDA, "lambda", "watch", "--only-lambda-apis"]
    command += ["--invoke-address", "127.0.0.1", "--invoke-port", str(port)]
    log = tmp_path / "cargo-lambda.log"
    with running(command, log, cwd=ROOT):
        wait_until(lambda: "starting Runtime server" in log.read_text(), START_SECONDS, f"cargo-lambda: {log}")
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True)
class Extension:
    """The extension's process, as the function beside it sees it."""

    port: int
    log: Path

    def get(self, path: str, token: str = TOKEN) -> tuple[int, dict[str, str], str]:
        """Status, headers and body of an answer."""
        headers = {"X-Aws-Parameters-Secrets-Token": token}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.status, dict(error.headers), error.read().decode()

    def value(self, path: str) -> str:
        status, _, body = self.get(path)
        assert status == 200, body
        return body


@contextlib.contextmanager
def extension(
    binaries: dict[str, Path], aws: Stack, lambda_api: str, config: Path, directory: Path, **settings: str
) -> Iterator[Extension]:
    port = free_port()
    environment = aws.environment() | {
        "AWS_LAMBDA_RUNTIME_API": f"{lambda_api}/.rt",
        "AWS_REGION": REGION,
        "AWS_SESSION_TOKEN": TOKEN,
        "CACHE_EXTENSION_CONFIG": str(config),
        "CACHE_EXTENSION_PORT": str(port),
        **settings,
    }
    log = directory / "extension.log"
    with running([binaries["cache-extension"]], log, env=environment) as process:

        def filled() -> bool:
            assert process.poll() is None, log.read_text()
            return "cache filled" in log.read_text()

        wait_until(filled, SECONDS, f"the extension is not ready; its log: {log}")
        yield Extension(port, log)


@contextlib.contextmanager
def running(command: list, log: Path, **options) -> Iterator[subprocess.Popen]:
    """A program that writes to a file. Leaving the context ends it."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()
        process.wait()


def invoke(lambda_api: str, handler) -> dict:
    """Invokes a function, which is a Python handler here, through the emulated Lambda, and returns its response."""
    runtime = f"{lambda_api}/.rt/2018-06-01/runtime/invocation"

    def serve() -> None:
        with urllib.request.urlopen(f"{runtime}/next", timeout=START_SECONDS) as event:
            request_id = event.headers["Lambda-Runtime-Aws-Request-Id"]
            response = json.dumps(handler(json.load(event), None)).encode()
        urllib.request.urlopen(f"{runtime}/{request_id}/response", data=response, timeout=SECONDS).close()

    function = threading.Thread(target=serve, daemon=True)
    function.start()
    url = f"{lambda_api}/2015-03-31/functions/_/invocations"
    with urllib.request.urlopen(url, data=b"{}", timeout=START_SECONDS) as answer:
        return json.load(answer)


def example(monkeypatch: pytest.MonkeyPatch, port: int) -> ModuleType:
    """The example's code, with the environment of its function."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("CACHE_EXTENSION_PORT", str(port))
    spec = importlib.util.spec_from_file_location("example", EXAMPLE / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def create_table(aws: Stack, name: str, sort_type: str | None = None) -> None:
    keys = [("id", "S", "HASH")] + ([("at", sort_type, "RANGE")] if sort_type else [])
    aws.client("dynamodb", REGION).create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind, _ in keys],
        KeySchema=[{"AttributeName": name, "KeyType": role} for name, _, role in keys],
    )


def test_the_example_function_reads_through_the_extension(
    binaries: dict[str, Path], aws: Stack, lambda_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssm = aws.client("ssm", REGION)
    ssm.put_parameter(Name="/cache-extension-example/greeting", Type="String", Value="Hello")
    create_table(aws, "cache-extension-example")
    prices = {"id": {"S": "prices"}, "apple": {"N": "1.20"}, "sizes": {"L": [{"N": "1"}, {"N": "2"}]}}
    aws.client("dynamodb", REGION).put_item(TableName="cache-extension-example", Item=prices)
    with extension(binaries, aws, lambda_api, EXAMPLE / "config.yaml", tmp_path) as cache:
        response = invoke(lambda_api, example(monkeypatch, cache.port).handler)
    assert response == {"greeting": "Hello", "prices": {"id": "prices", "apple": 1.2, "sizes": [1, 2]}}


def test_values_come_from_every_region_decrypted_and_with_their_types(
    binaries: dict[str, Path], aws: Stack, lambda_api: str, tmp_path: Path
) -> None:
    secret = f"secret-{uuid.uuid4()}"
    for region, kind, value in [(REGION, "SecureString", secret), (OTHER_REGION, "StringList", "a,b")]:
        aws.client("ssm", region).put_parameter(Name="/types/both", Type=kind, Value=value)
    create_table(aws, "types", "N")
    item = {
        "id": {"S": "a-b"},
        "at": {"N": "7"},
        "exact": {"N": "0.12345678901234567890123456789012345678"},
        "bytes": {"B": b"\x00\xff"},
        "map": {"M": {"yes": {"BOOL": True}, "nothing": {"NULL": True}}},
        "numbers": {"NS": ["1"]},
    }
    aws.client("dynamodb", REGION).put_item(TableName="types", Item=item)
    config = tmp_path / "config.yaml"
    config.write_text(f"""
parameters:
  - region: {REGION}
    names: [/types/both, "/types/both:1", /types/missing]
  - region: {OTHER_REGION}
    names: [/types/both]
dynamodb:
  - {{table: types, hashkey: id, hashkeytype: S, hashkeyvalue: a-b, sortkey: at, sortkeytype: N, sortkeyvalue: 7}}
""")
    with extension(binaries, aws, lambda_api, config, tmp_path, AWS_LAMBDA_LOG_LEVEL="TRACE") as cache:
        assert cache.value(f"/parameters?name=/types/both&region={REGION}") == secret
        assert cache.value(f"/parameters?name=/types/both&region={OTHER_REGION}") == "a,b"
        assert cache.value("/parameters?name=/types/both:1") == secret
        expected = (
            '{"at":7,"bytes":"AP8=","exact":0.12345678901234567890123456789012345678,"id":"a-b",'
            '"map":{"nothing":null,"yes":true},"numbers":[1]}'
        )
        assert cache.value("/dynamodb?name=types-a-b-7") == expected
        assert cache.value("/dynamodb?table=types&hash=a-b&sort=7") == expected
        status, headers, body = cache.get("/parameters?name=/types/missing")
        assert (status, headers["content-type"]) == (404, "application/json")
        assert "/types/missing" in json.loads(body)["error"]
        assert cache.get("/dynamodb?name=types-a-b-7", token="wrong")[0] == 403
        log = cache.log.read_text()
    assert secret not in log
    assert TOKEN not in log


def test_a_change_is_seen_when_it_is_asked_for_or_in_the_invocation_after_the_values_time(
    binaries: dict[str, Path], aws: Stack, lambda_api: str, tmp_path: Path
) -> None:
    ssm = aws.client("ssm", REGION)
    ssm.put_parameter(Name="/change", Type="String", Value="1")
    config = tmp_path / "config.yaml"
    config.write_text(f"parameters:\n  - region: {REGION}\n    names: [/change]\n    ttl: 2s\n")
    with extension(binaries, aws, lambda_api, config, tmp_path) as cache:
        assert cache.value("/parameters?name=/change") == "1"
        ssm.put_parameter(Name="/change", Type="String", Value="2", Overwrite=True)
        assert cache.value("/parameters?name=/change") == "1"
        assert cache.value("/parameters?name=/change&refresh=true") == "2"
        ssm.put_parameter(Name="/change", Type="String", Value="3", Overwrite=True)
        assert cache.value("/parameters?name=/change") == "2"
        time.sleep(2)

        def handler(_event, _context) -> dict:
            # The invocation has made the extension load the value, so that this request may find it loaded.
            return {"value": cache.value("/parameters?name=/change")}

        assert invoke(lambda_api, handler) == {"value": "3"}


def test_environments_share_what_one_of_them_has_loaded_and_secrets_they_do_not(
    binaries: dict[str, Path], aws: Stack, lambda_api: str, tmp_path: Path
) -> None:
    ssm = aws.client("ssm", REGION)
    create_table(aws, "shared-values")
    key = aws.client("kms", REGION).create_key()["KeyMetadata"]["Arn"]
    config = tmp_path / "config.yaml"
    config.write_text(f"parameters: [{{region: {REGION}, names: [/shared/plain, /shared/secret]}}]")
    sharing = {"CACHE_EXTENSION_SHARED_TABLE": "shared-values", "CACHE_EXTENSION_SHARED_TABLE_KEY": key}

    def values(number: int) -> list[str]:
        """What a new environment has, when the parameters have this number."""
        for name, kind in [("/shared/plain", "String"), ("/shared/secret", "SecureString")]:
            ssm.put_parameter(Name=name, Type=kind, Value=f"marked {number}", Overwrite=True)
        with extension(binaries, aws, lambda_api, config, tmp_path, **sharing) as cache:
            return [cache.value(f"/parameters?name=/shared/{name}") for name in ("plain", "secret")]

    assert values(1) == ["marked 1", "marked 1"]
    assert values(2) == ["marked 1", "marked 2"]
    items = aws.table_items(REGION, "shared-values")
    # The mark of the environment that loads, the plain value, and a note that the secret is not shared.
    assert len(items) == 3, items
    assert "marked" not in str(items)
