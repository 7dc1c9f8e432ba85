# SPDX-License-Identifier: Apache-2.0
"""The example of docs/conversations.md on a local AWS: the pipeline, and on top of it infra/conversations.yaml."""

import collections
import json
import re
import subprocess
from pathlib import Path

import boto3

from tools import ROOT
from tools.local_aws.pipeline import KEY_ALIAS, REGIONS, STREAM
from tools.local_aws.stack import Stack, StackError, read_template

TEMPLATE = ROOT / "infra" / "conversations.yaml"
STACK_NAME = "conversations"
TABLE = "conversations"

DYNAMODB_REQUEST = re.compile(
    r"DynamoDB_20120810\.(?P<operation>\w+) .*Credential=(?P<access_key>[^/]+)/\d+/(?P<region>[^/]+)/dynamodb/"
)


class Conversations:
    """The example in every Region; in the last one the updater is in a VPC."""

    def __init__(self, stack: Stack, binaries: dict[str, Path]) -> None:
        self.stack = stack
        self._program = binaries["conversations"]
        consumer = {"RecordConsumer": stack.package(binaries["record-consumer"])}
        pusher = {"RecordPusher": stack.package(binaries["record-pusher"])}
        keys = {"TableName": TABLE, "TablePartitionKey": "pk", "TableSortKey": "sk"}
        updater = stack.package(binaries["conversation-updater"])
        self.outputs = {}
        for region in REGIONS:
            stack.deploy(region, consumer | pusher, **keys)
            self.schema = self.run_json("load-schema", region=region)
            network = self._network(region) if region == REGIONS[-1] else {}
            self.outputs[region] = self._deploy(region, updater, TableStreamArn=self.schema["stream_arn"], **network)

    def run(self, *arguments: str, region: str, table: str = TABLE, code: int = 0, **variables: str) -> str:
        """Runs the program `conversations` to its end, checks its exit code and returns what it wrote: to standard
        output, or if it failed to standard error."""
        environment = self.stack.environment() | {
            "AWS_REGION": region,
            "TABLE_NAME": table,
            "REGIONS": ",".join(REGIONS),
            "KMS_KEY": KEY_ALIAS,
            "STREAM": STREAM,
        }
        command = [str(self._program), *arguments]
        result = subprocess.run(
            command, env=environment | variables, capture_output=True, encoding="utf-8", input="", check=False
        )
        if result.returncode != code:
            raise StackError(f"{command} ended with exit code {result.returncode}: {result.stderr}")
        return result.stdout if code == 0 else result.stderr

    def run_json(self, *arguments: str, region: str, **options: str) -> dict:
        """The same with JSON as the output."""
        return json.loads(self.run(*arguments, "--output", "json", region=region, **options))

    def invoke_updater(self, region: str, records: list[dict]) -> dict:
        """Invokes the function conversation-updater with records of an event, and returns its response."""
        function = self.outputs[region]["UpdaterFunction"]
        client = self.stack.client("lambda", region)
        response = client.invoke(FunctionName=function, Payload=json.dumps({"Records": records}).encode())
        payload = response["Payload"].read().decode()
        if "FunctionError" in response:
            raise StackError(f"{function} failed: {payload}\n{self.stack.function_log(region, function)}")
        return json.loads(payload)

    def reader(self, region: str) -> dict[str, str]:
        """Credentials of the role that may read conversations, as variables for a program."""
        return self._assume(region, self.outputs[region]["ReaderRoleArn"])

    def updater(self, region: str) -> dict[str, str]:
        """Credentials of the updater's role, which otherwise Lambda alone may assume."""
        function = self.outputs[region]["UpdaterFunction"]
        role = self.stack.client("lambda", region).get_function_configuration(FunctionName=function)["Role"]
        everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        self.stack.client("iam", region).update_assume_role_policy(
            RoleName=role.split("/")[-1],
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everybody]}),
        )
        return self._assume(region, role)

    def dynamodb_as(self, credentials: dict[str, str], region: str):
        """A DynamoDB client with such credentials."""
        credentials = {name.lower(): value for name, value in credentials.items()}
        return boto3.client("dynamodb", region_name=region, endpoint_url=self.stack.endpoint, **credentials)

    def items(self, region: str, prefix: str, table: str = TABLE) -> dict[tuple[str, str], dict]:
        """The items of a Region's table whose partition keys begin with a prefix, by key."""
        items = self.stack.table_items(region, table)
        return {(item["pk"], item["sk"]): item for item in items if item["pk"].startswith(prefix)}

    def dynamodb_calls(self) -> collections.Counter:
        """How often each operation of DynamoDB was requested so far, by access key."""
        requests = (self.stack.directory / "requests.log").read_text()
        found = DYNAMODB_REQUEST.finditer(requests)
        return collections.Counter((request["access_key"], request["operation"]) for request in found)

    def _assume(self, region: str, role: str) -> dict[str, str]:
        assumed = self.stack.client("sts", region).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": assumed["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": assumed["SecretAccessKey"],
            "AWS_SESSION_TOKEN": assumed["SessionToken"],
        }

    def _network(self, region: str) -> dict[str, str]:
        """Parameters for the VPC that the local AWS has."""
        ec2 = self.stack.client("ec2", region)
        subnets = ec2.describe_subnets()["Subnets"][:2]
        of_vpc = {"Name": "vpc-id", "Values": [subnets[0]["VpcId"]]}
        tables = ec2.describe_route_tables(Filters=[of_vpc])["RouteTables"]
        return {
            "VpcId": subnets[0]["VpcId"],
            "SubnetIds": ",".join(subnet["SubnetId"] for subnet in subnets),
            "RouteTableIds": ",".join(table["RouteTableId"] for table in tables),
        }

    def _deploy(self, region: str, updater: Path, **parameters: str) -> dict[str, str]:
        template = read_template(TEMPLATE)
        function = template["Resources"]["ConversationUpdater"]["Properties"]
        function["CodeUri"] = self.stack.upload_package(region, updater)
        return self.stack.create_stack(region, STACK_NAME, template, TableName=TABLE, **parameters)
