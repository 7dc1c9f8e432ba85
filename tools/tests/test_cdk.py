# SPDX-License-Identifier: Apache-2.0
"""The ways around SAM: the construct for the AWS CDK, and the example for Terraform."""

import json
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tools import ROOT
from tools.tests.conftest import run

CDK = ROOT / "infra" / "cdk"
NODE = ROOT / ".venv" / "tools" / "bin" / "node"
FUNCTIONS = ["record-consumer.zip", "record-pusher.zip"]


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    run([ROOT / "tools" / "node-env"], {"PATH": "/usr/local/bin:/usr/bin:/bin"})


def test_the_construct_has_no_type_errors() -> None:
    checked = subprocess.run(
        [NODE, CDK / "node_modules" / "typescript" / "bin" / "tsc", "--project", CDK],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_construct_makes_the_templates_resources(plain_template: Path, tmp_path: Path) -> None:
    for name in FUNCTIONS:
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("bootstrap", "")
    environment = {"TEMPLATE": f"{plain_template}", "FUNCTIONS": f"{tmp_path}", "HOME": f"{tmp_path}"}
    tests = subprocess.run(
        [NODE, "--test", "--test-reporter=tap", CDK / "sealstream.test.ts"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout
    assert int(re.search(r"^# pass (\d+)$", tests.stdout, re.MULTILINE)[1]) >= 7
    assert "CloudFormation Validate" not in tests.stdout


def test_the_example_for_terraform_names_what_the_template_has(plain_template: Path) -> None:
    text = (ROOT / "infra" / "terraform" / "main.tf").read_text(encoding="utf-8")
    parameters = json.loads(plain_template.read_text(encoding="utf-8"))["Parameters"]
    given = re.findall(r"^    ([A-Z]\w+) += ", text, re.MULTILINE)
    assert sorted(given) == ["CodeBucket", "CodeKey", "PusherRegions"]
    assert set(given) <= parameters.keys()
    # A parameter without a default has to be given.
    assert {name for name, parameter in parameters.items() if "Default" not in parameter} <= set(given)
    assert all(name in text for name in FUNCTIONS)
