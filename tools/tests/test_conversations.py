# SPDX-License-Identifier: Apache-2.0
"""Private messages through the whole pipeline, and what the lists show of them."""

import concurrent.futures
import random
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3.dynamodb.types
import pytest
from botocore.exceptions import ClientError

from tools import ROOT
from tools.local_aws.conversations import TABLE, Conversations
from tools.local_aws.pipeline import REGIONS, STREAM
from tools.local_aws.stack import wait_until
from tools.tests.conftest import local_aws, run

ARRIVAL_SECONDS = 60
# In what must not be in a log.
MARKER = "Confidential-Marker"
REGION, OTHER_REGION = REGIONS


@pytest.fixture(scope="module")
def conversations(binaries: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Conversations]:
    with local_aws(request) as stack:
        yield Conversations(stack, binaries)


class Someone:
    """A user whom no other test writes to."""

    def __init__(self, name: str) -> None:
        self.id = str(uuid.uuid4())
        self.name = name
        self.argument = f"{self.id}:{name.lower()}:{name}"


@pytest.fixture
def pair() -> tuple[Someone, Someone]:
    return Someone("Alice"), Someone("Bob")


def arrives(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, ARRIVAL_SECONDS, f"{what} does not arrive")


def send(conversations: Conversations, sender: Someone, recipient: Someone, text: str, *options: str) -> dict:
    arguments = ("send", "--from", sender.argument, "--to", recipient.argument, *options, text)
    return conversations.run_json(*arguments, region=REGION)


def listed(conversations: Conversations, user: Someone, region: str) -> list[tuple[str, str]]:
    """With whom, and the last message."""
    page = conversations.run_json("list", "--user", user.id, region=region)
    return [(row["user_display_name"], row["message"]) for row in page["conversations"]]


def newest_of_groups(messages: dict[tuple[str, str], dict]) -> dict[str, dict]:
    """The newest message of each group, by the group's UUID."""
    return {pk.removeprefix("MSG#"): item for (pk, _), item in sorted(messages.items())}


def expected_rows(messages: dict[tuple[str, str], dict]) -> dict[tuple[str, str], dict]:
    rows = {}
    for group, message in newest_of_groups(messages).items():
        both = message["sender"], message["recipient"]
        for user, other in (both, both[::-1]):
            pk, sk = f"GRP#{user['user_uuid']}", message["sk"]
            text = {"message_group_uuid": group, "message": message["message"]}
            rows[pk, sk] = {"pk": pk, "sk": sk} | text | other
    return rows


def test_a_message_appears_in_the_lists_of_both_in_every_region(conversations: Conversations, pair) -> None:
    alice, bob = pair
    first = send(conversations, alice, bob, "Tea at five?")
    for region in REGIONS:
        arrives(lambda at=region: listed(conversations, bob, at) == [("Alice", "Tea at five?")], "the first message")
    answer = send(conversations, bob, alice, "Six is better.", "--after", first["created_at"])
    assert answer["message_group_uuid"] == first["message_group_uuid"]
    assert answer["created_at"] > first["created_at"]
    for region in REGIONS:
        arrives(lambda at=region: listed(conversations, alice, at) == [("Bob", "Six is better.")], "the answer")
        assert listed(conversations, bob, region) == [("Alice", "Six is better.")]
        shown = conversations.run_json("show", "--group", first["message_group_uuid"], region=region)
        said = [(message["sender"]["user_display_name"], message["message"]) for message in shown["messages"]]
        assert said == [("Bob", "Six is better."), ("Alice", "Tea at five?")]
        assert {user["user_display_name"] for user in shown["participants"]} == {"Alice", "Bob"}
    assert conversations.items(REGION, "") == conversations.items(OTHER_REGION, "")


