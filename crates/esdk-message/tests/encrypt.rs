//! Messages as this crate writes them, and input that it does not encrypt.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::collections::HashSet;

use esdk_message::{DecryptionKey, EncryptedDataKey, EncryptionKey, Error, PUBLIC_KEY_CONTEXT_KEY};

const KEY: EncryptedDataKey<'_> =
    EncryptedDataKey { provider_id: "p", provider_info: b"i", ciphertext: b"c" };

/// Length of a header with an empty context and [`KEY`], its tag included, in bytes.
const HEADER_LEN: usize = 1 + 2 + 32 + 2 + 2 + 3 * (2 + 1) + 1 + 4 + 32 + 16;

fn encryption_key() -> EncryptionKey {
    EncryptionKey::new(&[7; 32], None, [], &[KEY]).unwrap()
}

#[test]
fn every_message_has_its_own_id() {
    let ids: HashSet<_> = (0..100)
        .map(|_| encryption_key().encrypt(b"plaintext", 4).unwrap()[3..35].to_vec())
        .collect();
    assert_eq!(ids.len(), 100);
}

/// Number and IV of each frame, with the length of the final frame's content.
fn frames(message: &[u8], frame_length: usize) -> (Vec<(u32, [u8; 12])>, usize) {
    let u32_at = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
    let iv_at = |at: usize| message[at..at + 12].try_into().unwrap();
    let mut at = HEADER_LEN;
    let mut frames = Vec::new();
    while u32_at(at) != u32::MAX {
        frames.push((u32_at(at), iv_at(at + 4)));
        at += 4 + 12 + frame_length + 16;
    }
    frames.push((u32_at(at + 4), iv_at(at + 8)));
    let length = u32_at(at + 20) as usize;
    assert_eq!(message.len(), at + 24 + length + 16);
    (frames, length)
}

#[test]
fn ivs_are_sequence_numbers() {
    let message = encryption_key().encrypt(&[7; 9], 4).unwrap();
    let iv = |number| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, number];
    assert_eq!(frames(&message, 4), (vec![(1, iv(1)), (2, iv(2)), (3, iv(3))], 1));
}

#[test]
fn final_frames_are_full_where_they_can_be() {
    for (length, count, last) in
        [(0, 1, 0), (1, 1, 1), (3, 1, 3), (4, 1, 4), (5, 2, 1), (8, 2, 4), (12, 3, 4)]
    {
        let message = encryption_key().encrypt(&vec![7; length], 4).unwrap();
        let (frames, last_length) = frames(&message, 4);
        assert_eq!((frames.len(), last_length), (count, last), "{length} bytes");
    }
}

#[test]
fn invalid_input_is_not_encoded() {
    let new =
        |data_key: &[u8], signing_key: Option<&[u8]>, context: &[(&str, &str)], keys: &[_]| {
            EncryptionKey::new(data_key, signing_key, context.iter().copied(), keys).unwrap_err()
        };
    assert_eq!(new(&[7; 31], None, &[], &[KEY]), Error::Key("data key"));
    let unencodable = |error| matches!(error, Error::Unencodable(_));
    let bad_context = |error| matches!(error, Error::InvalidContext(_));
    assert!(unencodable(new(&[7; 32], None, &[], &[])));
    assert!(bad_context(new(&[7; 32], None, &[("a", "1"), ("a", "2")], &[KEY])));
    assert!(bad_context(new(&[7; 32], None, &[("aws-crypto-a", "1")], &[KEY])));
    assert!(unencodable(new(&[7; 32], None, &[("a", &"x".repeat(1 << 16))], &[KEY])));
    assert!(bad_context(new(&[7; 32], Some(&[1]), &[], &[KEY])));
    let context = [(PUBLIC_KEY_CONTEXT_KEY, "not the signing key's")];
    assert_eq!(new(&[7; 32], Some(&[1]), &context, &[KEY]), Error::Key("signing key"));
    assert!(unencodable(encryption_key().encrypt(b"plaintext", 0).unwrap_err()));
    assert!(DecryptionKey::new(&[7; 32], Some(&[2; 49])).is_err());
}
