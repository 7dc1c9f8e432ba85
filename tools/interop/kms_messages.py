# SPDX-License-Identifier: Apache-2.0
"""Encrypts or decrypts messages with the AWS Encryption SDK for Python and keys in AWS KMS: through its master keys, or
through the keyrings of the Material Providers Library.

Reads and prints JSON lines, as crates/record-cipher/examples/kms_messages.rs does. It shares no code with the Rust crates.
"""

import argparse
import base64
import functools
import json
import sys
from collections.abc import Callable

from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl import models as mpl
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.errors import ServiceError
from aws_encryption_sdk import CommitmentPolicy, EncryptionSDKClient
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError
from aws_encryption_sdk.identifiers import AlgorithmSuite
from aws_encryption_sdk.key_providers import kms
from cryptography.exceptions import InvalidSignature, InvalidTag

# What the SDK and the libraries below it raise when they refuse something, and nothing that a fault in this program raises.
REFUSALS = (AWSEncryptionSDKClientError, ServiceError, InvalidSignature, InvalidTag)


def main() -> None:
    providers = {"master-keys": master_keys, "keyrings": keyrings}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("provider", choices=providers)
    # A client of AWS KMS takes longer to make than a message to decrypt.
    provider = functools.cache(providers[parser.parse_args().provider])
    for line in sys.stdin:
        print(json.dumps(answer(provider, json.loads(line))))


def answer(provider: Callable[[str], dict], case: dict) -> dict:
    work = read if "message" in case else write
    keys = {name: case[name] for name in ("strict", "discovery", "mrk_aware") if name in case}
    try:
        return work(client(case), provider(json.dumps(keys)), case)
    except REFUSALS as error:
        return {"refused": type(error).__name__}


def client(case: dict) -> EncryptionSDKClient:
    policy = CommitmentPolicy[case.get("policy", "REQUIRE_ENCRYPT_REQUIRE_DECRYPT")]
    return EncryptionSDKClient(commitment_policy=policy)


def write(sdk: EncryptionSDKClient, keys: dict, case: dict) -> dict:
    message, _ = sdk.encrypt(
        source=base64.b64decode(case["plaintext"]),
        algorithm=AlgorithmSuite.get_by_id(case["suite"]),
        encryption_context=case["context"],
        **keys,
    )
    return {"message": base64.b64encode(message).decode()}


def read(sdk: EncryptionSDKClient, keys: dict, case: dict) -> dict:
    plaintext, header = sdk.decrypt(source=base64.b64decode(case["message"]), **keys)
    return {"plaintext": base64.b64encode(plaintext).decode(), "context": header.encryption_context}


def master_keys(text: str) -> dict:
    keys = json.loads(text)
    if "strict" in keys:
        strict = kms.MRKAwareStrictAwsKmsMasterKeyProvider if keys["mrk_aware"] else kms.StrictAwsKmsMasterKeyProvider
        return {"key_provider": strict(key_ids=keys["strict"])}
    discovery = keys["discovery"]
    accounts = kms.DiscoveryFilter(account_ids=discovery["accounts"], partition=discovery["partition"])
    if keys["mrk_aware"]:
        provider = kms.MRKAwareDiscoveryAwsKmsMasterKeyProvider(
            discovery_region=discovery["region"], discovery_filter=accounts
        )
    else:
        provider = kms.DiscoveryAwsKmsMasterKeyProvider(discovery_filter=accounts)
    return {"key_provider": provider}


def keyrings(text: str) -> dict:
    keys = json.loads(text)
    providers = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())
    if "strict" in keys:
        generator, *others = keys["strict"]
        settings = {"generator": generator, "kms_key_ids": others}
        if keys["mrk_aware"]:
            keyring = providers.create_aws_kms_mrk_multi_keyring(mpl.CreateAwsKmsMrkMultiKeyringInput(**settings))
        else:
            keyring = providers.create_aws_kms_multi_keyring(mpl.CreateAwsKmsMultiKeyringInput(**settings))
        return {"keyring": keyring}
    discovery = keys["discovery"]
    accounts = mpl.DiscoveryFilter(account_ids=discovery["accounts"], partition=discovery["partition"])
    settings = {"regions": [discovery["region"]], "discovery_filter": accounts}
    if keys["mrk_aware"]:
        settings = mpl.CreateAwsKmsMrkDiscoveryMultiKeyringInput(**settings)
        keyring = providers.create_aws_kms_mrk_discovery_multi_keyring(settings)
    else:
        settings = mpl.CreateAwsKmsDiscoveryMultiKeyringInput(**settings)
        keyring = providers.create_aws_kms_discovery_multi_keyring(settings)
    return {"keyring": keyring}


if __name__ == "__main__":
    main()
