# SPDX-License-Identifier: Apache-2.0
"""Encrypts or decrypts messages with the AWS Encryption SDK for Python, its own caching materials manager and a raw AES
key.

Reads and prints JSON lines, as crates/esdk-caching-cmm/examples/interop.rs does. It shares no code with the Rust crates.
"""

import argparse
import base64
import json
import sys

from aws_encryption_sdk import CachingCryptoMaterialsManager
from aws_encryption_sdk.identifiers import EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKey

from tools.interop.esdk import CLIENT, caching_manager, encrypt


def main() -> None:
    modes = {"write": write, "read": read}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=modes)
    work = modes[parser.parse_args().mode]
    materials = caching_manager(raw_key())
    for line in sys.stdin:
        print(json.dumps(work(materials, json.loads(line))))


def write(materials: CachingCryptoMaterialsManager, case: dict) -> dict:
    plaintext = base64.b64decode(case["plaintext"])
    return {"message": text(encrypt(materials, case["suite"], case["context"], plaintext))}


def read(materials: CachingCryptoMaterialsManager, written: dict) -> dict:
    message = base64.b64decode(written["message"])
    plaintext, header = CLIENT.decrypt(source=message, materials_manager=materials)
    return {"plaintext": text(plaintext), "context": header.encryption_context}


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def raw_key() -> RawMasterKey:
    """The other programs have the same key under the same names."""
    key = WrappingKey(
        wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
        wrapping_key=bytes([7] * 32),
        wrapping_key_type=EncryptionKeyType.SYMMETRIC,
    )
    return RawMasterKey(provider_id="interop", key_id="key", wrapping_key=key)


if __name__ == "__main__":
    main()
