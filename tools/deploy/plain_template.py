# SPDX-License-Identifier: Apache-2.0
"""Writes infra/template.yaml as one plain CloudFormation file, for deployments without Rust, SAM or this repository.

The file has no transform and no nested stacks, so the console, StackSets, the AWS CDK and Terraform take it. The code of
the functions is found in S3: the parameter CodeBucket is the bucket, and CodeKey the prefix of `record-consumer.zip` and
`record-pusher.zip` in it.
"""

import json
from pathlib import Path

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from tools.deploy.building import binary, functions
from tools.deploy.command import TEMPLATE, exit_with, say, simple_parser, template
from tools.deploy.inlining import inline_nested_stacks

PROGRAM = "scripts/template"
EPILOG = """\
example:
  scripts/template --out target/template
  aws cloudformation deploy --template-file target/template/sealstream.json --s3-bucket BUCKET \\
      --stack-name sealstream --capabilities CAPABILITY_IAM \\
      --parameter-overrides CodeBucket=BUCKET CodeKey=releases/ PusherRegions=us-east-1

exit codes: 0 if the file was written, 2 if not
"""
NAME = "sealstream.json"
CODE_PARAMETERS = {
    "CodeBucket": {
        "Description": "S3 bucket of this Region that holds the functions' code.",
        "Type": "String",
        "AllowedPattern": "[a-z0-9.-]{3,63}",
    },
    "CodeKey": {
        "Description": (
            "Prefix of the S3 keys record-consumer.zip and record-pusher.zip, such as releases/0.1.0/arm64/. Another "
            "prefix for each version makes CloudFormation update the functions."
        ),
        "Type": "String",
        "Default": "",
        "MaxLength": 900,
    },
}


def main() -> None:
    arguments = simple_parser(PROGRAM, __doc__, EPILOG)
    arguments.add_argument("--out", type=Path, required=True, metavar="DIRECTORY", help=f"folder to write {NAME} to")
    folder: Path = arguments.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / NAME
    file.write_text(json.dumps(plain_template(), indent=1) + "\n", encoding="utf-8")
    say(f"wrote {file}")


def plain_template() -> dict:
    """infra/template.yaml after SAM's transform, with its nested stacks' resources among its own."""
    content = template()
    content["Parameters"] |= CODE_PARAMETERS
    groups = content["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    groups.append({"Label": {"default": "The functions' code"}, "Parameters": list(CODE_PARAMETERS)})
    # VpcId has a default that is no VPC, and is not used then.
    content["Metadata"]["cfn-lint"]["config"]["ignore_checks"].append("W1030")
    del content["Globals"]["Function"]["CodeUri"]
    for function in functions(content).values():
        key = {"Fn::Sub": f"${{CodeKey}}{binary(function)}.zip"}
        function["Properties"]["CodeUri"] = {"Bucket": {"Ref": "CodeBucket"}, "Key": key}
        # It is for `sam build`.
        del function["Metadata"]
    # SAM looks up a Region for ARNs that it makes itself; it makes none for this template.
    translator = Translator(None, Parser(), boto_session=boto3.Session(region_name="us-east-1"))
    translated = translator.translate(content, parameter_values={})
    return inline_nested_stacks(translated, TEMPLATE.parent)


if __name__ == "__main__":
    exit_with(PROGRAM, main)
