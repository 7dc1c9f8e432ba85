# SPDX-License-Identifier: Apache-2.0
"""The plain CloudFormation file of scripts/template: it deploys what infra/template.yaml deploys."""

import collections
import json
import subprocess
from pathlib import Path

import pytest

from tools import ROOT
from tools.local_aws.pipeline import REGIONS
from tools.local_aws.stack import INFRA, STACK_NAME, Stack, read_template, wait_until
from tools.tests.conftest import Deployment, local_aws
from tools.tests.test_template import nodes

ARRIVAL_SECONDS = 60
NESTED = ["monitoring", "network"]


def test_it_has_neither_transform_nor_nested_stacks_and_is_valid(plain_template: Path) -> None:
    content = json.loads(plain_template.read_text(encoding="utf-8"))
    types = {resource["Type"] for resource in content["Resources"].values()}
    assert "Transform" not in content
    assert not [name for name in types if "Serverless" in name or name == "AWS::CloudFormation::Stack"]
    linted = subprocess.run(
        [ROOT / ".venv/tools/bin/cfn-lint", plain_template], capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout


def test_it_has_all_that_the_nested_stacks_have(plain_template: Path) -> None:
    content = json.loads(plain_template.read_text(encoding="utf-8"))
    for name in NESTED:
        template = read_template(INFRA / f"{name}.yaml")
        prefix = name.capitalize()
        for resource, properties in template["Resources"].items():
            found = content["Resources"][prefix + resource]
            assert found["Type"] == properties["Type"]
            assert found["Properties"].keys() == properties["Properties"].keys()


def test_every_name_in_it_is_known(plain_template: Path) -> None:
    content = json.loads(plain_template.read_text(encoding="utf-8"))
    used = {
        node["Fn::If"][0] for node in nodes(content["Resources"]) if isinstance(node, dict) and "Fn::If" in node
    } | {resource["Condition"] for resource in content["Resources"].values() if "Condition" in resource}
    assert used <= content["Conditions"].keys()
    # Fn::If and resources do not exist for conditions.
    for condition in nodes(content["Conditions"]):
        assert not isinstance(condition, dict) or "Fn::If" not in condition
        assert not isinstance(condition, dict) or condition.get("Ref", "") not in content["Resources"]


def test_it_deploys_the_pipeline(
    plain_template: Path, binaries: dict[str, Path], request: pytest.FixtureRequest
) -> None:
    region = REGIONS[0]
    with local_aws(request) as stack:
        outputs = deploy(stack, region, plain_template, binaries, PusherRegions=region)
        client = stack.client("lambda", region)
        record = {"id": "1", "name": "first"}
        answer = client.invoke(FunctionName=outputs["PusherFunction"], Payload=json.dumps(record))
        assert json.load(answer["Payload"])["undelivered"] == 0
        wait_until(
            lambda: stack.table_items(region, outputs["TableName"]) == [record],
            ARRIVAL_SECONDS,
            "the record is not in the table",
        )


def test_it_deploys_the_same_resources_with_every_option(
    plain_template: Path, binaries: dict[str, Path], with_options: Deployment, request: pytest.FixtureRequest
) -> None:
    region = REGIONS[0]
    cloudformation = with_options.stack.client("cloudformation", region)
    [deployed] = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
    parameters = {entry["ParameterKey"]: entry["ParameterValue"] for entry in deployed["Parameters"]}
    with local_aws(request) as stack:
        # Another VPC, of the same shape.
        ec2 = stack.client("ec2", region)
        subnets = ec2.describe_subnets()["Subnets"]
        tables = ec2.describe_route_tables()["RouteTables"]
        parameters |= {
            "VpcId": subnets[0]["VpcId"],
            "SubnetIds": ",".join(subnet["SubnetId"] for subnet in subnets),
            "RouteTableIds": ",".join(table["RouteTableId"] for table in tables),
        }
        outputs = deploy(stack, region, plain_template, binaries, **parameters)
        assert outputs.keys() == with_options.outputs.keys()
        assert resource_types(stack, region) == resource_types(with_options.stack, region)


def deploy(
    stack: Stack, region: str, plain_template: Path, binaries: dict[str, Path], **parameters: str
) -> dict[str, str]:
    code = [
        stack.upload_package(region, stack.package(binaries[name])) for name in ("record-consumer", "record-pusher")
    ]
    assert [entry["Key"] for entry in code] == ["record-consumer.zip", "record-pusher.zip"]
    template = json.loads(plain_template.read_text(encoding="utf-8"))
    return stack.create_stack(region, STACK_NAME, template, CodeBucket=code[0]["Bucket"], **parameters)


def resource_types(stack: Stack, region: str) -> collections.Counter:
    """How many resources of each type the stacks of a Region have, nested stacks themselves aside."""
    cloudformation = stack.client("cloudformation", region)
    stacks = [entry["StackName"] for entry in cloudformation.describe_stacks()["Stacks"]]
    resources = [
        resource
        for name in stacks
        for resource in cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    ]
    types = collections.Counter(resource["ResourceType"] for resource in resources)
    del types["AWS::CloudFormation::Stack"]
    return types
