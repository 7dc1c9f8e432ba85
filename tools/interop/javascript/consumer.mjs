// SPDX-License-Identifier: Apache-2.0

// Reads a stream with the AWS Encryption SDK for JavaScript and prints each record's plaintext on a line of its own.
//
//     consumer.mjs --region REGION --stream STREAM --key-arn ARN
//
// The key is the only one that records are accepted under. It shares no code with the Rust crates: what it can read,
// every AWS Encryption SDK can.

import { KmsKeyringNode } from "@aws-crypto/client-node";
import { GetRecordsCommand, GetShardIteratorCommand, ListShardsCommand } from "@aws-sdk/client-kinesis";

import { parseOptions } from "./arguments.mjs";
import { decrypt } from "./esdk.mjs";
import { kinesisClient } from "./kinesis.mjs";

async function main() {
  const { region, stream, "key-arn": keyArn } = parseOptions(["region", "stream", "key-arn"]);
  const keyring = new KmsKeyringNode({ keyIds: [keyArn] });
  for await (const message of messages(kinesisClient(region), stream)) {
    const { plaintext, messageHeader } = await decrypt(keyring, message);
    const encryptedFor = messageHeader.encryptionContext.stream;
    if (encryptedFor !== stream) {
      throw new Error(`a record in the stream ${stream} was encrypted for the stream ${encryptedFor}`);
    }
    console.log(plaintext.toString());
  }
}

/** The data of every record that is in the stream now, shard by shard, oldest first. */
async function* messages(client, stream) {
  for await (const { ShardId } of shards(client, stream)) {
    const request = { StreamName: stream, ShardId, ShardIteratorType: "TRIM_HORIZON" };
    let { ShardIterator } = await client.send(new GetShardIteratorCommand(request));
    for (let behind = true; behind && ShardIterator; ) {
      const page = await client.send(new GetRecordsCommand({ ShardIterator }));
      yield* page.Records.map(({ Data }) => Data);
      ShardIterator = page.NextShardIterator;
      behind = page.MillisBehindLatest > 0;
    }
  }
}

async function* shards(client, stream) {
  for (let request = { StreamName: stream }; request; ) {
    const { Shards, NextToken } = await client.send(new ListShardsCommand(request));
    yield* Shards;
    // A token stands for the stream too.
    request = NextToken && { NextToken };
  }
}

await main();
