# SPDX-License-Identifier: Apache-2.0
"""Deploys the pipeline on a local AWS in two Regions, sends encrypted records through it and shows what happened."""

import argparse
import collections
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from tools import ROOT
from tools.local_aws.conversations import TABLE as CONVERSATIONS
from tools.local_aws.conversations import Conversations
from tools.local_aws.pipeline import KEY_ALIAS, REGIONS, STREAM, Pipeline
from tools.local_aws.stack import Stack, StackError, build_binaries, parse_json, wait_until

SAMPLE = ROOT / "events" / "sample-records.ndjson"
CONVERSATION_SECONDS = 60
INVOCATION = ROOT / "events" / "record-pusher.json"


def main() -> None:
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    arguments = parse_arguments(len(lines))
    # As with Ctrl-C, leave by way of an exception, so that the stack is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if arguments.conversations:
            run_conversations(arguments.keep)
        else:
            run(lines[: arguments.records], arguments.keep)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except (StackError, BotoCoreError, ClientError) as error:
        sys.exit(f"demo: {error}")


def parse_arguments(available: int) -> argparse.Namespace:
    def count(text: str) -> int:
        if not text.isdecimal() or not 1 <= int(text) <= available:
            raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to {available}")
        return int(text)

    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument(
        "--records",
        type=count,
        default=available,
        metavar="N",
        help=f"send the first N of the {available} sample records (default: all)",
    )
    parser.add_argument("--keep", action="store_true", help="leave the local AWS running and say how to use it")
    parser.add_argument(
        "--conversations",
        action="store_true",
        help="deploy the example of docs/conversations.md instead, and send a message through it",
    )
    return parser.parse_args()


def run(lines: list[str], keep: bool) -> None:
    say("Building the binaries (the first time takes minutes)")
    binaries = build_binaries()

    say("Starting the local AWS")
    with Stack() as stack:
        say(f"Deploying infra/template.yaml in {' and '.join(REGIONS)}")
        pipeline = Pipeline(stack, binaries)
        show_the_way(pipeline, lines)
        if keep:
            stack.keep()
            say_how_to_go_on(pipeline)
    if not keep:
        say("\nThe local AWS is stopped. To look around in it: scripts/demo --keep")


def run_conversations(keep: bool) -> None:
    say("Building the binaries (the first time takes minutes)")
    binaries = build_binaries()

    say("Starting the local AWS")
    with Stack() as stack:
        say(f"Deploying infra/template.yaml and infra/conversations.yaml in {' and '.join(REGIONS)}")
        conversations = Conversations(stack, binaries)
        show_a_conversation(conversations)
        if keep:
            stack.keep()
            say_how_to_go_on_with_conversations(conversations, binaries["conversations"])
    if not keep:
        say("\nThe local AWS is stopped. To go on in it: scripts/demo --conversations --keep")


def show_a_conversation(conversations: Conversations) -> None:
    send = ["send", "--from", "@ada", "--to", "@grace", "Tea at five?"]
    say(f"\n$ conversations {shlex.join(send)}")
    say(conversations.run(*send, region=REGIONS[0]))

    command = ["list", "--user", "@grace"]
    wait_until(
        lambda: "Tea at five?" in conversations.run(*command, region=REGIONS[1]),
        CONVERSATION_SECONDS,
        "the message is not in the other Region's list",
    )
    say(f"It went through the stream encrypted, and in {REGIONS[1]}:")
    say(f"$ conversations {shlex.join(command)} --region {REGIONS[1]}")
    say(conversations.run(*command, region=REGIONS[1]))


def say_how_to_go_on_with_conversations(conversations: Conversations, program: Path) -> None:
    stack = conversations.stack
    say(
        f"""
The local AWS is up at {stack.endpoint}

Use it from this shell:
  export AWS_ENDPOINT_URL={stack.endpoint} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION={REGIONS[0]}
  export TABLE_NAME={CONVERSATIONS} REGIONS={",".join(REGIONS)} KMS_KEY={KEY_ALIAS} STREAM={STREAM}
  alias conversations={shlex.quote(str(program))}

Answer, and read it in either Region:
  conversations send --from @grace --to @ada 'Make it six'
  conversations list --user @ada --region {REGIONS[1]}
  conversations show --group GROUP        # GROUP as the list has it
  conversations seed --messages 60        # the data set, through the pipeline

Stop it (the server and its functions):
  kill -- -{stack.process_group}

Its logs are in {stack.directory}, which can be removed once it is stopped."""
    )


