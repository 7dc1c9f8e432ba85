# SPDX-License-Identifier: Apache-2.0
"""What the template's roles, and others, may do: asked of a local AWS that evaluates the template's own policies."""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from botocore.exceptions import ClientError

from tools.local_aws.pipeline import KEY_ALIAS, REGIONS, STREAM, Pipeline
from tools.local_aws.stack import Stack
from tools.tests.conftest import ACCOUNT, Deployment

# The first Region has the pusher.
HERE, ELSEWHERE = REGIONS
CONTEXT = {"stream": STREAM}
OTHER_CONTEXT = {"stream": "another-stream"}
DATA_KEY = {"KeySpec": "AES_256"}
ITEM = {"id": {"S": "1"}}
LAMBDA = {"Service": "lambda.amazonaws.com"}


@dataclass
class Caller:
    """Somebody who calls AWS in a role."""

    stack: Stack
    credentials: dict[str, str]

    def client(self, service: str, region: str = HERE):
        return self.stack.client(service, region, **self.credentials)


def caller(stack: Stack, role: str) -> Caller:
    # Only Lambda may assume the functions' roles, and the emulator takes the root user for any service.
    session = stack.client("sts", HERE).assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    return Caller(
        stack,
        {
            "aws_access_key_id": session["AccessKeyId"],
            "aws_secret_access_key": session["SecretAccessKey"],
            "aws_session_token": session["SessionToken"],
        },
    )


def function_caller(stack: Stack, region: str, function: str) -> Caller:
    configuration = stack.client("lambda", region).get_function_configuration(FunctionName=function)
    return caller(stack, configuration["Role"])


def caller_with_policy(stack: Stack, *actions: str, name: str | None = None) -> Caller:
    """Somebody whose role may do these actions with every resource of the account, as its IAM policy says."""
    iam = stack.client("iam", HERE)
    name = name or f"test-{uuid.uuid4().hex}"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(Principal=LAMBDA, Action="sts:AssumeRole"))
    document = policy(Action=list(actions), Resource="*")
    iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=document)
    return caller(stack, role["Role"]["Arn"])


def policy(**statement) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | statement]})


def assert_denied(call: Callable, **request) -> None:
    with pytest.raises(ClientError) as error:
        call(**request)
    assert error.value.response["Error"]["Code"] in ("AccessDenied", "AccessDeniedException"), error.value


