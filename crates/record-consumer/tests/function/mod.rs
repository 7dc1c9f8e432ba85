//! The function, beside the services of AWS that it needs.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_lambda_events::encodings::Base64Data;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, kms_key_arn};
use record_cipher::{Keys, RecordCipher, Suite};
use serde_json::{Value, json};

pub(crate) const REGION: &str = "eu-west-1";
const ALIAS: &str = "alias/records";

/// Has the function answer the events that are waiting, and returns what it has written.
pub(crate) async fn serve(aws: &FakeAws, name: &str, settings: &[(&str, &str)]) -> String {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let file = File::create(&log).unwrap();
    let mut function = Command::new(env!("CARGO_BIN_EXE_record-consumer"))
        .env_clear()
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
        .envs(settings.iter().copied())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let done = tokio::time::timeout(Duration::from_secs(30), aws.runtime_api().done()).await;
    function.kill().unwrap();
    function.wait().unwrap();
    let log = fs::read_to_string(log).unwrap();
    done.unwrap_or_else(|_| panic!("it takes too long: {log}"));
    log
}

/// Plaintexts for streams, as messages.
pub(crate) async fn messages<'a>(
    aws: &FakeAws,
    plaintexts: impl IntoIterator<Item = (&'a str, String)>,
) -> Vec<Vec<u8>> {
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
    for (stream, plaintext) in plaintexts {
        let message = cipher.encrypt(&stream.parse().unwrap(), plaintext.into_bytes()).await;
        messages.push(message.unwrap().message);
    }
    messages
}

/// An event of the stream `records`, with sequence numbers from 0.
pub(crate) fn event(messages: &[Vec<u8>]) -> Vec<u8> {
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
