# SPDX-License-Identifier: Apache-2.0
"""The pipeline's stacks in CloudFormation."""

from collections.abc import Callable, Iterable, Iterator

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    WaiterError,
)

from tools.deploy.command import SetupError, StackFailure

CONNECT_SECONDS = 5
DELETION_POLL_SECONDS = 5
DELETION_SECONDS = 3600
# The statuses of a stack with which CloudFormation begins to do what it was asked for.
BEGINNINGS = {"CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS"}


class RegionStack:
    """The stack of one Region, which need not exist."""

    def __init__(self, region: str, name: str) -> None:
        self.region = region
        self.name = name
        session = boto3.Session(region_name=region)
        config = Config(connect_timeout=CONNECT_SECONDS, retries={"mode": "standard"})
        self._client = session.client("cloudformation", config=config)
        self._sts = session.client("sts", config=config)

    def account(self) -> str:
        """The account of the credentials. The Region is asked, which shows that it can be used."""
        try:
            return self._sts.get_caller_identity()["Account"]
        except NoCredentialsError as error:
            raise SetupError(
                "no AWS credentials were found; they are looked for as the AWS CLI does: environment, profile, role"
            ) from error
        except EndpointConnectionError as error:
            raise SetupError(f"{self.region} cannot be reached; is that the name of a Region? {error}") from error
        except (BotoCoreError, ClientError) as error:
            raise SetupError(
                f"{self.region} does not take these AWS credentials (have they expired? is the Region enabled for the "
                f"account?): {error}"
            ) from error

    def status(self) -> str | None:
        """None if there is no stack. One that could not be created is a stack too."""
        stack = self._describe()
        return stack and stack["StackStatus"]

    def parameters(self) -> dict[str, str]:
        """The values that the template's parameters have now."""
        stack = self._describe() or {}
        return {entry["ParameterKey"]: entry["ParameterValue"] for entry in stack.get("Parameters", [])}

    def outputs(self) -> dict[str, str]:
        outputs = self._describe().get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in outputs}

    def resources(self) -> dict[str, str]:
        """The physical id of each resource, by its logical one."""
        resources = self._client.describe_stack_resources(StackName=self.name)["StackResources"]
        return {entry["LogicalResourceId"]: entry.get("PhysicalResourceId", "") for entry in resources}

    def delete(self) -> None:
        """Deletes the stack and waits for its end."""
        stack_id = self._describe()["StackId"]
        self._client.delete_stack(StackName=self.name)
        attempts = {"Delay": DELETION_POLL_SECONDS, "MaxAttempts": DELETION_SECONDS // DELETION_POLL_SECONDS}
        try:
            self._client.get_waiter("stack_delete_complete").wait(StackName=stack_id, WaiterConfig=attempts)
        except WaiterError as error:
            raise StackFailure(f"{self.region}: the stack is not deleted: {self.reason() or error}") from error

    def last_event(self) -> str | None:
        """The id of the newest event, by which later ones are known."""
        return next((event["EventId"] for event in self._events(self.name)), None)

    def reason(self, since: str | None = None) -> str | None:
        """What failed first in the operation that was begun last, if that was after the event `since`."""
        return first_failure(self._events, self.name, since)

    def _describe(self) -> dict | None:
        try:
            return self._client.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if is_absent(error):
                return None
            raise

    def _events(self, stack: str) -> Iterator[dict]:
        """The newest first."""
        try:
            for page in self._client.get_paginator("describe_stack_events").paginate(StackName=stack):
                yield from page["StackEvents"]
        except ClientError as error:
            if not is_absent(error):
                raise


def is_absent(error: ClientError) -> bool:
    """CloudFormation has no error code for a stack that does not exist."""
    return "does not exist" in error.response["Error"]["Message"]


def first_failure(events: Callable[[str], Iterable[dict]], stack: str, since: str | None = None) -> str | None:
    """The first failure of a stack's last operation, from its events and those of nested stacks, the newest first."""
    first = None
    for event in events(stack):
        if event["EventId"] == since:
            break
        if event["ResourceStatus"].endswith("_FAILED"):
            first = event
        if event["PhysicalResourceId"] == event["StackId"] and event["ResourceStatus"] in BEGINNINGS:
            break
    if first is None:
        return None
    reason = first.get("ResourceStatusReason", first["ResourceStatus"])
    nested = first["PhysicalResourceId"]
    # The reason that the outer stack has names only what failed in the nested one.
    if first["ResourceType"] == "AWS::CloudFormation::Stack" and nested not in ("", first["StackId"]):
        reason = first_failure(events, nested) or reason
    return f"{first['LogicalResourceId']} ({first['ResourceType']}): {reason}"