def assert_cannot_administer(kms, key: str) -> None:
    assert_denied(kms.put_key_policy, KeyId=key, Policy=policy(Principal="*", Action="kms:*", Resource="*"))
    assert_denied(kms.create_grant, KeyId=key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:root", Operations=["Decrypt"])
    assert_denied(kms.disable_key, KeyId=key)
    assert_denied(kms.disable_key_rotation, KeyId=key)
    assert_denied(kms.schedule_key_deletion, KeyId=key)
    assert_denied(kms.update_alias, AliasName=KEY_ALIAS, TargetKeyId=key)


def wrapped(stack: Stack, region: str, context: dict[str, str]) -> bytes:
    """A data key, made by the account's root user."""
    kms = stack.client("kms", region)
    return kms.generate_data_key(KeyId=KEY_ALIAS, EncryptionContext=context, **DATA_KEY)["CiphertextBlob"]


@pytest.fixture
def pusher(deployed: Pipeline) -> Caller:
    return function_caller(deployed.stack, HERE, deployed.outputs[HERE]["PusherFunction"])


@pytest.fixture
def consumer(deployed: Pipeline) -> Caller:
    return function_caller(deployed.stack, HERE, deployed.outputs[HERE]["ConsumerFunction"])


def test_the_pusher_encrypts_for_the_stream_in_every_region(pusher: Caller) -> None:
    for region in REGIONS:
        kms = pusher.client("kms", region)
        kms.generate_data_key(KeyId=KEY_ALIAS, EncryptionContext=CONTEXT, **DATA_KEY)
        kms.encrypt(KeyId=KEY_ALIAS, EncryptionContext=CONTEXT, Plaintext=b"data key")


def test_the_pusher_cannot_encrypt_for_another_stream(pusher: Caller) -> None:
    kms = pusher.client("kms")
    for context in (OTHER_CONTEXT, {}):
        assert_denied(kms.generate_data_key, KeyId=KEY_ALIAS, EncryptionContext=context, **DATA_KEY)
        assert_denied(kms.encrypt, KeyId=KEY_ALIAS, EncryptionContext=context, Plaintext=b"data key")


def test_the_pusher_cannot_use_a_key_without_the_alias(deployed: Pipeline, pusher: Caller) -> None:
    anybodys = policy(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, Action="kms:*", Resource="*")
    key = deployed.stack.client("kms", HERE).create_key(Policy=anybodys)["KeyMetadata"]["KeyId"]
    assert_denied(pusher.client("kms").generate_data_key, KeyId=key, EncryptionContext=CONTEXT, **DATA_KEY)


def test_the_pusher_cannot_push_to_a_region_that_is_not_its_own(pusher: Caller) -> None:
    records = [{"Data": b"", "PartitionKey": "1"}]
    assert_denied(pusher.client("kinesis", "ap-south-1").put_records, StreamName=STREAM, Records=records)


def test_the_pusher_can_neither_decrypt_nor_read_nor_write_items(deployed: Pipeline, pusher: Caller) -> None:
    for region in REGIONS:
        blob = wrapped(deployed.stack, region, CONTEXT)
        assert_denied(pusher.client("kms", region).decrypt, CiphertextBlob=blob, EncryptionContext=CONTEXT)
        shard = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
        assert_denied(pusher.client("kinesis", region).get_shard_iterator, StreamName=STREAM, **shard)
    outputs, dynamodb = deployed.outputs[HERE], pusher.client("dynamodb")
    assert_denied(dynamodb.put_item, TableName=outputs["TableName"], Item=ITEM)
    assert_denied(dynamodb.get_item, TableName=outputs["TableName"], Key=ITEM)
    assert_denied(pusher.client("s3").list_objects_v2, Bucket=outputs["QuarantineBucket"])


def test_the_pusher_puts_to_no_other_stream(pusher: Caller, stream: str) -> None:
    records = [{"Data": b"", "PartitionKey": "1"}]
    assert_denied(pusher.client("kinesis").put_records, StreamName=stream, Records=records)


def test_the_consumer_decrypts_for_the_stream_with_its_regions_key(deployed: Pipeline, consumer: Caller) -> None:
    key = deployed.outputs[HERE]["KeyArn"]
    blob = wrapped(deployed.stack, HERE, CONTEXT)
    kms = consumer.client("kms")
    named = kms.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext=CONTEXT)
    found = kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)
    assert named["Plaintext"] == found["Plaintext"]


def test_the_consumer_cannot_decrypt_for_another_stream_or_region(deployed: Pipeline, consumer: Caller) -> None:
    for region, context in ((HERE, OTHER_CONTEXT), (HERE, {}), (ELSEWHERE, CONTEXT)):
        blob = wrapped(deployed.stack, region, context)
        assert_denied(consumer.client("kms", region).decrypt, CiphertextBlob=blob, EncryptionContext=context)


def test_the_consumer_cannot_encrypt_or_push(consumer: Caller) -> None:
    kms = consumer.client("kms")
    assert_denied(kms.generate_data_key, KeyId=KEY_ALIAS, EncryptionContext=CONTEXT, **DATA_KEY)
    assert_denied(kms.encrypt, KeyId=KEY_ALIAS, EncryptionContext=CONTEXT, Plaintext=b"data key")
    records = [{"Data": b"", "PartitionKey": "1"}]
    assert_denied(consumer.client("kinesis").put_records, StreamName=STREAM, Records=records)


def test_the_consumer_writes_its_table_and_reads_none(deployed: Pipeline, consumer: Caller) -> None:
    table = deployed.outputs[HERE]["TableName"]
    requests = [{"PutRequest": {"Item": ITEM}}]
    dynamodb = consumer.client("dynamodb")
    dynamodb.batch_write_item(RequestItems={table: requests})
    deployed.stack.client("dynamodb", HERE).delete_item(TableName=table, Key=ITEM)

    assert_denied(dynamodb.batch_write_item, RequestItems={"another-table": requests})
    assert_denied(dynamodb.batch_write_item, RequestItems={table: requests, "another-table": requests})
    assert_denied(dynamodb.get_item, TableName=table, Key=ITEM)
    assert_denied(dynamodb.scan, TableName=table)
    # Without versions it has no need of single puts, and never of deletions.
    assert_denied(dynamodb.put_item, TableName=table, Item=ITEM)
    assert_denied(dynamodb.delete_item, TableName=table, Key=ITEM)
    in_other_region = consumer.client("dynamodb", ELSEWHERE)
    assert_denied(in_other_region.batch_write_item, RequestItems={table: requests})


