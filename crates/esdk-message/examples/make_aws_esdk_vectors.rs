//! Writes `tests/vectors/aws-esdk.json`: the messages of the AWS Encryption SDK for Rust for the
//! cases in `cases.json`.
#![expect(clippy::unwrap_used, reason = "a vector that cannot be made ends the program")]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../tests/differential/reference.rs"]
mod reference;

use std::fs;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use esdk_message::Suite;
use serde_json::{Value, json};

use reference::{Context, Reference};

#[tokio::main]
async fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let cases = fs::read(folder.join("cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_slice(&cases).unwrap();
    let reference = Reference::new(1).await;
    let mut lines = Vec::new();
    // This SDK reads messages without frames, but does not write them.
    for case in cases.iter().filter(|case| case["frame_length"] != 0) {
        for (suite, name) in [(Suite::Unsigned, "unsigned"), (Suite::Signed, "signed")] {
            lines.push(vector(&reference, case, suite, name).await.to_string());
        }
    }
    fs::write(folder.join("aws-esdk.json"), format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
}

async fn vector(reference: &Reference, case: &Value, suite: Suite, suite_name: &str) -> Value {
    let length = case["plaintext_length"].as_u64().unwrap();
    let frame_length = case["frame_length"].as_u64().unwrap().try_into().unwrap();
    let context: Context = serde_json::from_value(case["encryption_context"].clone()).unwrap();
    let plaintext: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
    let message = reference.encrypt(suite, &context, frame_length, &plaintext).await;
    json!({
        "name": format!("{}, {suite_name}", case["name"].as_str().unwrap()),
        "plaintext_length": length,
        "encryption_context": context,
        "message": BASE64_STANDARD.encode(message),
    })
}