def test_the_data_set_ends_in_the_same_tables_everywhere(conversations: Conversations) -> None:
    before = conversations.items(REGION, "MSG#")
    seeded = conversations.run_json("seed", "--messages", "300", region=REGION)
    assert seeded["messages"] == 300

    def complete(region: str) -> bool:
        messages = conversations.items(region, "MSG#")
        return len(messages) == len(before) + 300 and conversations.items(region, "GRP#") == expected_rows(messages)

    for region in REGIONS:
        arrives(lambda at=region: complete(at), f"the data set in {region}")
    assert conversations.items(REGION, "") == conversations.items(OTHER_REGION, "")

    ada = seeded["users"][0]["user_uuid"]
    rows = sorted((sk for pk, sk in conversations.items(REGION, "GRP#") if pk == f"GRP#{ada}"), reverse=True)
    pages = list(all_pages(conversations, "list", "--user", "@ada", "--limit", "3"))
    assert [len(page["conversations"]) for page in pages[:-1]] == [3] * (len(pages) - 1)
    assert [row["last_message_at"] for page in pages for row in page["conversations"]] == rows

    group = max(newest_of_groups(conversations.items(REGION, "MSG#")))
    times = sorted((sk for pk, sk in conversations.items(REGION, "MSG#") if pk == f"MSG#{group}"), reverse=True)
    pages = all_pages(conversations, "show", "--group", group, "--limit", "4")
    assert [message["created_at"] for page in pages for message in page["messages"]] == times
    older = conversations.run_json("show", "--group", group, "--before", f"{times[2][:19]}Z", region=REGION)
    assert [message["created_at"] for message in older["messages"]] == [time for time in times if time < times[2][:19]]


def all_pages(conversations: Conversations, *arguments: str) -> Iterator[dict]:
    cursor = []
    while True:
        page = conversations.run_json(*arguments, *cursor, region=REGION)
        yield page
        if page["next"] is None:
            return
        cursor = ["--cursor", page["next"]]


def test_repeated_late_and_reordered_events_end_in_the_same_rows(conversations: Conversations, pair) -> None:
    alice, bob = pair
    for turn in range(6):
        both = (alice, bob) if turn % 2 else (bob, alice)
        group = send(conversations, *both, f"{turn}")["message_group_uuid"]
    arrives(lambda: listed(conversations, alice, REGION) == [("Bob", "5")], "the last message")

    dynamodb = conversations.stack.client("dynamodb", REGION)
    items = [item for (pk, _), item in sorted(conversations.items(REGION, "").items()) if group in pk or alice.id in pk]
    everything = conversations.items(REGION, "")
    records = [inserted(item, number) for number, item in enumerate(items) if item["pk"].startswith("MSG#")]
    shuffle = random.Random(7)
    for _ in range(10):
        for key, item in conversations.items(REGION, "").items():
            if key[0] in (f"HEAD#{group}", f"GRP#{alice.id}", f"GRP#{bob.id}"):
                dynamodb.delete_item(TableName=TABLE, Key={name: {"S": item[name]} for name in ("pk", "sk")})
        events = records + shuffle.choices(records, k=6)
        shuffle.shuffle(events)
        while events:
            batch = [events.pop() for _ in range(min(len(events), shuffle.randint(1, 4)))]
            assert conversations.invoke_updater(REGION, batch) == {"batchItemFailures": []}
        assert conversations.items(REGION, "") == everything


def inserted(item: dict, number: int) -> dict:
    """The record of a table's stream that says that an item is new."""
    serialize = boto3.dynamodb.types.TypeSerializer().serialize
    image = {name: serialize(value) for name, value in item.items()}
    change = {
        "Keys": {name: image[name] for name in ("pk", "sk")},
        "NewImage": image,
        "SequenceNumber": f"{number}",
        "SizeBytes": 1,
        "StreamViewType": "NEW_IMAGE",
    }
    return {"eventID": f"{number}", "eventName": "INSERT", "awsRegion": REGION, "dynamodb": change}


