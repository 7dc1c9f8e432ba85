# SPDX-License-Identifier: Apache-2.0
"""The templates in infra/ against what they refer to: the runbook, the metrics that programs report, the settings."""

import json
import re
import uuid
from collections.abc import Iterator

import pytest

from tools import ROOT
from tools.local_aws.stack import INFRA, TEMPLATE, read_template

MONITORING = read_template(INFRA / "monitoring.yaml")
GOVERNANCE = read_template(INFRA / "governance.yaml")
PIPELINE = read_template(TEMPLATE)
ALARMS = [
    pytest.param(resource["Properties"], id=name)
    for template in (MONITORING, GOVERNANCE)
    for name, resource in template["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
]
PAGE = r"https://github\.com/sealstream/sealstream/blob/main/(docs/\w+\.md)#([a-z-]+)$"
# CloudWatch Logs takes no longer ones.
FILTER_PATTERN_LIMIT = 1024
# AWS Organizations takes no larger ones.
SCP_LIMIT = 5120


@pytest.mark.parametrize("alarm", ALARMS)
def test_every_alarm_links_to_its_entry_in_the_runbook(alarm: dict) -> None:
    page, anchor = re.search(PAGE, text(alarm["AlarmDescription"]).strip()).groups()
    headings = re.findall("^#+ (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in [heading.lower().replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("alarm", ALARMS)
def test_every_alarm_notifies_whoever_wants_to_know(alarm: dict) -> None:
    topic = {"Fn::If": ["HasTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
    assert alarm["AlarmActions"] == topic


def test_every_metric_is_one_that_the_programs_report() -> None:
    code = (ROOT / "crates" / "record-telemetry" / "src" / "metric.rs").read_text(encoding="utf-8")
    reported = set(re.findall(r"^    (\w+): \w+ per \w+,", code, re.MULTILINE))
    names = set(metrics(MONITORING))
    assert len(names) > 10
    assert names - reported == set()


def test_the_dashboard_is_json_and_shows_every_alarm() -> None:
    body = text(MONITORING["Resources"]["Dashboard"]["Properties"]["DashboardBody"])
    assert json.loads(body)["widgets"]
    names = {name for name, resource in MONITORING["Resources"].items() if resource["Type"].endswith("Alarm")}
    assert {name for name in names if f"<{name}.Arn>" not in body} == set()


def test_every_parameter_is_in_one_group() -> None:
    for template in (PIPELINE, GOVERNANCE):
        groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        assert sorted(name for group in groups for name in group["Parameters"]) == sorted(template["Parameters"])


@pytest.mark.parametrize(
    ("function", "program"), [("RecordConsumer", "record-consumer"), ("RecordPusher", "record-pusher")]
)
def test_the_functions_get_settings_that_they_know(function: str, program: str) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = page.partition(f"\n## {program}\n")[2].partition("\n## ")[0]
    for name in PIPELINE["Resources"][function]["Properties"]["Environment"]["Variables"]:
        assert f"| `{name}` |" in section


def test_the_filter_for_unexpected_users_of_the_key_fits_what_its_parameter_promises() -> None:
    promised = re.search(r"(\d+) characters in all", GOVERNANCE["Parameters"]["ExpectedPrincipals"]["Description"])
    arns = [f"arn:aws:iam::000000000000:role/{'x' * 30}"] * 5
    assert len(",".join(arns)) >= int(promised[1])
    pattern = text(GOVERNANCE["Resources"]["UnexpectedKeyUse"]["Properties"]["FilterPattern"])
    between = '" && $.userIdentity.sessionContext.sessionIssuer.arn != "'
    pattern = pattern.replace("<KeyId>", f"{uuid.uuid4()}").replace("<Arns>", between.join(arns))
    assert arns[4] in pattern
    assert len(pattern) <= FILTER_PATTERN_LIMIT


def test_the_service_control_policy_is_about_this_table() -> None:
    policy = (INFRA / "scp-allowed-regions.json").read_text(encoding="utf-8")
    assert len(policy) <= SCP_LIMIT
    table = PIPELINE["Parameters"]["TableName"]["Default"]
    assert f":table/{table}" in json.loads(policy)["Statement"][1]["Resource"]


def text(value: str | dict | list) -> str:
    """A text with functions in it, as if all conditions were true; `<Name>` stands for what is known on AWS only."""
    match value:
        case {"Fn::If": [_, then, _]}:
            return text(then)
        case {"Fn::Sub": [template, variables]}:
            known = {name: text(variable) for name, variable in variables.items()}
            return substitute(template, {name: value for name, value in known.items() if value})
        case {"Fn::Sub": template}:
            return substitute(template, {})
        case str():
            return value
        case _:
            return ""


def substitute(template: str, variables: dict[str, str]) -> str:
    return re.sub(r"\$\{([\w:.]+)\}", lambda name: variables.get(name[1], f"<{name[1]}>"), template)


def metrics(template: dict) -> Iterator[str]:
    """The names of sealstream's own metrics in alarms, queries and the dashboard."""
    for value in nodes(template["Resources"]):
        if isinstance(value, dict) and value.get("Namespace") == "Sealstream":
            yield value["MetricName"]
        if isinstance(value, str):
            yield from re.findall(r'SELECT \w+\((\w+)\) FROM SCHEMA\("Sealstream"', value)
            yield from re.findall(r'\["Sealstream", "(\w+)"', value)
            yield from re.findall(r'\{Sealstream,.*MetricName=\\"(\w+)\\"', value)


def nodes(value) -> Iterator:
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from nodes(child)