def test_the_consumer_fills_its_quarantine_and_cannot_empty_it(deployed: Pipeline, consumer: Caller) -> None:
    bucket, name = deployed.outputs[HERE]["QuarantineBucket"], f"{STREAM}/shard/test-permissions.json"
    s3 = consumer.client("s3")
    s3.put_object(Bucket=bucket, Key=name, Body=b"{}")
    assert_denied(s3.get_object, Bucket=bucket, Key=name)
    assert_denied(s3.delete_object, Bucket=bucket, Key=name)
    assert_denied(s3.put_object, Bucket=bucket, Key="another-stream/shard/1.json", Body=b"{}")
    assert_denied(s3.put_bucket_policy, Bucket=bucket, Policy=policy(Principal="*", Action="s3:*", Resource="*"))
    deployed.stack.client("s3", HERE).delete_object(Bucket=bucket, Key=name)


def test_no_function_administers_a_key(deployed: Pipeline, pusher: Caller, consumer: Caller) -> None:
    for region in REGIONS:
        for function in (pusher, consumer):
            assert_cannot_administer(function.client("kms", region), deployed.outputs[region]["KeyArn"])


def test_all_of_kms_in_an_iam_policy_does_not_open_records(deployed: Pipeline) -> None:
    kms, key = caller_with_policy(deployed.stack, "kms:*").client("kms"), deployed.outputs[HERE]["KeyArn"]
    blob = wrapped(deployed.stack, HERE, CONTEXT)
    assert_denied(kms.decrypt, KeyId=key, CiphertextBlob=blob, EncryptionContext=CONTEXT)
    assert_denied(kms.encrypt, KeyId=key, EncryptionContext=CONTEXT, Plaintext=b"data key")
    assert_denied(kms.generate_data_key, KeyId=key, EncryptionContext=CONTEXT, **DATA_KEY)
    assert_denied(kms.create_grant, KeyId=key, GranteePrincipal=f"arn:aws:iam::{ACCOUNT}:root", Operations=["Decrypt"])


def test_the_key_can_be_administered_by_those_whose_iam_policy_says_so(deployed: Pipeline) -> None:
    kms, key = caller_with_policy(deployed.stack, "kms:*").client("kms"), deployed.outputs[HERE]["KeyArn"]
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Enabled"]
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    # The same policy again. Whoever may do this is not locked out, and can let themselves in; CloudTrail has it then.
    kms.put_key_policy(KeyId=key, Policy=kms.get_key_policy(KeyId=key)["Policy"])
    assert_denied(caller_with_policy(deployed.stack, "s3:*").client("kms").describe_key, KeyId=key)


def test_principals_that_are_listed_encrypt_or_decrypt(with_options: Deployment) -> None:
    stack, outputs = with_options.stack, with_options.outputs
    producer, reader, neither = (
        caller_with_policy(stack, "kms:*", name=name).client("kms") for name in ("producer-1", "reader", "reader-2")
    )
    generate = {"KeyId": KEY_ALIAS, "EncryptionContext": CONTEXT} | DATA_KEY
    blob = producer.generate_data_key(**generate)["CiphertextBlob"]
    decrypt = {"KeyId": outputs["KeyArn"], "CiphertextBlob": blob, "EncryptionContext": CONTEXT}
    reader.decrypt(**decrypt)

    assert_denied(producer.decrypt, **decrypt)
    assert_denied(reader.generate_data_key, **generate)
    assert_denied(neither.decrypt, **decrypt)
    assert_denied(neither.generate_data_key, **generate)
    for kms in (producer, reader):
        assert_denied(kms.generate_data_key, **generate | {"EncryptionContext": OTHER_CONTEXT})


def test_a_consumer_of_versions_puts_single_items(with_options: Deployment) -> None:
    stack, outputs = with_options.stack, with_options.outputs
    dynamodb = function_caller(stack, HERE, outputs["ConsumerFunction"]).client("dynamodb")
    item = ITEM | {"at": {"N": "1"}}
    dynamodb.put_item(TableName=outputs["TableName"], Item=item)
    requests = [{"PutRequest": {"Item": item}}]
    assert_denied(dynamodb.batch_write_item, RequestItems={outputs["TableName"]: requests})
    assert_denied(dynamodb.delete_item, TableName=outputs["TableName"], Key=item)
