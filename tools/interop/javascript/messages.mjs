// SPDX-License-Identifier: Apache-2.0

// Encrypts or decrypts messages with the AWS Encryption SDK for JavaScript, its own caching materials manager and a raw
// AES key.
//
//     messages.mjs write|read
//
// Reads and prints JSON lines, as crates/esdk-caching-cmm/examples/interop.rs does. It shares no code with the Rust crates.

import { createInterface } from "node:readline";

import { RawAesKeyringNode, RawAesWrappingSuiteIdentifier } from "@aws-crypto/client-node";

import { cachingManager, decrypt, encrypt } from "./esdk.mjs";

async function main() {
  const work = { write, read }[process.argv[2]];
  if (!work) {
    console.error("usage: messages.mjs write|read");
    process.exit(2);
  }
  const materials = cachingManager(rawKeyring());
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await work(materials, JSON.parse(line))));
  }
}

async function write(materials, { plaintext, context, suite }) {
  const message = await encrypt(materials, suite, context, Buffer.from(plaintext, "base64"));
  return { message: message.toString("base64") };
}

async function read(materials, { message }) {
  const { plaintext, messageHeader } = await decrypt(materials, Buffer.from(message, "base64"));
  return { plaintext: plaintext.toString("base64"), context: messageHeader.encryptionContext };
}

/** The other programs have the same key under the same names. */
function rawKeyring() {
  return new RawAesKeyringNode({
    keyNamespace: "interop",
    keyName: "key",
    unencryptedMasterKey: Buffer.alloc(32, 7),
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
    // The order of a context's pairs that the other SDKs unwrap data keys with; not this keyring's default.
    utf8Sorting: true,
  });
}

await main();
