# SPDX-License-Identifier: Apache-2.0
"""Deletes the pipeline's stack in every Region: the functions, and the stream with all that is still in it.

The key, the table and the quarantine stay. What they are, and how to delete them by hand, is printed.
"""

from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from tools.deploy.command import SetupError, ask, exit_with, parser, say, template
from tools.deploy.plan import require_own
from tools.deploy.stacks import RegionStack

PROGRAM = "scripts/destroy"
EPILOG = """\
examples:
  scripts/destroy --regions us-east-1,eu-west-1
  scripts/destroy --regions eu-west-1 --yes

Name the Region with record-pusher first: nothing is sent any more when the others go. Before a single Region is
destroyed, deploy the others without it; a Region that a record-pusher elsewhere still sends to is refused. A Region
without the stack is passed over. Credentials are found as the AWS CLI finds them.

exit codes: 0 if no Region has the stack any more, 1 if something failed, 2 if nothing was changed
"""
BY_HAND = {
    "AWS::KMS::Key": "aws kms schedule-key-deletion --region {region} --key-id {id}  # its records are lost for ever",
    "AWS::DynamoDB::Table": "aws dynamodb delete-table --region {region} --table-name {id}",
    "AWS::S3::Bucket": "aws s3 rb --region {region} --force s3://{id}",
}


def main() -> None:
    arguments = parser(PROGRAM, __doc__, EPILOG).parse_args()
    stacks = [RegionStack(region, arguments.stack_name) for region in arguments.regions]
    account = {stack.account() for stack in stacks}.pop()
    present = [stack for stack in stacks if stack.status() is not None]
    for stack in stacks:
        if stack not in present:
            say(f"{stack.region} has no stack {stack.name}")
    if not present:
        return
    for stack in present:
        require_own(stack)
    require_no_pusher_elsewhere(present)
    regions = ", ".join(stack.region for stack in present)
    say(f"Deleting the stack {arguments.stack_name} of account {account} in {regions}.")
    say("The stream goes with all that is in it.")
    if not arguments.yes:
        ask("Go on? Type the name of the stack:", arguments.stack_name)
    for stack in present:
        destroy(stack)


def require_no_pusher_elsewhere(stacks: list[RegionStack]) -> None:
    """Refuses while a record-pusher of another Region sends to one of these."""
    regions = {stack.region for stack in stacks}
    others = sorted(set(boto3.Session().get_available_regions("cloudformation")) - regions)
    with ThreadPoolExecutor(max_workers=16) as pool:
        targets = pool.map(lambda region: pusher_regions(RegionStack(region, stacks[0].name)), others)
    for region, sent_to in zip(others, targets, strict=True):
        if sent := sorted(regions & set(sent_to)):
            rest = ",".join(target for target in sent_to if target not in regions)
            raise SetupError(
                f"record-pusher in {region} still sends to {', '.join(sent)}. Deploy first without: "
                f"scripts/deploy --stack-name {stacks[0].name} --regions {rest}"
            )


def pusher_regions(stack: RegionStack) -> list[str]:
    """The Regions that a stack's record-pusher sends to. None in a Region that this account does not use."""
    try:
        return [region for region in stack.parameters().get("PusherRegions", "").split(",") if region]
    except (BotoCoreError, ClientError):
        return []


def destroy(stack: RegionStack) -> None:
    kept = retained(stack)
    say(f"{stack.region}: deleting the stack")
    stack.delete()
    print(f"{stack.region}: the stack is deleted. These are kept; to delete them too:")
    for command in kept:
        print(f"  {command}", flush=True)


def retained(stack: RegionStack) -> list[str]:
    """The commands that delete what the stack leaves behind."""
    ids = stack.resources()
    return [
        BY_HAND[resource["Type"]].format(region=stack.region, id=ids[name])
        for name, resource in template()["Resources"].items()
        if resource.get("DeletionPolicy", "Delete") != "Delete" and resource["Type"] in BY_HAND and ids.get(name)
    ]


if __name__ == "__main__":
    exit_with(PROGRAM, main)
