//! Messages that other AWS Encryption SDKs made, in `vectors/` with the programs that made them.
//!
//! Their data keys are wrapped by the raw AES key `key 0` of the namespace `esdk-message`, 32 zero
//! bytes. Byte n of a plaintext is n modulo 251. The context lacks the public key that a signed
//! message adds to it.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

#[expect(dead_code, reason = "the differential tests use more of it")]
#[path = "differential/reference.rs"]
mod reference;

use std::collections::HashSet;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use esdk_message::{Error, Limits, PUBLIC_KEY_CONTEXT_KEY, Suite, UnverifiedMessage};
use serde_json::Value;

use reference::{Context, Reference};

const PYTHON: &str = include_str!("vectors/python.json");
const PYTHON_IVS: &str = include_str!("vectors/python-ivs.json");
const PYTHON_VERSION_1: &str = include_str!("vectors/python-version-1.json");
const JAVASCRIPT: &str = include_str!("vectors/javascript.json");
const AWS_ESDK: &str = include_str!("vectors/aws-esdk.json");

const UNFRAMED: u8 = 1;
const FRAMED: u8 = 2;

struct Vector {
    name: String,
    plaintext: Vec<u8>,
    encryption_context: Context,
    message: Vec<u8>,
}

fn vectors(file: &str) -> Vec<Vector> {
    let vectors: Vec<Value> = serde_json::from_str(file).unwrap();
    let vector = |mut vector: Value| Vector {
        name: vector["name"].as_str().unwrap().to_owned(),
        plaintext: (0..vector["plaintext_length"].as_u64().unwrap())
            .map(|n| (n % 251) as u8)
            .collect(),
        encryption_context: serde_json::from_value(vector["encryption_context"].take()).unwrap(),
        message: BASE64_STANDARD.decode(vector["message"].as_str().unwrap()).unwrap(),
    };
    vectors.into_iter().map(vector).collect()
}

async fn assert_decoded(file: &str) {
    let reference = Reference::new(1).await;
    for vector in vectors(file) {
        let decoded = reference.decrypt_natively(&vector.message).await;
        let (plaintext, mut context) = decoded.unwrap_or_else(|| panic!("{}", vector.name));
        context.remove(PUBLIC_KEY_CONTEXT_KEY);
        assert_eq!(plaintext, vector.plaintext, "{}", vector.name);
        assert_eq!(context, vector.encryption_context, "{}", vector.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_from_python_are_decoded() {
    assert_decoded(PYTHON).await;
}

/// IVs that are not the sequence numbers, which every other implementation reads.
#[tokio::test(flavor = "multi_thread")]
async fn messages_with_other_ivs_are_decoded() {
    assert_decoded(PYTHON_IVS).await;
}

#[test]
fn version_1_messages_of_every_suite_are_named() {
    let suites: HashSet<_> = vectors(PYTHON_VERSION_1)
        .into_iter()
        .map(|vector| {
            let error = UnverifiedMessage::parse(&vector.message, Limits::default()).unwrap_err();
            let Error::Version1 { suite: Some(suite) } = error else { panic!("{error:?}") };
            assert_eq!(suite.to_be_bytes(), vector.message[2..4], "{}", vector.name);
            let text = BASE64_STANDARD.encode(&vector.message);
            let error = UnverifiedMessage::parse(text.as_bytes(), Limits::default()).unwrap_err();
            assert_eq!(error, Error::Base64);
            suite
        })
        .collect();
    assert_eq!(suites.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_from_javascript_are_decoded() {
    assert_decoded(JAVASCRIPT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_from_aws_esdk_are_decoded() {
    assert_decoded(AWS_ESDK).await;
}

/// Returns the content type, which follows the encrypted data keys.
fn content_type(message: &[u8]) -> u8 {
    let u16_at = |at: usize| usize::from(u16::from_be_bytes([message[at], message[at + 1]]));
    // Version, suite and message id.
    let context = 1 + 2 + 32;
    let keys = context + 2 + u16_at(context);
    let end = (0..3 * u16_at(keys)).fold(keys + 2, |at, _| at + 2 + u16_at(at));
    message[end]
}

/// Returns the suites and content types of the messages.
fn kinds(file: &str) -> HashSet<(Suite, u8)> {
    let kind = |vector: Vector| {
        let message = UnverifiedMessage::parse(&vector.message, Limits::default()).unwrap();
        (message.suite(), content_type(&vector.message))
    };
    vectors(file).into_iter().map(kind).collect()
}

#[test]
fn every_file_has_both_suites_and_every_kind_of_body_that_its_sdk_writes() {
    let of = |content_type| [(Suite::Unsigned, content_type), (Suite::Signed, content_type)];
    assert_eq!(kinds(PYTHON), [of(FRAMED), of(UNFRAMED)].into_iter().flatten().collect());
    assert_eq!(kinds(JAVASCRIPT), of(FRAMED).into());
    assert_eq!(kinds(AWS_ESDK), of(FRAMED).into());
}
