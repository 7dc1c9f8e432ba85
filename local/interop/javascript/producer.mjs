// SPDX-License-Identifier: Apache-2.0

// Encrypts records, one a line on standard input, with the AWS Encryption SDK for JavaScript and puts them to a stream.
//
//     producer.mjs --stream STREAM --key-arns ARN,ARN... [--unsigned]
//
// There is a key for each Region, and the first generates data keys. Each record is encrypted once, under one key in
// every Region, with data keys from the SDK's own caching materials manager, and put under the same partition key in
// every Region. It shares no code with the Rust crates: what it writes, every AWS Encryption SDK may write.

import { randomUUID } from "node:crypto";
import { createInterface } from "node:readline";

import {
  AlgorithmSuiteIdentifier,
  CommitmentPolicy,
  KmsKeyringNode,
  NodeCachingMaterialsManager,
  buildClient,
  getLocalCryptographicMaterialsCache,
} from "@aws-crypto/client-node";
import { PutRecordsCommand } from "@aws-sdk/client-kinesis";

import { parseOptions } from "./arguments.mjs";
import { kinesisClient } from "./kinesis.mjs";

const PUT_RECORDS_LIMIT = 500;

async function main() {
  const { stream, "key-arns": list, unsigned } = parseOptions(["stream", "key-arns"], ["unsigned"]);
  const keyArns = list.split(",");
  const encrypt = encryptor(keyArns, stream, unsigned);
  const records = [];
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim()) {
      // One after another: this SDK's cache does not join concurrent requests for the same materials.
      records.push({ Data: await encrypt(line), PartitionKey: randomUUID().replaceAll("-", "") });
    }
  }
  for (const region of keyArns.map((arn) => arn.split(":")[3])) {
    await put(kinesisClient(region), stream, records);
  }
}

/** A function that turns a plaintext into a message for the stream. */
function encryptor([generatorKeyId, ...keyIds], stream, unsigned) {
  const { encrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
  const materials = new NodeCachingMaterialsManager({
    backingMaterials: new KmsKeyringNode({ generatorKeyId, keyIds }),
    cache: getLocalCryptographicMaterialsCache(100),
    maxAge: 600_000,
    maxMessagesEncrypted: 100,
  });
  const suiteId = unsigned
    ? AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY
    : AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY_ECDSA_P384;
  return async (text) => {
    const { result } = await encrypt(materials, Buffer.from(text), { suiteId, encryptionContext: { stream } });
    return result;
  };
}

async function put(client, stream, records) {
  for (let start = 0; start < records.length; start += PUT_RECORDS_LIMIT) {
    const request = { StreamName: stream, Records: records.slice(start, start + PUT_RECORDS_LIMIT) };
    const { FailedRecordCount } = await client.send(new PutRecordsCommand(request));
    if (FailedRecordCount > 0) {
      throw new Error(`${FailedRecordCount} records were refused`);
    }
  }
}

await main();
