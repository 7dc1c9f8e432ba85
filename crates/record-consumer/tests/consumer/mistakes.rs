//! What a quarantined record's reason says about the likely mistake of its producer.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use esdk_message::{EncryptedDataKey, EncryptionKey};
use serde_json::Value;

use crate::fixture::{FakeTable, fixture};

/// Messages of format version 1, from the AWS Encryption SDK for Python, with their suites.
fn version_1() -> Vec<(u64, Vec<u8>)> {
    let vectors = include_str!("../../../esdk-message/tests/vectors/python-version-1.json");
    let vectors: Vec<Value> = serde_json::from_str(vectors).unwrap();
    let message = |vector: &Value| BASE64_STANDARD.decode(vector["message"].as_str().unwrap());
    vectors.iter().map(|v| (v["suite"].as_u64().unwrap(), message(v).unwrap())).collect()
}

/// A message with this encryption context, under a key that nobody has.
fn with_context(context: &[(&str, &str)]) -> Vec<u8> {
    let key = EncryptedDataKey { provider_id: "a", provider_info: b"b", ciphertext: b"c" };
    let key = EncryptionKey::new(&[1; 32], None, context.iter().copied(), &[key]).unwrap();
    key.encrypt(b"{}", 4096).unwrap()
}

#[tokio::test(start_paused = true)]
async fn reasons_name_the_likely_mistake() {
    let fixture = fixture(FakeTable::default()).with_quarantine();
    let good = fixture.message("records", r#"{"id":"a"}"#).await;
    let arn = "arn:aws:kinesis:eu-west-1:000000000000:stream";
    let of_arn = |name: &str| with_context(&[("stream", &format!("{arn}/{name}"))]);
    let refused = |text: &str| format!("the message was refused: {text}");
    let mut cases = vec![
        (br#"{"id":"a"}"#.to_vec(), refused("it is JSON that is not encrypted")),
        (b" [{\"id\":\"a\"}]".to_vec(), refused("it is JSON that is not encrypted")),
        (
            b"\x1f\x8b\x08\0\0\0\0\0".to_vec(),
            refused("it is compressed with gzip and not encrypted"),
        ),
        (
            b"\x28\xb5\x2f\xfd\x20\x02".to_vec(),
            refused("it is compressed with Zstandard and not encrypted"),
        ),
        (
            b"\xf3\x89\x9a\xc2\x0a\x01".to_vec(),
            refused(
                "it is an aggregate of the Kinesis Producer Library; set AggregationEnabled to false \
                 there",
            ),
        ),
        (
            BASE64_STANDARD.encode(&good).into_bytes(),
            refused("the message is encoded as base64; decode it first"),
        ),
        (b"text".to_vec(), refused("the data is not an AWS Encryption SDK message")),
        (Vec::new(), refused("it is empty")),
        (good[..good.len() - 1].to_vec(), refused("the message ends within")),
        ([&good, good.as_slice()].concat(), refused("the message ends at byte")),
        (
            with_context(&[("stream", "other")]),
            "the record was encrypted for stream other, not for stream records".to_owned(),
        ),
        (
            of_arn("records"),
            "the encryption context names the stream by its ARN; the producer must set \
             stream=records"
                .to_owned(),
        ),
        (
            of_arn("other"),
            "the record was encrypted for stream other, by its ARN, not for stream records"
                .to_owned(),
        ),
        (
            with_context(&[("stream", "the records")]),
            "the value of 'stream' in the encryption context is not a stream name; the producer \
             must set stream=records"
                .to_owned(),
        ),
        (
            with_context(&[]),
            "the encryption context has no pair 'stream'; the producer must set stream=records"
                .to_owned(),
        ),
        (
            with_context(&[("stream-name", "records")]),
            "the encryption context has no pair 'stream'; the producer must set stream=records"
                .to_owned(),
        ),
        (
            with_context(&[("stream", "records")]),
            "no configured key can decrypt the record".to_owned(),
        ),
        (
            fixture.message("records", "\u{1f}\u{8b}").await,
            "the plaintext is not valid JSON (line 1, column 1)".to_owned(),
        ),
    ];
    for (suite, message) in version_1() {
        let reason = format!(
            "the message has format version 1 (algorithm suite {suite:#06x}), which has no key \
             commitment"
        );
        cases.push((message, refused(&reason)));
    }
    assert!(cases.len() > 20);
    let (messages, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    assert!(fixture.handle(messages).await.is_empty());
    let documents = fixture.quarantined.documents();
    assert_eq!(documents.len(), expected.len());
    for document in documents {
        let number = document["record"]["kinesis"]["sequenceNumber"].as_str().unwrap();
        let expected = &expected[number.parse::<usize>().unwrap() - 1];
        let reason = document["reason"].as_str().unwrap();
        assert!(reason.starts_with(expected), "{reason}\nis not\n{expected}");
    }
}

/// A plaintext that begins like a Zstandard frame is one, and a bad one is a bad record.
#[tokio::test(start_paused = true)]
async fn reasons_name_what_is_wrong_with_a_compressed_plaintext() {
    let fixture = fixture(FakeTable::default()).with_quarantine();
    // Frames without content, by RFC 8878: magic number, descriptor, window or size, last block.
    let block = [1, 0, 0];
    let frame = |header: &[u8]| [b"\x28\xb5\x2f\xfd", header, &block].concat();
    let empty = frame(&[0x20, 0]);
    let cases = [
        (empty.clone(), "the plaintext is not valid JSON"),
        (frame(&[0, 0]), "the compressed plaintext does not declare its size"),
        (
            frame(&[0xe0, 0, 0, 0, 0, 0, 1, 0, 0]),
            "the compressed plaintext declares 1099511627776 bytes; MAX_DECOMPRESSED_BYTES allows \
             4194304",
        ),
        (frame(&[0, 0xff]), "the compressed plaintext needs a window of 4123168604160 bytes"),
        (frame(&[0x21, 7, 0]), "the compressed plaintext needs a dictionary"),
        ([&empty[..], &empty].concat(), "the compressed plaintext has several Zstandard frames"),
        ([&empty[..], b"{}"].concat(), "2 bytes follow the Zstandard frame"),
        (empty[..8].to_vec(), "the compressed plaintext is not a complete Zstandard frame"),
        (
            frame(&[0x20, 9]),
            "the compressed plaintext is damaged, or is not of the 9 bytes that it declares",
        ),
    ];
    let mut messages = Vec::new();
    for (plaintext, _) in &cases {
        messages.push(fixture.message_of_bytes("records", plaintext.clone()).await);
    }
    assert!(fixture.handle(messages).await.is_empty());
    let reasons = fixture.quarantined.reasons();
    assert_eq!(reasons.len(), cases.len());
    for (reason, (_, expected)) in reasons.iter().zip(cases) {
        assert!(reason.starts_with(expected), "{reason}");
    }
}
