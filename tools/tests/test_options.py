# SPDX-License-Identifier: Apache-2.0
"""The template with other parameters than the defaults."""

import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tools.local_aws.pipeline import REGIONS, STREAM
from tools.local_aws.stack import wait_until
from tools.tests.conftest import ACCOUNT, Deployment

REGION, OTHER_REGION = REGIONS
ARRIVAL_SECONDS = 60


def test_a_record_takes_its_way_with_every_option(with_options: Deployment) -> None:
    stack, outputs = with_options.stack, with_options.outputs
    record = {"id": "1", "at": 2, "version": 3}
    client = stack.client("lambda", REGION)
    event = json.dumps({"records": [record], "acknowledgements": True})
    answer = client.invoke(FunctionName=outputs["PusherFunction"], Payload=event)
    [outcome] = json.load(answer["Payload"])["acknowledgements"]
    assert outcome["partitionKey"] == record["id"]
    wait_until(
        lambda: stack.table_items(REGION, outputs["TableName"]) == [record],
        ARRIVAL_SECONDS,
        "the record is not in the table",
    )


def test_stream_and_table_are_made_as_the_parameters_say(with_options: Deployment) -> None:
    stack, outputs = with_options.stack, with_options.outputs
    stream = stack.client("kinesis", REGION).describe_stream_summary(StreamName=STREAM)["StreamDescriptionSummary"]
    assert (stream["StreamModeDetails"]["StreamMode"], stream["OpenShardCount"]) == ("PROVISIONED", 3)
    table = stack.client("dynamodb", REGION).describe_table(TableName=outputs["TableName"])["Table"]
    assert [key["AttributeName"] for key in table["KeySchema"]] == ["id", "at"]
    types = {key["AttributeName"]: key["AttributeType"] for key in table["AttributeDefinitions"]}
    assert types == {"id": "S", "at": "N"}
    # The emulator keeps numbers of templates as texts.
    assert int(table["ProvisionedThroughput"]["WriteCapacityUnits"]) == 50


def test_a_vpc_gets_endpoints_for_what_functions_call(with_options: Deployment) -> None:
    endpoints = with_options.stack.client("ec2", REGION).describe_vpc_endpoints()["VpcEndpoints"]
    found = {endpoint["ServiceName"].split(".")[-1]: endpoint["VpcEndpointType"] for endpoint in endpoints}
    assert found == {"kms": "Interface", "kinesis-streams": "Interface", "dynamodb": "Gateway", "s3": "Gateway"}


def test_alarms_go_to_the_topic_and_the_dashboard_knows_them(with_options: Deployment) -> None:
    cloudwatch = with_options.stack.client("cloudwatch", REGION)
    alarms = cloudwatch.describe_alarms()["MetricAlarms"]
    assert {tuple(alarm["AlarmActions"]) for alarm in alarms} == {(f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",)}
    name = f"{with_options.outputs['ConsumerFunction']}-{REGION}"
    dashboard = cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]
    [shown] = [widget for widget in json.loads(dashboard)["widgets"] if widget["type"] == "alarm"]
    assert sorted(shown["properties"]["alarms"]) == sorted(alarm["AlarmArn"] for alarm in alarms)


def test_a_vpc_without_subnets_is_refused(with_options: Deployment, binaries: dict[str, Path]) -> None:
    stack = with_options.stack
    packages = {
        name: stack.package(binaries[binary])
        for name, binary in {"RecordConsumer": "record-consumer", "RecordPusher": "record-pusher"}.items()
    }
    with pytest.raises(ClientError, match="SubnetIds is needed with VpcId"):
        stack.deploy(OTHER_REGION, packages, VpcId="vpc-1")
