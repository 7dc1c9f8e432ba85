// SPDX-License-Identifier: Apache-2.0
// TEMPLATE is the file that `scripts/template` writes, and FUNCTIONS a folder with the functions' code.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { App, PhysicalName, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import * as iam from "aws-cdk-lib/aws-iam";
import { Sealstream, type SealstreamProps } from "./sealstream.ts";

const { TEMPLATE, FUNCTIONS } = process.env;
assert(TEMPLATE && FUNCTIONS, "set TEMPLATE and FUNCTIONS");
const PLAIN = JSON.parse(readFileSync(TEMPLATE, "utf8"));
const REGIONS = ["us-east-1", "eu-west-1", "ap-southeast-2"];
const ACCOUNT = "111122223333";
const PROPS: SealstreamProps = {
  template: TEMPLATE,
  functions: FUNCTIONS,
  regions: REGIONS,
  stackProps: { env: { account: ACCOUNT } },
};

function pipeline(props: Partial<SealstreamProps> = {}): Sealstream {
  return new Sealstream(new App(), "Pipeline", { ...PROPS, ...props });
}

function resources(pipeline: Sealstream, region: string): Record<string, any> {
  return Template.fromStack(pipeline.region(region)).toJSON().Resources;
}

/** A value with the parameters that have one replaced by it. */
function resolved(value: any, parameters: Record<string, unknown>): any {
  if (Array.isArray(value)) return value.map((child) => resolved(child, parameters));
  if (value === null || typeof value !== "object") return value;
  if (typeof value.Ref === "string" && value.Ref in parameters) return parameters[value.Ref];
  return Object.fromEntries(Object.entries(value).map(([name, child]) => [name, resolved(child, parameters)]));
}

test("every Region has the resources of the template", () => {
  const made = pipeline();
  for (const region of REGIONS) {
    const found = resources(made, region);
    assert.deepEqual(Object.keys(found).sort(), Object.keys(PLAIN.Resources).sort());
    for (const [name, expected] of Object.entries<any>(PLAIN.Resources)) {
      assert.equal(found[name].Type, expected.Type);
      assert.equal(found[name].Condition, expected.Condition, name);
      assert.equal(found[name].DeletionPolicy, expected.DeletionPolicy, name);
      assert.equal(found[name].UpdateReplacePolicy, expected.UpdateReplacePolicy, name);
    }
  }
});

test("properties are the template's, but for the code", () => {
  const found = resources(pipeline(), "eu-west-1");
  for (const name of ["RecordKey", "RecordStream", "RecordTable", "RecordConsumerRole", "MonitoringIteratorAge"]) {
    const expected = resolved(PLAIN.Resources[name].Properties, { PusherRegions: "" });
    assert.deepEqual(found[name].Properties, expected, name);
  }
  const { Code, ...consumer } = found.RecordConsumer.Properties;
  const { Code: ignored, ...expected } = PLAIN.Resources.RecordConsumer.Properties;
  assert.deepEqual(consumer, expected);
  assert.match(JSON.stringify(Code), /cdk-/);
});

test("the first Region pushes to all, and is deployed last", () => {
  const made = pipeline();
  const variables = resources(made, "us-east-1").RecordPusher.Properties.Environment.Variables;
  assert.equal(variables.REGIONS, REGIONS.join(","));
  assert.ok(made.region("us-east-1").pusher);
  assert.equal(made.region("eu-west-1").pusher, undefined);
  assert.deepEqual(made.region("us-east-1").dependencies.map((stack) => stack.region).sort(), ["ap-southeast-2", "eu-west-1"]);
});

test("a pusher's own Region goes first", () => {
  const made = pipeline({ pushers: ["eu-west-1", "us-east-1"] });
  const variables = resources(made, "eu-west-1").RecordPusher.Properties.Environment.Variables;
  assert.equal(variables.REGIONS, "eu-west-1,us-east-1,ap-southeast-2");
  assert.deepEqual(made.region("eu-west-1").dependencies.map((stack) => stack.region), ["ap-southeast-2"]);
});

test("parameters of a Region go before those of all", () => {
  const made = pipeline({
    parameters: { BatchSize: 50, StreamName: "orders" },
    regionParameters: { "eu-west-1": { BatchSize: 200 } },
  });
  assert.equal(resources(made, "us-east-1").RecordConsumerRecords.Properties.BatchSize, 50);
  assert.equal(resources(made, "eu-west-1").RecordConsumerRecords.Properties.BatchSize, 200);
  assert.equal(resources(made, "eu-west-1").RecordStream.Properties.Name, "orders");
});

test("a role that may push is in the policy of every key, and its own policy names the stream", () => {
  const app = new App();
  const made = new Sealstream(app, "Pipeline", { ...PROPS, parameters: { StreamName: "orders", KeyAlias: "orders" } });
  const service = new Stack(app, "Service", { env: { account: ACCOUNT, region: "eu-west-1" } });
  const role = new iam.Role(service, "Role", {
    assumedBy: new iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
    roleName: PhysicalName.GENERATE_IF_NEEDED,
  });
  made.grantPush(role);
  for (const region of REGIONS) {
    for (const key of ["RecordKey", "RecordKeyB"]) {
      const statements = resources(made, region)[key].Properties.KeyPolicy.Statement;
      const { Action, Condition } = statements.at(-1);
      assert.deepEqual(Action, ["kms:Encrypt", "kms:GenerateDataKey"]);
      assert.deepEqual(Condition.StringEquals, { "kms:EncryptionContext:stream": "orders" });
      assert.ok(Condition.ArnEquals["aws:PrincipalArn"]);
      assert.equal(statements.length, PLAIN.Resources[key].Properties.KeyPolicy.Statement.length + 1);
    }
  }
  const policy = JSON.stringify(Template.fromStack(service).findResources("AWS::IAM::Policy"));
  for (const region of REGIONS) assert.ok(policy.includes(`:kinesis:${region}:${ACCOUNT}:stream/orders`), policy);
  assert.ok(policy.includes('"kms:ResourceAliases":{"Fn::Sub":"alias/orders"}'), policy);
  app.synth();
});

test("an unknown Region is named", () => {
  assert.throws(() => pipeline().region("eu-central-1"), /eu-central-1 is not among the Regions us-east-1/);
  assert.throws(() => pipeline({ pushers: ["eu-central-1"] }), /eu-central-1 is not among the Regions us-east-1/);
});
