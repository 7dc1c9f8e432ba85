# SPDX-License-Identifier: Apache-2.0
"""scripts/deploy and scripts/destroy, on a local AWS of their own."""

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import ROOT
from tools.deploy.plan import OWN_PARAMETERS
from tools.deploy.stacks import first_failure
from tools.local_aws.pipeline import REGIONS
from tools.local_aws.stack import STACK_NAME, Stack, wait_until
from tools.tests.conftest import local_aws, run

ARRIVAL_SECONDS = 60
ROLLBACK_SECONDS = 30
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
# What tells a stack of the pipeline from others.
OWN = {"Parameters": {name: {"Type": "String", "Default": ""} for name in sorted(OWN_PARAMETERS)}}
OTHER_ARCHITECTURE = {"x86_64": "arm64", "arm64": "x86_64"}[ARCHITECTURE]


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    with local_aws(request) as stack:
        yield stack


@pytest.fixture(scope="module")
def built(binaries: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `cargo lambda build` would make, but for this machine."""
    directory = tmp_path_factory.mktemp("built")
    for name in ["record-consumer", "record-pusher"]:
        (directory / name).mkdir()
        shutil.copy(binaries[name], directory / name / "bootstrap")
    return directory


def test_a_pipeline_is_deployed_kept_and_destroyed(stack: Stack, built: Path) -> None:
    settings = ["--parameter", "BatchSize=200", "--parameter", f"{REGIONS[1]}:MemoryMiB=1024"]
    first = deploy(stack, REGIONS, built, "--json", *settings)
    outputs = json.loads(first.stdout)
    # The Region with the pusher is deployed last, and knows the others' keys by then.
    assert parameter(deployed(stack, REGIONS[0]), "PusherKeyArns") == outputs[REGIONS[1]]["KeyArn"]
    assert [line.split(":")[0].strip() for line in first.stderr.splitlines() if ": create" in line] == REGIONS[::-1]
    assert list(outputs) == REGIONS
    assert "PusherFunction" not in outputs[REGIONS[1]]
    push(stack, outputs[REGIONS[0]]["PusherFunction"], {"id": "1", "name": "first"}, REGIONS[0])
    for region in REGIONS:
        wait_for_items(stack, region, outputs[region]["TableName"], {"1"})

    # The pusher sends to the other Region, which therefore stays.
    assert f"record-pusher in {REGIONS[0]} still sends to {REGIONS[1]}" in destroy(stack, REGIONS[1:], code=2).stderr

    before = [deployed(stack, region) for region in REGIONS]
    assert json.loads(deploy(stack, REGIONS, built, "--json").stdout) == outputs
    # Parameters that are no longer given have kept their values too.
    assert [deployed(stack, region) for region in REGIONS] == before
    assert [parameter(state, "BatchSize") for state in before] == ["200", "200"]
    assert [parameter(state, "MemoryMiB") for state in before] == ["512", "1024"]

    # The table's name is taken, by itself.
    failed = deploy(stack, REGIONS, built, "--parameter", "TablePartitionKey=other", code=1).stderr.splitlines()[-1]
    reason = "RecordTable (AWS::DynamoDB::Table): CloudFormation cannot update a stack when a custom-named resource"
    assert failed.startswith(f"scripts/deploy: {REGIONS[1]} failed, and the Regions after it were left alone: {reason}")
    assert deployed(stack, REGIONS[0]) == before[0]

    kept = destroy(stack, REGIONS).stdout
    for region in REGIONS:
        assert f"--region {region} --key-id {outputs[region]['KeyArn'].split('/')[1]}" in kept
        assert f"--region {region} --table-name {outputs[region]['TableName']}" in kept
        assert f"--region {region} --force s3://{outputs[region]['QuarantineBucket']}" in kept
        assert stack.table_items(region, outputs[region]["TableName"])
    again = destroy(stack, REGIONS)
    assert again.stderr.splitlines() == [f"{region} has no stack {STACK_NAME}" for region in REGIONS]


def test_a_stack_that_could_not_be_created_is_not_in_the_way(stack: Stack, built: Path) -> None:
    region = "ap-south-1"
    # An alias of nothing.
    template = OWN | {"Resources": {"Alias": {"Type": "AWS::KMS::Alias", "Properties": {"AliasName": "alias/none"}}}}
    stack.client("cloudformation", region).create_stack(StackName=STACK_NAME, TemplateBody=json.dumps(template))
    wait_until(
        lambda: deployed(stack, region)["StackStatus"] == "ROLLBACK_COMPLETE",
        ROLLBACK_SECONDS,
        "the stack that is to fail has not failed",
    )
    plan = deploy(stack, [region], built).stderr.splitlines()[1]
    assert plan.startswith(f"  {region}: create, ")
    assert deployed(stack, region)["StackStatus"] == "CREATE_COMPLETE"


def test_a_stack_is_deployed_again_over_the_data_that_it_left(stack: Stack, built: Path) -> None:
    region = "us-west-2"
    [first] = json.loads(deploy(stack, [region], built, "--json").stdout).values()
    push(stack, first["PusherFunction"], {"id": "1", "name": "first"}, region)
    wait_for_items(stack, region, first["TableName"], {"1"})
    [message] = messages(stack, region, first["StreamName"])
    destroy(stack, [region])

    # What the table lacks now is encrypted under the key of the stack that is gone.
    stack.client("dynamodb", region).delete_item(TableName=first["TableName"], Key={"id": {"S": "1"}})
    kept = [f"ExistingTable={first['TableName']}", f"PreviousKeyArns={first['KeyArn']}"]
    parameters = [argument for value in kept for argument in ("--parameter", value)]
    [second] = json.loads(deploy(stack, [region], built, "--json", *parameters).stdout).values()
    assert second["TableName"] == first["TableName"]
    assert second["KeyArn"] != first["KeyArn"]
    kinesis = stack.client("kinesis", region)
    kinesis.put_record(StreamName=second["StreamName"], Data=message, PartitionKey="1")
    push(stack, second["PusherFunction"], {"id": "2", "name": "second"}, region)
    wait_for_items(stack, region, second["TableName"], {"1", "2"})


def test_the_key_is_replaced_while_records_arrive(stack: Stack, built: Path) -> None:
    region = "eu-west-2"

    def deploy_keys(keys: str, *parameters: str) -> dict[str, str]:
        arguments = [argument for value in (f"RecordKeys={keys}", *parameters) for argument in ("--parameter", value)]
        [outputs] = json.loads(deploy(stack, [region], built, "--json", *arguments).stdout).values()
        push(stack, outputs["PusherFunction"], {"id": keys}, region)
        return outputs

    old = deploy_keys("a")
    wait_for_items(stack, region, old["TableName"], {"a"})
    [message] = messages(stack, region, old["StreamName"])
    both = deploy_keys("a,b")
    assert both["KeyArn"] == old["KeyArn"]
    new = deploy_keys("b,a")
    assert new["KeyArn"] not in old["KeyArns"]
    assert set(new["KeyArns"].split(",")) == {old["KeyArn"], new["KeyArn"]}
    last = deploy_keys("b", f"PreviousKeyArns={old['KeyArn']}")
    assert last["KeyArns"] == new["KeyArn"]
    assert stack.client("kms", region).describe_key(KeyId=old["KeyArn"])["KeyMetadata"]["Enabled"]
    wait_for_items(stack, region, last["TableName"], {"a", "a,b", "b,a", "b"})

    # A message under the old key, as a spool may send it.
    stack.client("dynamodb", region).delete_item(TableName=last["TableName"], Key={"id": {"S": "a"}})
    stack.client("kinesis", region).put_record(StreamName=last["StreamName"], Data=message, PartitionKey="1")
    wait_for_items(stack, region, last["TableName"], {"a", "a,b", "b,a", "b"})


def test_the_stream_is_renamed(stack: Stack, built: Path) -> None:
    region = "ca-central-1"
    [old] = json.loads(deploy(stack, [region], built, "--json").stdout).values()
    push(stack, old["PusherFunction"], {"id": "1"}, region)
    wait_for_items(stack, region, old["TableName"], {"1"})

    renamed = deploy(stack, [region], built, "--json", "--parameter", "StreamName=orders")
    assert f"  {region}: REPLACES the stream records." in renamed.stderr
    [new] = json.loads(renamed.stdout).values()
    assert new["StreamName"] == "orders"
    push(stack, new["PusherFunction"], {"id": "2"}, region)
    wait_for_items(stack, region, new["TableName"], {"1", "2"})
    # What it holds is not lost, and may be read once more.
    assert len(messages(stack, region, old["StreamName"])) == 1


def test_the_pusher_moves_to_another_region(stack: Stack, built: Path) -> None:
    regions = ["eu-central-2", "eu-south-1"]
    first = json.loads(deploy(stack, regions, built, "--json").stdout)
    push(stack, first[regions[0]]["PusherFunction"], {"id": "1"}, regions[0])
    # The new one first, so that callers can change over before the old one goes.
    both = deploy(stack, regions, built, "--json", "--pushers", ",".join(regions))
    push(stack, json.loads(both.stdout)[regions[1]]["PusherFunction"], {"id": "2"}, regions[1])
    moved = deploy(stack, regions[::-1], built, "--json")
    assert f"  {regions[0]}: DELETES the function record-pusher" in moved.stderr
    outputs = json.loads(moved.stdout)
    assert "PusherFunction" not in outputs[regions[0]]
    push(stack, outputs[regions[1]]["PusherFunction"], {"id": "3"}, regions[1])
    for region in regions:
        wait_for_items(stack, region, outputs[region]["TableName"], {"1", "2", "3"})


def test_a_foreign_stack_is_neither_updated_nor_deleted(stack: Stack, built: Path) -> None:
    region = "ap-northeast-1"
    template = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    stack.client("cloudformation", region).create_stack(StackName=STACK_NAME, TemplateBody=json.dumps(template))
    refusal = f"the stack {STACK_NAME} in {region} is not sealstream's"
    assert refusal in deploy(stack, [region], built, code=2).stderr
    assert refusal in destroy(stack, [region], code=2).stderr
    assert deployed(stack, region)["StackStatus"] == "CREATE_COMPLETE"


def test_the_reason_of_a_failure_is_looked_for_in_the_nested_stack() -> None:
    # The newest first.
    events = {
        "outer": [
            event("outer", "outer", "ROLLBACK_COMPLETE"),
            event("outer", "Table", "CREATE_FAILED", "Resource creation cancelled"),
            event("outer", "Nested", "CREATE_FAILED", "Embedded stack was not successfully created: [Alarm]"),
            event("outer", "outer", "CREATE_IN_PROGRESS"),
            event("outer", "Key", "CREATE_FAILED", "of an earlier operation"),
        ],
        "Nested": [
            event("Nested", "Alarm", "CREATE_FAILED", "the reason"),
            event("Nested", "Nested", "CREATE_IN_PROGRESS"),
        ],
    }
    found = "Nested (AWS::CloudFormation::Stack): Alarm (AWS::Any::Thing): the reason"
    assert first_failure(events.get, "outer") == found
    # What was there before the operation is no reason of it.
    assert first_failure(events.get, "outer", since=events["outer"][1]["EventId"]) is None


def event(stack: str, resource: str, status: str, reason: str = "") -> dict:
    return {
        "EventId": f"{resource}-{status}",
        "StackId": stack,
        "LogicalResourceId": resource,
        "PhysicalResourceId": resource,
        "ResourceType": "AWS::CloudFormation::Stack" if resource in ("outer", "Nested") else "AWS::Any::Thing",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--parameter", "BatchSiz=1"], "'BatchSiz=1' is not NAME=VALUE with one of the template's parameters"),
        (["--parameter", "eu-west-1:BatchSize=1"], "is for eu-west-1, which is not among the Regions eu-central-1"),
        (["--arch", OTHER_ARCHITECTURE], f"RecordConsumer is to run on {OTHER_ARCHITECTURE}, but "),
    ],
)
def test_wrong_settings_change_nothing(stack: Stack, built: Path, arguments: list[str], message: str) -> None:
    assert message in deploy(stack, ["eu-central-1"], built, *arguments, code=2).stderr
    assert stack.client("cloudformation", "eu-central-1").list_stacks()["StackSummaries"] == []


@pytest.mark.parametrize("script", ["deploy", "destroy"])
def test_nothing_is_done_where_nobody_can_be_asked(stack: Stack, script: str) -> None:
    stack.client("cloudformation", "eu-north-1").create_stack(
        StackName=f"untouched-{script}",
        TemplateBody=json.dumps(OWN | {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}),
    )
    command = [ROOT / "scripts" / script, "--regions", "eu-north-1", "--stack-name", f"untouched-{script}"]
    assert "--yes goes on without asking" in run(command, stack.environment(), code=2).stderr
    status = stack.client("cloudformation", "eu-north-1").describe_stacks(StackName=f"untouched-{script}")
    assert status["Stacks"][0]["StackStatus"] == "CREATE_COMPLETE"


def test_a_region_that_does_not_exist_is_named(stack: Stack) -> None:
    environment = {name: value for name, value in stack.environment().items() if name != "AWS_ENDPOINT_URL"}
    error = run([ROOT / "scripts" / "deploy", "--regions", "us-nowhere-1"], environment, code=2).stderr
    assert "us-nowhere-1 cannot be reached; is that the name of a Region?" in error


def test_missing_credentials_are_named(stack: Stack, tmp_path: Path) -> None:
    environment = {name: value for name, value in stack.environment().items() if not name.startswith("AWS_ACCESS")}
    environment |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    error = run([ROOT / "scripts" / "deploy", "--regions", "us-east-1"], environment, code=2).stderr
    assert "no AWS credentials were found" in error


def test_cargo_and_the_library_of_the_target_are_asked_for(stack: Stack, tmp_path: Path) -> None:
    for tool in ["bash", "cmp", "dirname"]:
        (tmp_path / tool).symlink_to(shutil.which(tool))
    (tmp_path / "python3").symlink_to(Path(sys.executable).resolve())
    environment = stack.environment() | {"PATH": str(tmp_path)}
    command = [ROOT / "scripts" / "deploy", "--regions", "eu-west-3", "--yes"]
    assert "cargo is not installed" in run(command, environment, code=2).stderr

    stub(tmp_path / "cargo", "exit 1")
    stub(tmp_path / "rustc", f"echo {tmp_path}/nothing")
    wanted = "rustup target add aarch64-unknown-linux-gnu"
    assert f"install Rust with https://rustup.rs and run: {wanted}" in run(command, environment, code=2).stderr

    stub(tmp_path / "rustup", f'echo "rustup $*" > {tmp_path}/call; exit 1')
    assert "could not be installed" in run(command, environment, code=2).stderr
    assert (tmp_path / "call").read_text(encoding="utf-8").strip() == wanted


def stub(program: Path, script: str) -> None:
    program.write_text(f"#!{shutil.which('bash')}\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


def deploy(
    stack: Stack, regions: list[str], built: Path, *arguments: str, code: int = 0
) -> subprocess.CompletedProcess:
    command = [ROOT / "scripts" / "deploy", "--regions", ",".join(regions), "--built", built, "--yes"]
    if "--arch" not in arguments:
        command += ["--arch", ARCHITECTURE]
    return run([*command, *arguments], stack.environment(), code=code)


def destroy(stack: Stack, regions: list[str], code: int = 0) -> subprocess.CompletedProcess:
    command = [ROOT / "scripts" / "destroy", "--regions", ",".join(regions), "--yes"]
    return run(command, stack.environment(), code=code)


def deployed(stack: Stack, region: str) -> dict:
    return stack.client("cloudformation", region).describe_stacks(StackName=STACK_NAME)["Stacks"][0]


def parameter(deployed_stack: dict, name: str) -> str:
    [value] = [entry["ParameterValue"] for entry in deployed_stack["Parameters"] if entry["ParameterKey"] == name]
    return value


def push(stack: Stack, function: str, record: dict, region: str) -> None:
    payload = json.dumps(record).encode()
    response = stack.client("lambda", region).invoke(FunctionName=function, Payload=payload)
    assert json.load(response["Payload"])["undelivered"] == 0


def wait_for_items(stack: Stack, region: str, table: str, ids: set[str]) -> None:
    wait_until(
        lambda: {item["id"] for item in stack.table_items(region, table)} == ids,
        ARRIVAL_SECONDS,
        f"the records {ids} are not in the table in {region}",
    )


def messages(stack: Stack, region: str, stream: str) -> list[bytes]:
    """The data of every record in a stream."""
    kinesis = stack.client("kinesis", region)
    iterators = [
        kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
        for shard in kinesis.list_shards(StreamName=stream)["Shards"]
    ]
    pages = [kinesis.get_records(ShardIterator=iterator["ShardIterator"]) for iterator in iterators]
    return [record["Data"] for page in pages for record in page["Records"]]
