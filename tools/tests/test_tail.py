# SPDX-License-Identifier: Apache-2.0
"""`sealstream tail` on the local AWS: what `sealstream push` has sent to a Region is printed there."""

import json
import uuid
from pathlib import Path

from tools.local_aws.pipeline import REGIONS, Pipeline
from tools.tests.conftest import run


def test_each_region_prints_what_was_pushed(pipeline: Pipeline, stream: str, binaries: dict[str, Path]) -> None:
    environment = pipeline.stack.environment()
    lines = [json.dumps({"id": f"{uuid.uuid4()}", "amount": number}) for number in range(20)]
    run(pipeline.push_command(stream), environment, "\n".join(lines))
    calls_before = pipeline.stack.kms_calls()
    for region in REGIONS:
        settings = {
            "SEALSTREAM_STREAM": stream,
            "AWS_REGION": region,
            "SEALSTREAM_KMS_KEY": pipeline.outputs[region]["KeyArn"],
        }
        command = [str(binaries["sealstream"]), "tail", "--since", "5m", "--no-follow"]
        result = run(command, environment | settings)
        # The shards have no order beside each other.
        assert sorted(result.stdout.splitlines()) == sorted(lines)
        assert result.stderr.startswith("20 records printed from 2 shards\n")
    calls = pipeline.stack.kms_calls()
    assert {region: calls[region] - calls_before[region] for region in REGIONS} == {
        region: {"Decrypt": 1} for region in REGIONS
    }
