# SPDX-License-Identifier: Apache-2.0
"""What scripts/deploy and scripts/destroy find out before they build or change anything."""

from dataclasses import dataclass, field

import pytest

from tools.deploy import destroy
from tools.deploy.command import SetupError, template
from tools.deploy.plan import check_stack, check_value, plan

REGION = "eu-west-1"
NOW = {
    "StreamName": "records",
    "KeyAlias": "sealstream",
    "TableName": "sealstream-records",
    "ExistingTable": "",
    "PusherRegions": "eu-west-1,us-east-1",
}
REPLACED_STREAM = (
    "REPLACES the stream records. The old one is kept with the records that are still in it, and record-consumer no "
    "longer reads it"
)


@dataclass
class FakeStack:
    """A stack that CloudFormation would describe like this."""

    state: str | None = "UPDATE_COMPLETE"
    values: dict[str, str] = field(default_factory=lambda: NOW)
    region: str = REGION
    name: str = "sealstream"

    def status(self) -> str | None:
        return self.state

    def parameters(self) -> dict[str, str]:
        return self.values


@pytest.mark.parametrize(
    ("parameters", "lines"),
    [
        ({}, []),
        ({"BatchSize": "200"}, []),
        (
            {"StreamName": "other"},
            [REPLACED_STREAM],
        ),
        ({"KeyAlias": "other"}, ["DELETES alias/sealstream. Producers that name it fail"]),
        (
            {"TableName": "other-records"},
            ["CREATES the table other-records. The one that it wrote to until now is kept"],
        ),
        ({"ExistingTable": "restored"}, ["writes to the table restored. The one that it wrote to until now is kept"]),
        ({"PusherRegions": ""}, ["DELETES the function record-pusher"]),
        ({"PusherRegions": "eu-west-1"}, ["record-pusher no longer sends to us-east-1"]),
        ({"PusherRegions": "us-east-1,eu-west-1,ap-southeast-2"}, []),
        (
            {"PusherRegions": "", "KeyAlias": "other"},
            ["DELETES alias/sealstream. Producers that name it fail", "DELETES the function record-pusher"],
        ),
    ],
)
def test_a_plan_says_what_is_replaced_or_deleted(parameters: dict[str, str], lines: list[str]) -> None:
    first, *others = plan(FakeStack(), parameters)
    assert first.startswith("update")
    assert all(f"{name}={value}" in first for name, value in parameters.items())
    assert others == lines


@pytest.mark.parametrize("state", [None, "ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"])
def test_a_new_stack_replaces_nothing(state: str | None) -> None:
    assert plan(FakeStack(state, values={}), {"StreamName": "other", "TableSortKey": ""}) == [
        "create, StreamName=other"
    ]


@pytest.mark.parametrize(
    ("state", "advice"),
    [
        ("UPDATE_IN_PROGRESS", "wait until that is over"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "wait until that is over"),
        ("ROLLBACK_IN_PROGRESS", "wait until that is over"),
        ("DELETE_IN_PROGRESS", "wait until that is over"),
        ("UPDATE_ROLLBACK_FAILED", f"continue-update-rollback --region {REGION} --stack-name sealstream"),
        ("CREATE_FAILED", f"scripts/destroy --regions {REGION} --stack-name sealstream"),
        ("ROLLBACK_FAILED", f"scripts/destroy --regions {REGION} --stack-name sealstream"),
        ("DELETE_FAILED", f"scripts/destroy --regions {REGION} --stack-name sealstream"),
    ],
)
def test_a_stack_that_cannot_be_updated_is_refused_with_advice(state: str, advice: str) -> None:
    with pytest.raises(SetupError) as error:
        check_stack(FakeStack(state))
    assert f"the stack sealstream in {REGION} is in the state {state}: " in f"{error.value}"
    assert advice in f"{error.value}"


@pytest.mark.parametrize(
    "state", [None, "CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "ROLLBACK_COMPLETE"]
)
def test_a_stack_that_can_be_updated_is_not_refused(state: str | None) -> None:
    check_stack(FakeStack(state))


@pytest.mark.parametrize("values", [{}, {"StreamName": "orders"}, {"KeyAlias": "shop", "TableName": "carts"}])
@pytest.mark.parametrize("state", ["CREATE_COMPLETE", "ROLLBACK_COMPLETE"])
def test_a_stack_of_somebody_elses_is_refused(state: str, values: dict[str, str]) -> None:
    with pytest.raises(SetupError, match=f"the stack sealstream in {REGION} is not sealstream's"):
        check_stack(FakeStack(state, values))


def test_a_stack_without_resources_is_anybodys() -> None:
    check_stack(FakeStack("REVIEW_IN_PROGRESS", {}))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("BatchSize", "0", "the value is not a number from 1 to 10000"),
        ("BatchSize", "10001", "the value is not a number from 1 to 10000"),
        ("BatchSize", "many", "the value is not a number from 1 to 10000"),
        ("ConsumerReservedConcurrency", "-2", "the least is -1"),
        ("Suite", "none", "the value is not one of signed, unsigned"),
        ("LogRetentionDays", "2", "the value is not one of 1, 3, 5"),
        ("TablePartitionKey", "", "the value is empty"),
        ("TableSortKey", "x" * 256, "the value has 256 characters"),
        ("PusherRegions", "us-east-1, eu-west-1", "the value is not Regions separated by commas, without spaces"),
        ("MaximumRecordAgeSeconds", "30", "the value is not -1, or 60 to 604800"),
        ("AlarmTopicArn", "arn:aws:sns:us-east-1:000000000000:alarms", f"alarms of {REGION} need a topic in {REGION}"),
        ("AlarmTopicArn", "alarms", "the value is not the ARN of an SNS topic"),
    ],
)
def test_a_value_that_cloudformation_would_refuse_is_refused_before_the_build(
    name: str, value: str, reason: str
) -> None:
    with pytest.raises(SetupError) as error:
        check_value(name, value, REGION)
    assert f"{error.value}".startswith(f"{name}={value}: {reason}")


def test_every_default_is_taken() -> None:
    for name, parameter in template()["Parameters"].items():
        check_value(name, f"{parameter['Default']}", REGION)


def test_a_region_that_a_pusher_elsewhere_sends_to_is_not_destroyed(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = {"us-east-1": "us-east-1,eu-west-1,ap-southeast-2"}

    def stack(region: str, name: str) -> FakeStack:
        return FakeStack(values={"PusherRegions": elsewhere.get(region, "")}, region=region, name=name)

    monkeypatch.setattr(destroy, "RegionStack", stack)
    with pytest.raises(SetupError) as error:
        destroy.require_no_pusher_elsewhere([stack(REGION, "sealstream")])
    assert f"record-pusher in us-east-1 still sends to {REGION}" in f"{error.value}"
    assert "scripts/deploy --stack-name sealstream --regions us-east-1,ap-southeast-2" in f"{error.value}"
    # Together with the pusher's Region it is.
    destroy.require_no_pusher_elsewhere([stack("us-east-1", "sealstream"), stack(REGION, "sealstream")])
