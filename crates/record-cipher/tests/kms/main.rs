//! Data keys from AWS KMS: what is asked, what is accepted, and what failures mean.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod decrypt;
mod encrypt;
mod scripted;
mod secrets;
mod verdicts;

use esdk_message::{EncryptedDataKey, EncryptionKey};
use record_cipher::StreamName;

const PLAINTEXT: &[u8] = br#"{"id":"1"}"#;
const DATA_KEY: [u8; 32] = [0xA5; 32];
const FRAME_LENGTH: u32 = 4096;

fn stream() -> StreamName {
    "records".parse().unwrap()
}

/// The ARN of a key of this account.
fn key_arn(region: &str, id: &str) -> String {
    format!("arn:aws:kms:{region}:000000000000:key/{id}")
}

/// A message under [`DATA_KEY`], with encrypted data keys of KMS that claim these keys.
fn message(wrapped: &[(&str, &[u8])]) -> Vec<u8> {
    let keys: Vec<_> = wrapped
        .iter()
        .map(|(arn, ciphertext)| EncryptedDataKey {
            provider_id: "aws-kms",
            provider_info: arn.as_bytes(),
            ciphertext,
        })
        .collect();
    message_with(&keys, [("stream", "records")])
}

fn message_with<'a>(
    keys: &[EncryptedDataKey<'_>],
    context: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<u8> {
    let key = EncryptionKey::new(&DATA_KEY, None, context, keys).unwrap();
    key.encrypt(PLAINTEXT, FRAME_LENGTH).unwrap()
}