def test_everything_is_read_by_key(conversations: Conversations, pair) -> None:
    alice, bob = pair
    reader = conversations.reader(REGION)
    before = conversations.dynamodb_calls()
    group = send(conversations, alice, bob, "Who reads this?")["message_group_uuid"]

    def conversations_of_bob() -> list[dict]:
        return conversations.run_json("list", "--user", bob.id, region=REGION, **reader)["conversations"]

    arrives(lambda: len(conversations_of_bob()) == 1, "the message")
    conversations.run_json("show", "--group", group, region=REGION, **reader)
    calls = conversations.dynamodb_calls() - before
    assert {operation for key, operation in calls if key == reader["AWS_ACCESS_KEY_ID"]} == {"Query"}
    of_all = {operation for _, operation in calls}
    assert {"Query", "GetItem", "BatchWriteItem", "TransactWriteItems"} <= of_all
    # The consumer asks for the keys of its table once, when it starts.
    assert of_all <= {"Query", "GetItem", "BatchWriteItem", "TransactWriteItems", "DescribeTable"}


def test_the_updater_is_not_started_by_what_it_writes(conversations: Conversations, pair) -> None:
    alice, bob = pair

    def log() -> str:
        return conversations.stack.function_log(REGION, conversations.outputs[REGION]["UpdaterFunction"])

    def deliver(sender: Someone, recipient: Someone, number: int) -> None:
        send(conversations, sender, recipient, f"{MARKER} {number}")
        arrives(
            lambda: listed(conversations, recipient, REGION) == [(sender.name, f"{MARKER} {number}")], "the message"
        )
        arrives(lambda: log().count("batch done") >= before + number, "the log")

    before = log().count("batch done")
    deliver(alice, bob, 1)
    # The rows of the first message are in the stream before the second one, and have then been passed by.
    deliver(bob, alice, 2)
    assert log().count("batch done") == before + 2
    assert MARKER not in log()


def test_messages_travel_encrypted_and_in_the_order_of_their_group(conversations: Conversations, pair) -> None:
    group = send(conversations, *pair, MARKER)["message_group_uuid"]
    kinesis = conversations.stack.client("kinesis", REGION)
    records = []
    for shard in kinesis.list_shards(StreamName=STREAM)["Shards"]:
        position = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(StreamName=STREAM, **position)["ShardIterator"]
        records += kinesis.get_records(ShardIterator=iterator)["Records"]
    [record] = [record for record in records if record["PartitionKey"] == f"MSG#{group}"]
    assert MARKER.encode() not in record["Data"]
    assert pair[0].id.encode() not in record["Data"]
    arrives(lambda: len(listed(conversations, pair[1], OTHER_REGION)) == 1, "the message")


def test_an_item_that_is_no_message_is_named_and_not_shown(conversations: Conversations) -> None:
    record = inserted({"pk": f"MSG#{uuid.uuid4()}", "sk": "2026-01-31T12:00:00.123456789Z", "sender": MARKER}, 4711)
    assert conversations.invoke_updater(REGION, [record]) == {"batchItemFailures": []}

    def log() -> str:
        return conversations.stack.function_log(REGION, conversations.outputs[REGION]["UpdaterFunction"])

    arrives(lambda: "item is not a message" in log() and "4711" in log(), "the log")
    assert MARKER not in log()


# That a role may use some partitions only (dynamodb:LeadingKeys) the local AWS does not look at.
def test_the_reader_may_query_and_nothing_else(conversations: Conversations) -> None:
    dynamodb = conversations.dynamodb_as(conversations.reader(REGION), REGION)
    refuses(dynamodb, "scan")
    refuses(dynamodb, "get_item", Key=key("GRP#1"))
    refuses(dynamodb, "put_item", Item=key("GRP#1"))
    refuses(dynamodb, "delete_item", Key=key("GRP#1"))
    for index, attribute in ({}, "pk"), ({"IndexName": "message-group-sk-index"}, "message_group_uuid"):
        query = {"KeyConditionExpression": f"{attribute} = :key", "ExpressionAttributeValues": {":key": {"S": "MSG#1"}}}
        assert dynamodb.query(TableName=TABLE, **index, **query)["Items"] == []


