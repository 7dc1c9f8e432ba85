# SPDX-License-Identifier: Apache-2.0
"""AWS on this machine: one ministack process on a free loopback port, holding any number of Regions.

The stack that runs in it is the one in infra/template.yaml, with the functions' code replaced by local binaries. IAM
policies are evaluated, so the functions may do what the template's roles allow.
"""

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Self

import boto3
import boto3.dynamodb.types
import botocore.config
import botocore.session
from samtranslator.yaml_helper import yaml_parse

from tools import ROOT

INFRA = ROOT / "infra"
TEMPLATE = INFRA / "template.yaml"

STACK_NAME = "sealstream"
READY_SECONDS = 30
DEPLOY_SECONDS = 60
STOP_SECONDS = 5

# The account's root user, who may do everything. The server takes the Region from the signature's scope.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

# The server's access log holds, for each request, the operation (of the services that name it in a header) and the
# signature, which names the Region.
REQUEST_LOG_FORMAT = "%({x-amz-target}i)s %({authorization}i)s"
KMS_REQUEST = re.compile(r"TrentService\.(?P<operation>\w+) .*Credential=[^/]+/\d+/(?P<region>[^/]+)/kms/")


class StackError(Exception):
    """The local AWS, or what is to run in it, failed; the message is for whoever started it."""


class Stack:
    """A running local AWS. Leaving the context stops it, unless `keep` was called.

    Its logs go with it, except after an error; then standard error says where they are.
    """

    def __init__(self) -> None:
        parent = ROOT / ".local-stack"
        parent.mkdir(exist_ok=True)
        self.directory = Path(tempfile.mkdtemp(prefix="", dir=parent))
        self._log = self.directory / "server.log"
        self._request_log = self.directory / "requests.log"
        self._scratch = self.directory / "tmp"
        self._scratch.mkdir()
        self._port = free_port()
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._session = session()
        self._kept = False
        self._process = self._start()
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error_type, *_) -> None:
        if not self._kept:
            self.close(keep_logs=error_type is not None and issubclass(error_type, Exception))

    @property
    def process_group(self) -> int:
        """The server and the function processes it has started: what there is to end."""
        return self._process.pid

    def environment(self) -> dict[str, str]:
        """The environment for a process that is to use this stack, free of the caller's own AWS settings."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return inherited | CREDENTIALS | {"AWS_ENDPOINT_URL": self.endpoint}

    def client(self, service: str, region: str, **credentials: str):
        """A boto3 client of this stack, whatever the caller's environment says of AWS. Without credentials it is the
        account's root user, who may do everything."""
        return self._session.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint,
            **credentials,
            # A failure here is one of this machine: repeating the request hides it.
            config=botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def package(self, bootstrap: Path) -> Path:
        """Packs an executable as a function's code, to be deployed in any Region."""
        package = self._scratch / f"{bootstrap.name}.zip"
        # Stored, not deflated: it never leaves this machine, and deflating takes longer than copying.
        with zipfile.ZipFile(package, "w", zipfile.ZIP_STORED) as archive:
            archive.write(bootstrap, "bootstrap")
        return package

    def deploy(self, region: str, packages: dict[str, Path], **parameters: str) -> dict[str, str]:
        """Deploys infra/template.yaml in a Region, as `sam deploy` does, and returns its outputs.

        `packages` has the code of each function, by its logical id in the template.
        """
        template = read_template(TEMPLATE)
        del template["Globals"]["Function"]["CodeUri"]
        for function, package in packages.items():
            template["Resources"][function]["Properties"]["CodeUri"] = self.upload_package(region, package)
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::CloudFormation::Stack":
                name = resource["Properties"]["TemplateURL"]
                nested = read_template(INFRA / name)
                resource["Properties"]["TemplateURL"] = self._upload_template(region, name, nested)
        return self.create_stack(region, STACK_NAME, template, **parameters)

    def create_stack(self, region: str, name: str, template: dict, **parameters: str) -> dict[str, str]:
        """Creates a stack of any template, and returns its outputs."""
        cloudformation = self.client("cloudformation", region)
        cloudformation.create_stack(
            StackName=name,
            TemplateURL=self._upload_template(region, f"{name}.json", template),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        stack = self._wait_until_deployed(cloudformation, region, name)
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def upload_package(self, region: str, package: Path) -> dict[str, str]:
        """Uploads a function's code, and returns where a template finds it."""
        bucket = self._deployment_bucket(region)
        self.client("s3", region).upload_file(str(package), bucket, package.name)
        return {"Bucket": bucket, "Key": package.name}

    def table_items(self, region: str, table: str) -> list[dict]:
        """Every item of a table, in boto3's Python types (numbers as Decimal)."""
        client = self.client("dynamodb", region)
        deserialize = boto3.dynamodb.types.TypeDeserializer().deserialize
        pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [{name: deserialize(value) for name, value in item.items()} for page in pages for item in page["Items"]]

    def kms_calls(self) -> collections.defaultdict[str, collections.Counter]:
        """How often each KMS operation was requested so far, by Region."""
        calls = collections.defaultdict(collections.Counter)
        for request in KMS_REQUEST.finditer(self._request_log.read_text()):
            calls[request["region"]][request["operation"]] += 1
        return calls

    def function_log(self, region: str, function: str) -> str:
        """What a function has written so far in the invocations that are over."""
        client = self.client("logs", region)
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{function}")
        return "\n".join(event["message"] for page in pages for event in page["events"])

    def keep(self) -> None:
        """Lets the local AWS run on when the context, and this process, end."""
        self._kept = True

    def close(self, *, keep_logs: bool) -> None:
        """Stops the local AWS and removes its logs, or says on standard error where they are."""
        self.stop()
        if keep_logs:
            print(f"The logs of the local AWS are in {self.directory}", file=sys.stderr)
        else:
            shutil.rmtree(self.directory)

    def stop(self) -> None:
        """Ends the server and the function processes it has started. The logs stay."""
        # The second signal is for functions that the first has left behind.
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process_group, signal_number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        # A function that is just ending may still touch its files.
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self) -> subprocess.Popen:
        environment = self.environment() | {
            "GATEWAY_PORT": str(self._port),
            "MINISTACK_HOST": "127.0.0.1",
            "AUTH": "true",  # evaluate policies
            # These two would listen on ports of their own.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "TMPDIR": str(self._scratch),
        }
        command = [
            str(ROOT / ".venv" / "ministack" / "bin" / "python"),
            *("-m", "hypercorn", f"{Path(__file__).with_name('emulator.py')}:app"),
            *("--bind", f"127.0.0.1:{self._port}"),
            *("--workers", "0"),  # in this process, without a supervisor
            *("--access-logfile", str(self._request_log)),
            *("--access-logformat", REQUEST_LOG_FORMAT),
        ]
        with self._log.open("wb") as log:
            # In a session of its own a Ctrl-C at the terminal does not reach it, and one signal ends its functions too.
            return subprocess.Popen(
                command,
                cwd=self.directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait_until_ready(self) -> None:
        def ready() -> bool:
            if self._process.poll() is not None:
                raise StackError(f"the local AWS ended while starting; its log: {self._log}")
            try:
                with urllib.request.urlopen(f"{self.endpoint}/_ministack/ready", timeout=READY_SECONDS):
                    return True
            except OSError:
                return False

        wait_until(ready, READY_SECONDS, f"the local AWS is not ready; its log: {self._log}")

    def _upload_template(self, region: str, name: str, template: dict) -> str:
        bucket = self._deployment_bucket(region)
        self.client("s3", region).put_object(Bucket=bucket, Key=name, Body=json.dumps(template).encode())
        return f"{self.endpoint}/{bucket}/{name}"

    def _deployment_bucket(self, region: str) -> str:
        """A bucket in the same Region, where CloudFormation wants to find things."""
        s3 = self.client("s3", region)
        bucket = f"deployment-packages-{region}"
        # us-east-1 is the one Region that is not named as a location.
        location = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=bucket, **location)
        return bucket

    def _wait_until_deployed(self, cloudformation, region: str, name: str) -> dict:
        def stack() -> dict:
            return cloudformation.describe_stacks(StackName=name)["Stacks"][0]

        wait_until(
            lambda: not stack()["StackStatus"].endswith("_IN_PROGRESS"),
            DEPLOY_SECONDS,
            f"the stack {name} in {region} is still being deployed",
        )
        outcome = stack()
        if outcome["StackStatus"] != "CREATE_COMPLETE":
            events = cloudformation.describe_stack_events(StackName=name)["StackEvents"]
            reasons = "\n".join(
                f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', event['ResourceStatus'])}"
                for event in reversed(events)
                if event["ResourceStatus"].endswith("_FAILED")
            )
            raise StackError(f"the stack {name} in {region} ended as {outcome['StackStatus']}:\n{reasons}")
        return outcome


