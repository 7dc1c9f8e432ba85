// SPDX-License-Identifier: Apache-2.0

import { KinesisClient } from "@aws-sdk/client-kinesis";
import { NodeHttpHandler } from "@smithy/node-http-handler";

/** A client that speaks HTTP/1.1: in HTTP/2, its default, the local AWS now and then breaks the session off. */
export function kinesisClient(region) {
  return new KinesisClient({ region, requestHandler: new NodeHttpHandler() });
}