def test_the_updater_writes_in_transactions_and_reads_by_key(conversations: Conversations) -> None:
    dynamodb = conversations.dynamodb_as(conversations.updater(REGION), REGION)
    refuses(dynamodb, "scan")
    refuses(dynamodb, "put_item", Item=key("GRP#1"))
    refuses(dynamodb, "delete_item", Key=key("GRP#1"))
    refuses(dynamodb, "update_item", Key=key("GRP#1"))
    refuses(dynamodb, "query", KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": {"S": "GRP#1"}})
    assert "Item" not in dynamodb.get_item(TableName=TABLE, Key=key("HEAD#1"))
    for action in {"Put": {"Item": key("GRP#1")}}, {"Delete": {"Key": key("GRP#1")}}:
        [write] = action.values()
        dynamodb.transact_write_items(TransactItems=[{next(iter(action)): write | {"TableName": TABLE}}])


def refuses(dynamodb, call: str, **arguments) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        getattr(dynamodb, call)(TableName=TABLE, **arguments)


def key(partition: str) -> dict:
    return {"pk": {"S": partition}, "sk": {"S": "2026"}}


def test_a_vpc_gets_an_endpoint_for_dynamodb(conversations: Conversations) -> None:
    [endpoint] = conversations.stack.client("ec2", OTHER_REGION).describe_vpc_endpoints()["VpcEndpoints"]
    assert endpoint["ServiceName"] == f"com.amazonaws.{OTHER_REGION}.dynamodb"
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert conversations.stack.client("ec2", REGION).describe_vpc_endpoints()["VpcEndpoints"] == []


def test_a_table_with_other_keys_is_refused(conversations: Conversations) -> None:
    table = f"other-{uuid.uuid4().hex}"
    conversations.stack.client("dynamodb", REGION).create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    error = conversations.run("load-schema", region=REGION, table=table, code=1)
    assert error == f"error: table {table} has other keys than the texts pk and sk; give it another name\n"


def test_a_table_can_be_filled_without_the_pipeline(conversations: Conversations) -> None:
    table = f"direct-{uuid.uuid4().hex}"
    # The pipeline's own table had its keys.
    assert conversations.schema["made"] == ["index", "stream"]
    made = [conversations.run_json("load-schema", region=REGION, table=table) for _ in range(2)]
    assert [schema["made"] for schema in made] == [["table"], []]
    assert made[0]["stream_arn"] == made[1]["stream_arn"]
    for _ in range(2):
        conversations.run("seed", "--direct", "--messages", "120", region=REGION, table=table)
        messages = conversations.items(REGION, "MSG#", table)
        assert len(messages) == 120
        assert conversations.items(REGION, "GRP#", table) == expected_rows(messages)
        assert len(conversations.items(REGION, "HEAD#", table)) == len(newest_of_groups(messages))


def test_a_bad_item_hides_no_other(conversations: Conversations) -> None:
    table = f"direct-{uuid.uuid4().hex}"
    conversations.run("load-schema", region=REGION, table=table)
    conversations.run("seed", "--direct", "--messages", "60", region=REGION, table=table)
    before = conversations.run_json("list", "--user", "@ada", region=REGION, table=table)
    group = before["conversations"][0]["message_group_uuid"]
    said = conversations.run_json("show", "--group", group, region=REGION, table=table)
    dynamodb = conversations.stack.client("dynamodb", REGION)
    for partition in f"MSG#{group}", f"GRP#{before['user_uuid']}":
        for sort_key in "2026-01-07T12:00:00.000000001Z", "\x1b[2Jzzz":
            item = {"pk": {"S": partition}, "sk": {"S": sort_key}, "message": {"S": "no sender"}}
            dynamodb.put_item(TableName=table, Item=item)
    after = conversations.run_json("list", "--user", "@ada", region=REGION, table=table)
    assert (after["conversations"], after["skipped"]) == (before["conversations"], 2)
    shown = conversations.run_json("show", "--group", group, region=REGION, table=table)
    assert (shown["messages"], shown["skipped"]) == (said["messages"], 2)
    pages = conversations.run_json("show", "--group", group, "--limit", "1", region=REGION, table=table)
    assert (pages["messages"], pages["next"] is None) == (said["messages"][:1], len(said["messages"]) == 1)


def test_a_wrong_table_is_refused_before_anything_is_sent(conversations: Conversations) -> None:
    other = f"other-{uuid.uuid4().hex}"
    for region in REGION, OTHER_REGION:
        conversations.stack.client("dynamodb", region).create_table(
            TableName=other,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
    for table, reason in (other, "has other keys"), ("missing", "does not exist"):
        error = conversations.run("send", "--from", "@ada", "--to", "@mei", "Tea?", region=REGION, table=table, code=1)
        assert "nothing was sent" in error and reason in error, error
    error = conversations.run("drop", region=REGION, table=other, code=1)
    assert "has other keys" in error, error


def test_a_table_can_be_dropped(conversations: Conversations) -> None:
    table = f"direct-{uuid.uuid4().hex}"
    conversations.run("load-schema", region=REGION, table=table)
    assert conversations.run_json("drop", region=REGION, table=table) == {"dropped": table}
    assert "does not exist" in conversations.run("drop", region=REGION, table=table, code=1)


def test_two_first_messages_at_the_same_time_make_one_conversation(conversations: Conversations) -> None:
    table = f"direct-{uuid.uuid4().hex}"
    conversations.run("load-schema", region=REGION, table=table)
    for _ in range(5):
        alice, bob = Someone("Alice"), Someone("Bob")

        def first(both: tuple[Someone, Someone]) -> None:
            users = ("--from", both[0].argument, "--to", both[1].argument)
            conversations.run("send", "--direct", *users, "Hello!", region=REGION, table=table)

        with concurrent.futures.ThreadPoolExecutor() as threads:
            list(threads.map(first, [(alice, bob), (bob, alice)]))
        messages = conversations.items(REGION, "MSG#", table)
        assert conversations.items(REGION, "GRP#", table) == expected_rows(messages)


def test_people_can_read_it(conversations: Conversations) -> None:
    table = f"direct-{uuid.uuid4().hex}"
    conversations.run("load-schema", region=REGION, table=table)
    assert "Ada Okafor" in conversations.run("seed", "--direct", "--messages", "60", region=REGION, table=table)
    lines = conversations.run("list", "--user", "@ada", "--limit", "2", region=REGION, table=table).splitlines()
    assert lines[0].split() == ["WHEN", "WITH", "LAST", "MESSAGE", "GROUP"]
    assert {line.index(line.split()[-1]) for line in lines[:3]} == {lines[0].index("GROUP")}
    assert "older: --cursor " in lines[3]
    group = lines[1].split()[-1]
    shown = conversations.run("show", "--group", group, region=REGION, table=table)
    assert "Ada Okafor @ada" in shown.splitlines()[0]
    assert "\x1b" not in "".join(lines) + shown

    cursor = lines[3].split()[-1]
    error = conversations.run("list", "--user", "@grace", "--cursor", cursor, region=REGION, table=table, code=1)
    assert error == "error: the cursor is not one that a page of this list ended with\n"
    unknown = conversations.run("list", "--user", "@nobody", region=REGION, table=table, code=2)
    assert "the data set has nobody of this handle" in unknown


def test_the_costs_in_the_documentation_are_measured(conversations: Conversations, binaries: dict[str, Path]) -> None:
    environment = conversations.stack.environment() | {"AWS_REGION": REGION}
    measured = run([str(binaries["capacity"])], environment).stdout
    assert measured in (ROOT / "docs" / "conversations.md").read_text(encoding="utf-8"), measured