def read_template(path: Path) -> dict:
    """A template, with its short forms of functions in their long form."""
    return yaml_parse(path.read_text(encoding="utf-8"))


def session() -> boto3.Session:
    """A boto3 session that the caller's AWS profile, which may not even exist, has no part in."""
    return boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        botocore_session=botocore.session.Session(session_vars={"profile": (None, None, None, None)}),
    )


def build_binaries(targets: Sequence[str] = ("--bins", "--examples"), features: str = "") -> dict[str, Path]:
    """Builds the workspace's binaries and examples with cargo's dev profile and says, by name, where they are."""
    # Asked for examples, cargo takes the features of development dependencies in, as it does for `cargo test`.
    # Otherwise the two would compile different variants of tokio, and with it of aws-esdk: minutes.
    options = ["--workspace", *targets, "--features", features, "--locked"]
    command = ["cargo", "build", *options, "--message-format=json-render-diagnostics"]
    build = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
    if build.returncode != 0:
        raise StackError("cargo could not build the binaries; its messages are above")
    messages = [json.loads(line) for line in build.stdout.splitlines()]
    return {message["target"]["name"]: Path(message["executable"]) for message in messages if message.get("executable")}


def parse_json(text: str):
    """Parses JSON into the types that `Stack.table_items` returns, with every digit of a number."""
    return json.loads(text, parse_int=Decimal, parse_float=Decimal)


def wait_until(condition: Callable[[], bool], seconds: float, failure: str) -> None:
    """Polls a condition, and raises StackError with the text `failure` when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            raise StackError(f"waited {seconds} seconds: {failure}")
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