def show_the_way(pipeline: Pipeline, lines: list[str]) -> None:
    say(f"Pushing {len(lines)} records with sealstream push")
    started = time.monotonic()
    summary = push(pipeline, lines)
    sent = [parse_json(line) for line in lines]
    wait_for_items(pipeline, sent)
    seconds = time.monotonic() - started
    calls = pipeline.stack.kms_calls()

    say("Pushing two more with the function record-pusher")
    invocation = INVOCATION.read_text(encoding="utf-8")
    pipeline.invoke_pusher(invocation)
    wait_for_items(pipeline, sent + parse_json(invocation)["records"])

    report(pipeline, summary, calls, seconds)
    show_item(pipeline, REGIONS[1], sent[0])


def push(pipeline: Pipeline, lines: list[str]) -> dict:
    """Runs `sealstream push` and returns its summary."""
    source = pipeline.stack.directory / "records.ndjson"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [*pipeline.push_command(), "--output", "json", str(source)]
    result = subprocess.run(command, env=pipeline.stack.environment(), stdout=subprocess.PIPE, check=False)
    if result.returncode != 0:
        raise StackError(f"sealstream failed with exit code {result.returncode}")
    return json.loads(result.stdout)


def wait_for_items(pipeline: Pipeline, records: list[dict]) -> None:
    try:
        pipeline.wait_for_items(records, lambda text: progress(f"  {text}"))
    finally:
        progress("")


def report(pipeline: Pipeline, summary: dict, calls: dict[str, collections.Counter], seconds: float) -> None:
    records = summary["records"]
    say(f"\n{records} records ({summary['plaintext_bytes']:,} bytes) went through in {seconds:.1f} s\n")

    say("Items in the tables, each compared with the record that was sent (two came from the function)")
    for region in REGIONS:
        say(f"  {region:12} {len(pipeline.items(region)):6}  {pipeline.outputs[region]['TableName']}")

    say(f"\nKMS calls for the {records} records      made   without caching")
    total = collections.Counter()
    for region in REGIONS:
        without_caching = {"GenerateDataKey" if region == REGIONS[0] else "Encrypt": records, "Decrypt": records}
        for operation, uncached in without_caching.items():
            made = calls[region][operation]
            total += {"made": made, "uncached": uncached}
            say(f"  {region:12} {operation:18} {made:6} {uncached:17}")
    say(f"  {'':12} {'in all':18} {total['made']:6} {total['uncached']:17}")

    cache = summary["cache"]
    say(f"\nThe pusher's cache: {cache['hits']} hits, {cache['misses']} misses, hit rate {cache['hit_rate']:.1%}")


def show_item(pipeline: Pipeline, region: str, record: dict) -> None:
    dynamodb = pipeline.stack.client("dynamodb", region)
    table = pipeline.outputs[region]["TableName"]
    item = dynamodb.get_item(TableName=table, Key={"id": {"S": record["id"]}})["Item"]
    say(f"\nThe first record, as the table in {region} has it")
    for name in record:
        say(f"  {name:14} {json.dumps(item[name], ensure_ascii=False)}")


def say_how_to_go_on(pipeline: Pipeline) -> None:
    stack = pipeline.stack
    push_more = shlex.join([*pipeline.push_command(), str(SAMPLE)])
    table = pipeline.outputs[REGIONS[1]]["TableName"]
    consumer = pipeline.outputs[REGIONS[1]]["ConsumerFunction"]
    python = shlex.quote(sys.executable)
    scan = (
        f'import boto3; print(*boto3.resource("dynamodb", "{REGIONS[1]}").Table("{table}").scan()["Items"], sep="\\n")'
    )
    say(
        f"""
The local AWS is up at {stack.endpoint}

Use it from this shell:
  export AWS_ENDPOINT_URL={stack.endpoint} AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test

Push more (any file with one JSON object a line, each with a string attribute "id"):
  {push_more}

Read the table and the consumer's log with the AWS CLI:
  aws dynamodb scan --region {REGIONS[1]} --table-name {table}
  aws logs tail --region {REGIONS[1]} /aws/lambda/{consumer}

Read the table without it:
  {python} -c '{scan}'

Stop it (the server and its functions):
  kill -- -{stack.process_group}

Its logs are in {stack.directory}, which can be removed once it is stopped."""
    )


def say(text: str) -> None:
    print(text, flush=True)


def progress(text: str) -> None:
    """Replaces the current line of a terminal; silent elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
