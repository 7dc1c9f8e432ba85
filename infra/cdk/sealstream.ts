// SPDX-License-Identifier: Apache-2.0
import { Stack, type StackProps, Token, Validations } from "aws-cdk-lib";
import * as dynamodb from "aws-cdk-lib/aws-dynamodb";
import * as iam from "aws-cdk-lib/aws-iam";
import * as kinesis from "aws-cdk-lib/aws-kinesis";
import * as kms from "aws-cdk-lib/aws-kms";
import * as lambda from "aws-cdk-lib/aws-lambda";
import { Asset } from "aws-cdk-lib/aws-s3-assets";
import { CfnInclude } from "aws-cdk-lib/cloudformation-include";
import { Construct } from "constructs";

/** Parameters of infra/template.yaml by name, which describes each. */
export type Parameters = Readonly<Record<string, string | number>>;

export interface SealstreamProps {
  /** The file that `scripts/template` writes. */
  readonly template: string;
  /** A folder with `record-consumer.zip` and `record-pusher.zip`, of a release or of `cargo lambda build --output-format zip`. */
  readonly functions: string;
  /** Regions of the pipeline. Each gets a stack of its own. */
  readonly regions: readonly string[];
  /** Regions that get the function record-pusher, which sends to all Regions. Default: the first Region. */
  readonly pushers?: readonly string[];
  /** Parameters in every Region. `PusherRegions` follows from `regions` and `pushers`. */
  readonly parameters?: Parameters;
  /** Parameters of single Regions, by Region. They go before `parameters`. */
  readonly regionParameters?: Readonly<Record<string, Parameters>>;
  /** For every stack, such as its description, tags, and `env.account`. The Region is set for each. */
  readonly stackProps?: StackProps;
}

/** The pipeline, with a stack in every Region. Regions with a record-pusher are deployed after the others. */
export class Sealstream extends Construct {
  /** What each Region has, by Region. */
  readonly regions: ReadonlyMap<string, SealstreamRegion>;

  constructor(scope: Construct, id: string, props: SealstreamProps) {
    super(scope, id);
    const pushers = props.pushers ?? props.regions.slice(0, 1);
    this.regions = new Map(props.regions.map((region) => [region, new SealstreamRegion(this, region, props, pushers)]));
    for (const pusher of pushers) {
      for (const [region, other] of this.regions) {
        if (!pushers.includes(region)) {
          this.region(pusher).addDependency(other, "a Region exists before records are sent to it");
        }
      }
    }
  }

  /** What a Region has. */
  region(name: string): SealstreamRegion {
    const found = this.regions.get(name);
    if (!found) throw new Error(`${name} is not among the Regions ${[...this.regions.keys()].join(", ")}`);
    return found;
  }

  /**
   * Allows a role to push records to every Region. A role of another Region's stack needs a `roleName`, by which the
   * keys' policies know it.
   */
  grantPush(role: iam.IRole): void {
    for (const region of this.regions.values()) region.grantPush(role);
  }
}

/** The pipeline's stack in one Region. */
export class SealstreamRegion extends Stack {
  readonly key: kms.IKey;
  readonly stream: kinesis.IStream;
  readonly table: dynamodb.ITable;
  readonly consumer: lambda.IFunction;
  /** The function record-pusher, in Regions that have one. */
  readonly pusher?: lambda.IFunction;

  readonly #keys: kms.CfnKey[];
  readonly #keyConditions: Record<string, Record<string, string>>;
  readonly #streamName: string;

  constructor(scope: Construct, region: string, props: SealstreamProps, pushers: readonly string[]) {
    // The keys' policies know the pushers' roles by the name of their stack, so all have the same.
    const stackName = props.stackProps?.stackName ?? "sealstream";
    super(scope, region, { ...props.stackProps, stackName, env: { ...props.stackProps?.env, region } });
    const parameters: Parameters = { ...props.parameters, ...props.regionParameters?.[region] };
    const rules = ["W1001", "W1028", "W1030", "W8003", ...("VpcId" in parameters ? [] : ["F3031"])];
    for (const rule of rules) {
      Validations.of(this).acknowledge({
        id: `CloudFormation-Validate::${rule}`,
        reason: "empty defaults are for properties that conditions leave out, and some conditions are decided here",
      });
    }
    const others = props.regions.filter((other) => other !== region);
    const isPusher = pushers.includes(region);
    const template = new CfnInclude(this, "Template", {
      templateFile: props.template,
      parameters: {
        ...parameters,
        PusherRegions: isPusher ? [region, ...others].join(",") : "",
        // The code is an asset.
        CodeBucket: "",
        CodeKey: "",
      },
    });
    this.#keys = ["RecordKey", "RecordKeyB"].map((id) => template.getResource(id) as kms.CfnKey);
    const alias = template.getResource("RecordKeyAlias") as kms.CfnAlias;
    const stream = template.getResource("RecordStream") as kinesis.CfnStream;
    this.#streamName = stream.name!;
    this.#keyConditions = {
      StringEquals: { "kms:EncryptionContext:stream": this.#streamName },
      // A policy that names the key would make role and key depend on each other.
      "ForAnyValue:StringEquals": { "kms:ResourceAliases": alias.aliasName },
    };
    this.key = kms.Key.fromKeyArn(this, "Key", Token.asString(template.getOutput("KeyArn").value));
    this.stream = kinesis.Stream.fromStreamArn(this, "Stream", stream.attrArn);
    this.table = dynamodb.Table.fromTableName(this, "Table", Token.asString(template.getOutput("TableName").value));
    this.consumer = this.#function(template, "RecordConsumer", `${props.functions}/record-consumer.zip`);
    const pusher = this.#function(template, "RecordPusher", `${props.functions}/record-pusher.zip`);
    this.pusher = isPusher ? pusher : undefined;
  }

  /** Allows a role to push records to this Region. */
  grantPush(role: iam.IRole): void {
    const actions = ["kms:Encrypt", "kms:GenerateDataKey"];
    const { StringEquals } = this.#keyConditions;
    // Both must allow it: a key's policy caps what IAM policies give.
    for (const key of this.#keys) {
      const statement = {
        Effect: "Allow",
        Principal: { AWS: this.formatArn({ service: "iam", region: "", resource: "root" }) },
        Action: actions,
        Resource: "*",
        Condition: { StringEquals, ArnEquals: { "aws:PrincipalArn": role.roleArn } },
      };
      key.keyPolicy = { ...key.keyPolicy, Statement: [...key.keyPolicy.Statement, statement] };
    }
    const keys = this.formatArn({ service: "kms", resource: "key", resourceName: "*" });
    const stream = this.formatArn({ service: "kinesis", resource: "stream", resourceName: this.#streamName });
    for (const statement of [
      new iam.PolicyStatement({ actions, resources: [keys], conditions: this.#keyConditions }),
      new iam.PolicyStatement({ actions: ["kinesis:DescribeStreamSummary", "kinesis:PutRecords"], resources: [stream] }),
    ]) {
      role.addToPrincipalPolicy(statement);
    }
  }

  #function(template: CfnInclude, id: string, path: string): lambda.IFunction {
    const asset = new Asset(this, `${id}Code`, { path });
    const resource = template.getResource(id) as lambda.CfnFunction;
    resource.code = { s3Bucket: asset.s3BucketName, s3Key: asset.s3ObjectKey };
    return lambda.Function.fromFunctionArn(this, `${id}Function`, resource.attrArn);
  }
}
