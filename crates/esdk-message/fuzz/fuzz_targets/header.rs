//! Invariants of parsing a message:
//! - no input panics;
//! - a parsed header, written again field by field, equals the input.
#![no_main]

use esdk_message::{Limits, UnverifiedMessage};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = UnverifiedMessage::parse(bytes, Limits::default()) {
        let written = written(&message, &bytes[3..35]);
        assert_eq!(written, bytes[..written.len()]);
    }
});

/// Writes the header up to the encrypted data keys.
fn written(message: &UnverifiedMessage<&[u8]>, message_id: &[u8]) -> Vec<u8> {
    let mut pairs = Vec::new();
    if message.encryption_context().len() > 0 {
        pairs.extend(length(message.encryption_context().len()));
    }
    for (key, value) in message.encryption_context() {
        push(&mut pairs, key.as_bytes());
        push(&mut pairs, value.as_bytes());
    }
    let mut header = vec![2];
    header.extend(message.suite().id().to_be_bytes());
    header.extend(message_id);
    push(&mut header, &pairs);
    header.extend(length(message.encrypted_data_keys().len()));
    for key in message.encrypted_data_keys() {
        push(&mut header, key.provider_id.as_bytes());
        push(&mut header, key.provider_info);
        push(&mut header, key.ciphertext);
    }
    header
}

fn push(bytes: &mut Vec<u8>, field: &[u8]) {
    bytes.extend(length(field.len()));
    bytes.extend(field);
}

fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}
