# SPDX-License-Identifier: Apache-2.0
"""ministack's application, with what it lacks for the templates in infra/, which therefore run in it as they are.

Its IAM has to be told, to evaluate the policies there:

- which key an alias in a request to KMS stands for: policies are about the key;
- the condition keys kms:EncryptionContext:* and kms:ResourceAliases;
- the condition key aws:PrincipalArn of a role's session, which is the role's ARN and not the session's;
- that the connection is secure (aws:SecureTransport): on the loopback interface there is no TLS.

See https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html.

Its CloudFormation has to be told

- that a name it makes up is another one in every Region: roles are shared by all Regions;
- to take an alarm on several metrics for one on a metric that nobody reports, and not to refuse it;
- which attributes a nested stack's resource has when an update leaves it as it is.
"""

import hashlib
import json

from ministack import app as ministack
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_region
from ministack.services import iam, kms
from ministack.services.cloudformation import provisioners

find_resource = iam_actions.extract_resource_arn
find_request_context = iam_actions.request_tag_context
find_condition_key = iam_evaluator._resolve_condition_key
make_name = provisioners._physical_name
make_alarm = provisioners._cw_metric_alarm_record
make_resource = provisioners._provision_resource
change_resource = provisioners._update_resource

# By Region, type and physical id.
attributes: dict[tuple[str, str, str], dict] = {}

NAME_SUFFIX = 13


async def app(scope, receive, send) -> None:
    await ministack.app(scope | {"scheme": "https"} if scope["type"] == "http" else scope, receive, send)


def resource_arn(service: str, *request) -> str:
    arn = find_resource(service, *request)
    key = kms._resolve_key(arn) if service == "kms" and ":alias/" in arn else None
    return key["Arn"] if key else arn


def request_context(service: str, action: str, body: bytes, parameters: dict) -> dict:
    context = find_request_context(service, action, body, parameters)
    return context | kms_context(json.loads(body or b"{}")) if service == "kms" else context


def kms_context(request: dict) -> dict:
    pairs = request.get("EncryptionContext") or {}
    # Decrypt may leave the key to the ciphertext.
    key = kms._resolve_key(
        request.get("KeyId") or iam_actions._kms_key_id_from_ciphertext(request.get("CiphertextBlob"))
    )
    aliases = [arn.split(":", 5)[5] for arn, key_id in kms._aliases.items() if key and key_id == key["KeyId"]]
    context = {f"kms:EncryptionContext:{name}": value for name, value in pairs.items()}
    # A condition key without a value is absent.
    return context | ({"kms:ResourceAliases": aliases} if aliases else {})


def condition_key(key: str, context: iam_evaluator.EvalContext):
    if key.lower() == "aws:principalarn" and ":assumed-role/" in context.principal_arn:
        name = iam_evaluator._role_name_from_assumed_arn(context.principal_arn)
        return iam._roles.get_scoped(context.principal_account, None, name)["Arn"]
    return find_condition_key(key, context)


def physical_name(*resource, **options) -> str:
    name = make_name(*resource, **options)
    suffix = hashlib.sha256(f"{get_region()} {name}".encode()).hexdigest()[:NAME_SUFFIX]
    return name[:-NAME_SUFFIX] + (suffix if name.islower() else suffix.upper())


def alarm(name: str, properties: dict) -> dict:
    if "Metrics" in properties:
        properties = properties | {"Metrics": None, "Namespace": "None", "MetricName": "None"}
    return make_alarm(name, properties)


def provision_resource(resource_type: str, *resource, **options) -> tuple[str, dict]:
    physical_id, found = make_resource(resource_type, *resource, **options)
    attributes[get_region(), resource_type, physical_id] = found
    return physical_id, found


def update_resource(resource_type: str, physical_id: str, *resource, **options) -> tuple[str, dict]:
    options.setdefault("old_attrs", attributes.get((get_region(), resource_type, physical_id)))
    changed_id, found = change_resource(resource_type, physical_id, *resource, **options)
    attributes[get_region(), resource_type, changed_id] = found
    return changed_id, found


iam_actions.extract_resource_arn = resource_arn
iam_actions.request_tag_context = request_context
iam_evaluator._resolve_condition_key = condition_key
provisioners._physical_name = physical_name
provisioners._cw_metric_alarm_record = alarm
provisioners._provision_resource = provision_resource
provisioners._update_resource = update_resource
