# SPDX-License-Identifier: Apache-2.0
"""Rules of AWS that no emulator enforces, checked on the templates."""

import re
from collections.abc import Iterator

import botocore.session
import pytest

from tools.local_aws.stack import INFRA, read_template
from tools.tests.test_template import nodes, text

TEMPLATES = {path.name: read_template(path) for path in sorted(INFRA.glob("*.yaml"))}
RESOURCES = {
    f"{template} {name}": resource
    for template, content in TEMPLATES.items()
    for name, resource in content["Resources"].items()
}
# Names of these are unique in an account, or in all of AWS, and not only in a Region.
GLOBAL_NAMES = {
    "AWS::CloudFront::CachePolicy": "Name",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
    "AWS::Route53::HostedZone": "Name",
    "AWS::S3::Bucket": "BucketName",
}
# These hold what cannot be had again, or what protects it.
KEPT = {"AWS::DynamoDB::Table", "AWS::KMS::Key", "AWS::S3::Bucket", "AWS::S3::BucketPolicy"}
# Everything in them can be had again: a cache, and the example's table, which is made of the stream's records.
DISPOSABLE = {"cache.yaml", "cache-extension.yaml", "conversations.yaml"}
# Services that send these keys when they assume a role. Of the rest AWS's documentation says nothing, or that they do not.
SENDS_SOURCE = {"lambda.amazonaws.com", "config.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com"}
SOURCE_KEYS = {"aws:sourcearn", "aws:sourceaccount"}
LONGEST = {"StreamName": 128, "TableName": 255, "KeyAlias": 250}
# https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html
FUNCTION_DESCRIPTION_LIMIT = 256


def test_names_that_are_global_on_aws_differ_between_regions() -> None:
    """Otherwise the stack of a second Region fails."""
    given = {
        name: resource["Properties"].get(GLOBAL_NAMES.get(resource["Type"], "")) for name, resource in RESOURCES.items()
    }
    assert [name for name, value in given.items() if value and "AWS::Region" not in f"{value}"] == []


def test_what_cannot_be_had_again_outlives_its_stack() -> None:
    # A first creation that fails leaves nothing behind, so that it can be repeated.
    assert [
        name
        for name, resource in of_types(KEPT)
        if name.split()[0] not in DISPOSABLE
        and (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")) != ("RetainExceptOnCreate", "Retain")
    ] == []


def test_a_stream_that_is_replaced_is_kept() -> None:
    streams = dict(of_types({"AWS::Kinesis::Stream"}))
    assert streams
    assert [name for name, stream in streams.items() if stream.get("UpdateReplacePolicy") != "Retain"] == []


def test_roles_expect_of_a_service_only_what_it_sends() -> None:
    """Otherwise the service cannot assume the role."""
    statements = [
        (name, statement)
        for name, resource in of_types({"AWS::IAM::Role"})
        for statement in resource["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    ]
    assert len(statements) > 2
    assert [name for name, statement in statements if expects_source(statement) and not sends_source(statement)] == []


def expects_source(statement: dict) -> bool:
    keys = {key.lower() for operator in statement.get("Condition", {}).values() for key in operator}
    return bool(keys & SOURCE_KEYS)


def sends_source(statement: dict) -> bool:
    services = statement["Principal"].get("Service", [])
    return set([services] if isinstance(services, str) else services) <= SENDS_SOURCE


def test_descriptions_of_functions_fit_with_the_longest_names() -> None:
    functions = dict(of_types({"AWS::Serverless::Function", "AWS::Lambda::Function"}))
    assert len(functions) > 2
    for name, function in functions.items():
        description = text(function["Properties"].get("Description", ""))
        for parameter, length in LONGEST.items():
            description = description.replace(f"<{parameter}>", "x" * length)
        assert "<" not in description, f"{name}: the length of a parameter is not known here"
        assert len(description) <= FUNCTION_DESCRIPTION_LIMIT, name


def of_types(types: set[str]) -> Iterator[tuple[str, dict]]:
    return ((name, resource) for name, resource in RESOURCES.items() if resource["Type"] in types)


def test_the_longest_names_are_what_the_parameters_allow() -> None:
    for parameter, length in LONGEST.items():
        assert f",{length}}}" in TEMPLATES["template.yaml"]["Parameters"][parameter]["AllowedPattern"]


def test_a_record_age_is_none_or_what_lambda_takes() -> None:
    pattern = TEMPLATES["template.yaml"]["Parameters"]["MaximumRecordAgeSeconds"]["AllowedPattern"]
    taken = [age for age in range(-2, 610_000) if re.fullmatch(pattern, f"{age}")]
    assert taken == [-1, *range(60, 604_801)]


@pytest.mark.parametrize("service", ["kinesis", "kms", "dynamodb", "lambda"])
def test_regions_of_all_partitions_can_be_named(service: str) -> None:
    pattern = TEMPLATES["template.yaml"]["Parameters"]["PusherRegions"]["AllowedPattern"]
    regions = list(all_regions(service))
    assert len(regions) > 30
    assert [region for region in regions if not re.fullmatch(pattern, region)] == []
    assert re.fullmatch(pattern, ",".join(regions))
    assert not re.fullmatch(pattern, ", ".join(regions[:2]))


def all_regions(service: str) -> Iterator[str]:
    session = botocore.session.Session()
    for partition in session.get_available_partitions():
        yield from session.get_available_regions(service, partition)


def test_permissions_of_arns_name_the_partition() -> None:
    """`arn:aws:` does not exist in China, GovCloud or the European Sovereign Cloud."""
    for name, content in TEMPLATES.items():
        values = [value for value in nodes(content["Resources"]) if isinstance(value, str)]
        assert [value for value in values if re.search(r"\barn:aws:", value)] == [], name
