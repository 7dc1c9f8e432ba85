// SPDX-License-Identifier: Apache-2.0

// What the programs here have in common on the AWS Encryption SDK for JavaScript.

import {
  AlgorithmSuiteIdentifier,
  CommitmentPolicy,
  NodeCachingMaterialsManager,
  buildClient,
  getLocalCryptographicMaterialsCache,
} from "@aws-crypto/client-node";

const client = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
const SUITES = {
  unsigned: AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY,
  signed: AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
};

export const { decrypt } = client;

export function cachingManager(backingMaterials) {
  return new NodeCachingMaterialsManager({
    backingMaterials,
    cache: getLocalCryptographicMaterialsCache(100),
    maxAge: 600_000,
    maxMessagesEncrypted: 100,
  });
}

/** To be awaited before the next: this SDK's cache does not join concurrent requests for the same materials. */
export async function encrypt(materials, suite, encryptionContext, plaintext) {
  const { result } = await client.encrypt(materials, plaintext, { suiteId: SUITES[suite], encryptionContext });
  return result;
}
