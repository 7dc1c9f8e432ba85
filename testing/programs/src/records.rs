//! Records, and the messages and events that carry them.

use std::ops::Range;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fake_aws::FakeAws;
use record_cipher::{Keys, RecordCipher, Suite};
use serde_json::{Value, json};

use crate::fixture::{ALIAS, REGION, STREAM, config};

/// Returns records in JSON. Each is long enough that a few do not fit into a kilobyte.
#[must_use]
pub fn records(ids: Range<usize>) -> Vec<String> {
    ids.map(|id| json!({ "id": id.to_string(), "text": "x".repeat(200) }).to_string()).collect()
}

/// Returns the event for `record-pusher` with these records.
#[must_use]
pub fn pusher_event(ids: Range<usize>) -> Vec<u8> {
    format!(r#"{{"records":[{}]}}"#, records(ids).join(",")).into_bytes()
}

/// Encrypts records as messages of the stream, each under a data key of its own.
pub async fn messages(kms: &FakeAws, ids: Range<usize>) -> Vec<Vec<u8>> {
    let keys =
        Keys::Encrypt { key: ALIAS.parse().unwrap(), regions: vec![REGION.parse().unwrap()] };
    let cipher = RecordCipher::builder(keys, &config(kms)).suite(Suite::Unsigned);
    let cipher = cipher.build().await.unwrap();
    let mut messages = Vec::new();
    for record in records(ids) {
        let message = cipher.encrypt(&STREAM.parse().unwrap(), record.into_bytes()).await;
        messages.push(message.unwrap().message);
    }
    messages
}

/// Returns the event for `record-consumer` with these messages, numbered from `first`.
#[must_use]
pub fn consumer_event(first: usize, messages: &[Vec<u8>]) -> Vec<u8> {
    let records = messages.iter().zip(first..).map(|(message, number)| record(number, message));
    json!({ "Records": records.collect::<Vec<_>>() }).to_string().into_bytes()
}

fn record(number: usize, message: &[u8]) -> Value {
    json!({
        "awsRegion": REGION,
        "eventID": format!("shardId-000000000000:{number}"),
        "eventName": "aws:kinesis:record",
        "eventSource": "aws:kinesis",
        "eventSourceARN": format!("arn:aws:kinesis:{REGION}:000000000000:stream/{STREAM}"),
        "eventVersion": "1.0",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/record-consumer",
        "kinesis": {
            "approximateArrivalTimestamp": 1_545_084_650.987,
            "data": BASE64_STANDARD.encode(message),
            "encryptionType": "NONE",
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "key",
            "sequenceNumber": number.to_string(),
        },
    })
}
