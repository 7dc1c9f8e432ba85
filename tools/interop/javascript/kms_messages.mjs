// SPDX-License-Identifier: Apache-2.0

// Encrypts or decrypts messages with the AWS Encryption SDK for JavaScript and its keyrings of AWS KMS.
//
//     kms_messages.mjs
//
// Reads and prints JSON lines, as crates/record-cipher/examples/kms_messages.rs does. It shares no code with the Rust
// crates.

import { createInterface } from "node:readline";

import {
  CommitmentPolicy,
  KmsKeyringNode,
  buildAwsKmsMrkAwareDiscoveryMultiKeyringNode,
  buildAwsKmsMrkAwareStrictMultiKeyringNode,
  buildClient,
} from "@aws-crypto/client-node";

async function main() {
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  }
}

async function answer(work) {
  const policy = work.policy ?? "REQUIRE_ENCRYPT_REQUIRE_DECRYPT";
  const client = buildClient(CommitmentPolicy[policy]);
  try {
    const keyring = buildKeyring(work);
    return await ("message" in work ? read(client, keyring, work) : write(client, keyring, work));
  } catch (error) {
    // A fault in this program has a type of its own, the SDK's refusals have not.
    if (error instanceof TypeError || error instanceof ReferenceError) {
      throw error;
    }
    return { refused: error.name };
  }
}

async function write(client, keyring, { plaintext, context, suite }) {
  const options = { suiteId: suite, encryptionContext: context };
  const { result } = await client.encrypt(keyring, Buffer.from(plaintext, "base64"), options);
  return { message: result.toString("base64") };
}

async function read(client, keyring, { message }) {
  const { plaintext, messageHeader } = await client.decrypt(keyring, Buffer.from(message, "base64"));
  return { plaintext: plaintext.toString("base64"), context: messageHeader.encryptionContext };
}

function buildKeyring({ strict, discovery, mrk_aware: isMrkAware }) {
  if (strict) {
    const [generatorKeyId, ...keyIds] = strict;
    return isMrkAware
      ? buildAwsKmsMrkAwareStrictMultiKeyringNode({ generatorKeyId, keyIds })
      : new KmsKeyringNode({ generatorKeyId, keyIds });
  }
  const { region, partition, accounts: accountIDs } = discovery;
  const discoveryFilter = { partition, accountIDs };
  return isMrkAware
    ? buildAwsKmsMrkAwareDiscoveryMultiKeyringNode({ regions: [region], discoveryFilter })
    : new KmsKeyringNode({ discovery: true, discoveryFilter });
}

await main();
