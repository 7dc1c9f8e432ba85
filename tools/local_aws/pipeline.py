# SPDX-License-Identifier: Apache-2.0
"""The pipeline of infra/template.yaml, deployed on a local AWS in two Regions."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from tools.local_aws.stack import Stack, StackError, wait_until

REGIONS = ["us-east-1", "eu-west-1"]
# The template's defaults.
KEY_ALIAS = "alias/sealstream"
STREAM = "records"
ARRIVAL_SECONDS = 60


class Pipeline:
    """The pipeline in every Region. The first Region has the function record-pusher, which sends to all of them."""

    def __init__(self, stack: Stack, binaries: dict[str, Path]) -> None:
        self.stack = stack
        self.sealstream = binaries["sealstream"]
        packages = {
            "RecordConsumer": stack.package(binaries["record-consumer"]),
            "RecordPusher": stack.package(binaries["record-pusher"]),
        }
        pusher_regions = {REGIONS[0]: ",".join(REGIONS)}
        self.outputs = {
            region: stack.deploy(region, packages, PusherRegions=pusher_regions.get(region, "")) for region in REGIONS
        }

    def push_command(self, stream: str = STREAM, regions: list[str] = REGIONS) -> list[str]:
        """`sealstream push` with the settings of this pipeline."""
        return [
            *(str(self.sealstream), "push"),
            *("--regions", ",".join(regions)),
            *("--kms-key", KEY_ALIAS),
            *("--stream", stream),
        ]

    def invoke_pusher(self, event: str) -> dict:
        """Invokes the function record-pusher with a JSON text, and returns its response."""
        return self._invoke(REGIONS[0], self.outputs[REGIONS[0]]["PusherFunction"], event)

    def invoke_consumer(self, region: str, event: str) -> dict:
        """Invokes the function record-consumer with a JSON text, and returns its response."""
        return self._invoke(region, self.outputs[region]["ConsumerFunction"], event)

    @contextmanager
    def consumer_settings(self, region: str, **variables: str) -> Iterator[None]:
        """Gives a Region's record-consumer other settings for a while."""
        client = self.stack.client("lambda", region)
        function = self.outputs[region]["ConsumerFunction"]
        configuration = client.get_function_configuration(FunctionName=function)
        settings = configuration["Environment"]["Variables"]
        puts = self._single_puts_allowed(configuration["Role"]) if "VERSION_ATTRIBUTE" in variables else nullcontext()
        client.update_function_configuration(FunctionName=function, Environment={"Variables": settings | variables})
        try:
            with puts:
                yield
        finally:
            client.update_function_configuration(FunctionName=function, Environment={"Variables": settings})

    @contextmanager
    def _single_puts_allowed(self, role: str) -> Iterator[None]:
        """What the template's parameter VersionAttribute changes besides the setting."""
        policy = {"RoleName": role.split("/")[-1], "PolicyName": "put-versions"}
        statement = {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam = self.stack.client("iam", REGIONS[0])
        iam.put_role_policy(**policy, PolicyDocument=document)
        try:
            yield
        finally:
            iam.delete_role_policy(**policy)

    def quarantined(self, region: str, prefix: str = STREAM) -> dict[str, dict]:
        """The documents of a Region's quarantine whose keys begin with a prefix, by key."""
        s3, bucket = self.stack.client("s3", region), self.outputs[region]["QuarantineBucket"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        return {key: json.load(s3.get_object(Bucket=bucket, Key=key)["Body"]) for key in keys}

    def items(self, region: str) -> list[dict]:
        """Every item of a Region's table."""
        return self.stack.table_items(region, self.outputs[region]["TableName"])

    def wait_for_items(self, records: list[dict], progress: Callable[[str], None] = lambda _: None) -> None:
        """Waits until the table in every Region holds exactly these records."""
        for region in REGIONS:
            self.wait_for_items_in(region, records, progress)

    def wait_for_items_in(
        self, region: str, records: list[dict], progress: Callable[[str], None] = lambda _: None
    ) -> None:
        """Waits until the table in a Region holds exactly these records."""
        expected = {record["id"]: record for record in records}
        items = {}

        def arrived() -> bool:
            nonlocal items
            items = {item["id"]: item for item in self.items(region)}
            progress(f"{region}: {len(items)} of {len(expected)} items")
            return items == expected

        try:
            wait_until(arrived, ARRIVAL_SECONDS, f"the table in {region} does not hold exactly what was sent")
        except StackError as error:
            log = self.stack.directory / f"record-consumer.{region}.log"
            log.write_text(self.consumer_log(region), encoding="utf-8")
            raise StackError(f"{error}\n{differences(expected, items)}\nThe consumer's log: {log}") from error

    def consumer_log(self, region: str) -> str:
        """What a Region's record-consumer has written so far in the invocations that are over."""
        return self.stack.function_log(region, self.outputs[region]["ConsumerFunction"])

    def _invoke(self, region: str, function: str, event: str) -> dict:
        response = self.stack.client("lambda", region).invoke(FunctionName=function, Payload=event.encode())
        payload = response["Payload"].read().decode()
        if "FunctionError" in response:
            raise StackError(f"{function} failed: {payload}\n{self.stack.function_log(region, function)}")
        return json.loads(payload)


def differences(expected: dict[str, dict], found: dict[str, dict]) -> str:
    """How the items of a table differ from the expected ones, by id."""
    different = [name for name in expected.keys() & found.keys() if expected[name] != found[name]]
    lists = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "different": sorted(different),
    }
    return "\n".join(f"{len(ids)} {name}: {' '.join(ids[:5])}" for name, ids in lists.items() if ids)
