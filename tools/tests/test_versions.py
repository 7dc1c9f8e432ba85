# SPDX-License-Identifier: Apache-2.0
"""Records whose versions are compared."""

import json

from tools.local_aws.pipeline import REGIONS, Pipeline
from tools.tests.kinesis_events import Event, encryptor

REGION = REGIONS[1]


def test_an_older_record_never_replaces_a_newer_one(pipeline: Pipeline, aws_environment: None) -> None:
    encrypted = encryptor(pipeline, REGION)

    def deliver(*revisions: int | str | None) -> int | str | None:
        """Delivers a batch of revisions and returns the one that the table then has."""
        records = [{"id": "1"} | ({} if revision is None else {"revision": revision}) for revision in revisions]
        data = [encrypted(json.dumps(record), "unsigned") for record in records]
        event = Event(pipeline.outputs[REGION]["StreamArn"], data)
        assert pipeline.invoke_consumer(REGION, json.dumps(event.json))["batchItemFailures"] == []
        [item] = pipeline.items(REGION)
        return item.get("revision")

    assert deliver(None) is None
    with pipeline.consumer_settings(REGION, VERSION_ATTRIBUTE="revision"):
        assert deliver(-1) == -1
        assert deliver(9, 10, 8) == 10
        assert deliver(9) == 10
        assert deliver("2026-01-05T08:01:26.250Z") == "2026-01-05T08:01:26.250Z"
        assert deliver("2026-01-05T08:01:26.249Z", 11) == "2026-01-05T08:01:26.250Z"
        assert deliver("2026-01-05T08:01:27.000Z") == "2026-01-05T08:01:27.000Z"
        # Refused, and so in the quarantine.
        assert deliver("2026-01-05T08:01:28Z") == "2026-01-05T08:01:27.000Z"
