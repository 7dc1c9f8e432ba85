# SPDX-License-Identifier: Apache-2.0
"""The table that infra/cache.yaml makes, and dynamodb-cache's own suite on it."""

import subprocess
from collections.abc import Iterator

import pytest

from tools import ROOT
from tools.local_aws.stack import Stack, read_template

TEMPLATE = ROOT / "infra" / "cache.yaml"
REGION = "eu-west-1"
STACK_NAME = "orders-cache"
TABLE = "orders-cache-test"
# With --workspace cargo uses the builds that the other tests have made.
CONFORMANCE = ["cargo", "test", "--workspace", "--locked", "--test", "dynamodb_cache", "conformance::"]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack() as stack:
        stack.create_stack(REGION, STACK_NAME, read_template(TEMPLATE), AppName="orders", EnvironmentName="test")
        yield stack


def test_the_template_makes_a_table_that_empties_itself(stack: Stack) -> None:
    table = stack.client("dynamodb", REGION).describe_table(TableName=TABLE)["Table"]
    assert table["KeySchema"] == [{"AttributeName": "id", "KeyType": "HASH"}]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    # The local AWS does not take these over from a template.
    properties = read_template(TEMPLATE)["Resources"]["CacheTable"]["Properties"]
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}
    assert properties["SSESpecification"] == {"SSEEnabled": True}


def test_every_store_conforms_on_this_dynamodb(stack: Stack) -> None:
    environment = stack.environment() | {"AWS_REGION": REGION, "DYNAMODB_CACHE_TEST_TABLE": TABLE}
    result = subprocess.run(CONFORMANCE, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "test result: ok. 3 passed" in result.stdout
    written = stack.table_items(REGION, TABLE)
    # The suite did run on this table, and gave its leases back.
    assert written
    assert not [item for item in written if item["id"].startswith("##")]
    assert all(item["expires_at"] % 1 == 0 for item in written)
