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

import { KmsKeyringNode } from "@aws-crypto/client-node";
import { PutRecordsCommand } from "@aws-sdk/client-kinesis";

import { parseOptions } from "./arguments.mjs";
import { cachingManager, encrypt } from "./esdk.mjs";
import { kinesisClient } from "./kinesis.mjs";

const PUT_RECORDS_LIMIT = 500;

async function main() {
  const { stream, "key-arns": list, unsigned } = parseOptions(["stream", "key-arns"], ["unsigned"]);
  const keyArns = list.split(",");
  const [generatorKeyId, ...keyIds] = keyArns;
  const materials = cachingManager(new KmsKeyringNode({ generatorKeyId, keyIds }));
  const suite = unsigned ? "unsigned" : "signed";
  const records = [];
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim()) {
      const message = await encrypt(materials, suite, { stream }, Buffer.from(line));
      records.push({ Data: message, PartitionKey: randomUUID().replaceAll("-", "") });
    }
  }
  for (const region of keyArns.map((arn) => arn.split(":")[3])) {
    await put(kinesisClient(region), stream, records);
  }
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
