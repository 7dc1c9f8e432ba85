//! The function `record-consumer`, logging all it can, shows nothing of what records hold.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_lambda_events::encodings::Base64Data;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, Fault, KeyType, Operation, Rule, kms_key_arn};
use record_cipher::{Keys, RecordCipher, Suite};
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";
const ALIAS: &str = "alias/records";
const NAME: &str = "markedName";
const VALUE: &str = "markedValue";

#[tokio::test(flavor = "multi_thread")]
async fn no_log_of_the_function_shows_what_records_hold() {
    let aws = FakeAws::start().await.unwrap();
    aws.dynamodb().create_table(REGION, "items", &[("id", KeyType::Text)]);
    let event = event(&messages(&aws).await);
    for (format, level) in [("Text", "RUST_LOG"), ("JSON", "AWS_LAMBDA_LOG_LEVEL")] {
        // The AWS SDK would log the items that come back.
        let operation = Operation::BatchWriteItem;
        aws.faults().inject(Rule::new(Fault::Partial { every: 2 }).operation(operation).times(1));
        aws.runtime_api().push(vec![event.clone(), b"{\"Records\":7}".to_vec()], 1);
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("no_secrets.{format}"));
        let _function = Function::start(&aws, &log, format, level);
        let done = tokio::time::timeout(Duration::from_secs(30), aws.runtime_api().done()).await;
        let log = fs::read_to_string(log).unwrap();
        done.unwrap_or_else(|_| panic!("it takes too long: {log}"));
        assert!(log.contains("batch done") && log.contains("record quarantined"), "{log}");
        assert_eq!(log.lines().all(|line| line.starts_with('{')), format == "JSON", "{log}");
        expect_no_secrets(&log);
    }
    for document in aws.s3().objects(REGION, "quarantine").values() {
        expect_no_secrets(&String::from_utf8_lossy(document));
    }
    for invocation in aws.runtime_api().invocations() {
        let (Ok(answer) | Err(answer)) = invocation.outcome;
        expect_no_secrets(&String::from_utf8_lossy(&answer));
    }
    assert_eq!(aws.dynamodb().items(REGION, "items").len(), 3);
}

fn expect_no_secrets(text: &str) {
    let line = text.lines().find(|line| line.contains(NAME) || line.contains(VALUE));
    assert_eq!(line, None);
}

/// The program, until it is dropped.
struct Function(Child);

impl Function {
    /// `level` is the variable that asks for all logs.
    fn start(aws: &FakeAws, log: &Path, format: &str, level: &str) -> Self {
        let log = File::create(log).unwrap();
        let program = Command::new(env!("CARGO_BIN_EXE_record-consumer"))
            .env_clear()
            .env(level, "TRACE")
            // The AWS SDK would log data keys too.
            .env("LOG_SENSITIVE_BODIES", "true")
            .env("AWS_LAMBDA_LOG_FORMAT", format)
            .env("AWS_LAMBDA_RUNTIME_API", aws.url().trim_start_matches("http://"))
            .env("AWS_LAMBDA_FUNCTION_NAME", "record-consumer")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_ENDPOINT_URL", aws.url())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("TABLE_NAME", "items")
            .env("CMK_ARN", kms_key_arn(REGION, ALIAS))
            .env("QUARANTINE_BUCKET", "quarantine")
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Self(program.unwrap())
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Three items, and what can never be written.
async fn messages(aws: &FakeAws) -> Vec<Vec<u8>> {
    let credentials = Credentials::new("id", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(aws.url())
        .build();
    let keys =
        Keys::Encrypt { key: ALIAS.parse().unwrap(), regions: vec![REGION.parse().unwrap()] };
    let cipher = RecordCipher::builder(keys, &config).suite(Suite::Unsigned);
    let cipher = cipher.build().await.unwrap();
    let mut messages = Vec::new();
    for (stream, plaintext) in [
        ("records", format!(r#"{{"id":"1","{NAME}":"{VALUE}"}}"#)),
        ("records", format!(r#"[{{"id":"2","{NAME}":"{VALUE}"}},{{"id":"{VALUE}"}}]"#)),
        ("records", format!(r#"{{"{NAME}":"{VALUE}"}}"#)),
        ("records", format!("{VALUE}, which is not JSON")),
        ("another", format!(r#"{{"id":"3","{NAME}":"{VALUE}"}}"#)),
    ] {
        let message = cipher.encrypt(&stream.parse().unwrap(), plaintext.into_bytes()).await;
        messages.push(message.unwrap().message);
    }
    messages
}

fn event(messages: &[Vec<u8>]) -> Vec<u8> {
    let records = messages.iter().enumerate().map(|(number, message)| record(number, message));
    json!({ "Records": records.collect::<Vec<_>>() }).to_string().into_bytes()
}

fn record(number: usize, message: &[u8]) -> Value {
    let mut data = Base64Data::default();
    data.0 = message.to_vec();
    json!({
        "awsRegion": REGION,
        "eventID": format!("shardId-000000000000:{number}"),
        "eventName": "aws:kinesis:record",
        "eventSource": "aws:kinesis",
        "eventSourceARN": format!("arn:aws:kinesis:{REGION}:000000000000:stream/records"),
        "eventVersion": "1.0",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/record-consumer",
        "kinesis": {
            "approximateArrivalTimestamp": 1_545_084_650.987,
            "data": data,
            "encryptionType": "NONE",
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "key",
            "sequenceNumber": number.to_string(),
        },
    })
}
