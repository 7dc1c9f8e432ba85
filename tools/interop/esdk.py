# SPDX-License-Identifier: Apache-2.0
"""What the programs here have in common on the AWS Encryption SDK for Python."""

from aws_encryption_sdk import (
    CachingCryptoMaterialsManager,
    CommitmentPolicy,
    EncryptionSDKClient,
    LocalCryptoMaterialsCache,
)
from aws_encryption_sdk.identifiers import AlgorithmSuite
from aws_encryption_sdk.key_providers.base import MasterKeyProvider

CLIENT = EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
SUITES = {
    "unsigned": AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
    "signed": AlgorithmSuite.AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
}


def caching_manager(keys: MasterKeyProvider) -> CachingCryptoMaterialsManager:
    return CachingCryptoMaterialsManager(
        master_key_provider=keys,
        cache=LocalCryptoMaterialsCache(capacity=100),
        max_age=600.0,
        max_messages_encrypted=100,
    )


def encrypt(materials: CachingCryptoMaterialsManager, suite: str, context: dict[str, str], plaintext: bytes) -> bytes:
    message, _ = CLIENT.encrypt(
        source=plaintext,
        # The cache takes part only where the length is known beforehand.
        source_length=len(plaintext),
        materials_manager=materials,
        algorithm=SUITES[suite],
        encryption_context=context,
    )
    return message
