//! Damaged, forged and oversized input.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use esdk_message::{
    DecryptionKey, EncryptedDataKey, EncryptionKey, Error, InvalidSuite, Limits,
    PUBLIC_KEY_CONTEXT_KEY, Suite, UnverifiedMessage,
};
use proptest::prelude::*;

const KEY: EncryptedDataKey<'_> =
    EncryptedDataKey { provider_id: "provider", provider_info: b"info", ciphertext: b"wrapped" };

/// A header with arbitrary fields, in their order.
#[derive(Clone)]
struct Header {
    version: u8,
    suite: u16,
    context: Vec<u8>,
    keys: Vec<u8>,
    content_type: u8,
    frame_length: u32,
    body: Vec<u8>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            version: 2,
            suite: Suite::Unsigned.id(),
            context: pairs(&[("stream", "records")]),
            keys: keys(1),
            content_type: 2,
            frame_length: 4096,
            body: body(&[], 0),
        }
    }
}

/// Returns regular frames of one byte with these sequence numbers, and a final frame of `last` bytes.
fn body(regular: &[u32], last: u32) -> Vec<u8> {
    let mut body = Vec::new();
    for number in regular {
        body.extend(number.to_be_bytes());
        body.extend([0; 12 + 1 + 16]);
    }
    body.extend([0xFF; 4]);
    body.extend((regular.len() as u32 + 1).to_be_bytes());
    body.extend([0; 12]);
    body.extend(last.to_be_bytes());
    body.extend(vec![0; last as usize + 16]);
    body
}

impl Header {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.version];
        bytes.extend(self.suite.to_be_bytes());
        bytes.extend([0x1D; 32]);
        bytes.extend(&self.context);
        bytes.extend(&self.keys);
        bytes.push(self.content_type);
        bytes.extend(self.frame_length.to_be_bytes());
        bytes.extend([0xC0; 32 + 16]);
        bytes.extend(&self.body);
        bytes
    }

    fn error(&self) -> Error {
        UnverifiedMessage::parse(&self.bytes(), Limits::default()).unwrap_err()
    }

    fn reason(&self) -> &'static str {
        match self.error() {
            Error::Field { reason, .. } => reason,
            error => panic!("{error:?}"),
        }
    }
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = u16::try_from(pairs.len()).unwrap().to_be_bytes().to_vec();
    for (key, value) in pairs {
        bytes.extend([field(key.as_bytes()), field(value.as_bytes())].concat());
    }
    field(&bytes)
}

fn keys(count: u16) -> Vec<u8> {
    let key = [field(b"provider"), field(b"info"), field(b"wrapped")].concat();
    [count.to_be_bytes().to_vec(), key.repeat(count.into())].concat()
}

#[test]
fn a_header_tells_its_fields() {
    let bytes = Header { keys: keys(3), ..Header::default() }.bytes();
    let message = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
    assert_eq!(message.suite(), Suite::Unsigned);
    assert!(message.encryption_context().eq([("stream", "records")]));
    assert!(message.encrypted_data_keys().eq([KEY; 3]));
    assert_eq!(message.verification_key().unwrap(), None);
}

#[test]
fn suites_have_names() {
    for (suite, name) in [(Suite::Signed, "signed"), (Suite::Unsigned, "unsigned")] {
        assert_eq!(suite.to_string(), name);
        assert_eq!(name.parse(), Ok(suite));
    }
    for name in ["", "Signed", "signed ", "0x0478"] {
        assert_eq!(name.parse::<Suite>(), Err(InvalidSuite));
    }
    assert_eq!(Suite::default(), Suite::Signed);
}

/// The suites of format version 1.
const WITHOUT_COMMITMENT: [u16; 9] =
    [0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378];

fn parse_error(bytes: &[u8]) -> Error {
    UnverifiedMessage::parse(bytes, Limits::default()).unwrap_err()
}

#[test]
fn version_1_messages_are_named_with_their_suite() {
    for suite in WITHOUT_COMMITMENT {
        let bytes = [&[1, 0x80], suite.to_be_bytes().as_slice(), &[7; 100]].concat();
        let error = parse_error(&bytes);
        assert_eq!(error, Error::Version1 { suite: Some(suite) });
        assert!(error.to_string().contains(&format!("{suite:#06x}")), "{error}");
    }
    // The bytes behind the version may be content, so they are not shown.
    for rest in [b"".as_slice(), b"\x01", b"\x12\x34 content", b"\x04\x78 content"] {
        assert_eq!(parse_error(&[&[1, 0x80], rest].concat()), Error::Version1 { suite: None });
    }
}

#[test]
fn version_2_messages_with_other_suites_are_named() {
    for suite in WITHOUT_COMMITMENT {
        let error = Header { suite, ..Header::default() }.error();
        assert_eq!(error, Error::SuiteWithoutCommitment { suite });
    }
    for suite in [0, 1, 0x0478 - 1, 0x0579, 0x6700, 0x6701, 0x7804, u16::MAX] {
        assert_eq!(Header { suite, ..Header::default() }.error(), Error::UnknownSuite);
    }
}

#[test]
fn base64_is_named() {
    for text in [b"AYADeJ", b"AgR4AA", b"AgV4AA"] {
        assert_eq!(parse_error(text), Error::Base64);
    }
}

#[test]
fn data_that_is_not_a_message_is_not_quoted() {
    for data in [
        b"{\"id\":1}".as_slice(),
        b"[]",
        b"{",
        b"\x00",
        b"\x01",
        b"\x01\x81\x01\x78",
        b"\x03\x04\x78",
    ] {
        let error = parse_error(data);
        assert_eq!(error, Error::NotAMessage, "{data:?}");
        assert_eq!(error.to_string(), "the data is not an AWS Encryption SDK message");
    }
    let error = parse_error(b"\x02secret");
    assert!(
        !error.to_string().contains("7365") && !format!("{error:?}").contains("7365"),
        "{error}"
    );
    for cut in [b"".as_slice(), b"\x02", b"\x02\x04"] {
        assert!(matches!(parse_error(cut), Error::Truncated { .. }), "{cut:?}");
    }
}

#[test]
fn contexts_are_checked() {
    let with = |context| Header { context, ..Header::default() };
    assert_eq!(with(pairs(&[("a", "1"), ("b", "2"), ("a", "3")])).reason(), "a key is repeated");
    assert!(with(pairs(&[("aws-crypto-x", "1")])).reason().contains("reserved prefix"));
    assert!(with(pairs(&[(PUBLIC_KEY_CONTEXT_KEY, "1")])).reason().contains("reserved prefix"));
    assert_eq!(with(field(&[0, 0])).reason(), "it has a length but no pairs");
    let mut longer = pairs(&[("a", "1")]);
    longer[1] += 1;
    longer.push(0);
    assert_eq!(with(longer).reason(), "its length is not that of its pairs");
    let not_utf8 = [1_u16.to_be_bytes().to_vec(), field(b"\xff"), field(b"")].concat();
    assert_eq!(with(field(&not_utf8)).reason(), "it is not UTF-8");
    // A count that the bytes cannot hold.
    let error = with(field(&[0xFF, 0xFF, 0, 0])).error();
    assert!(matches!(error, Error::Truncated { what: "encryption context", .. }), "{error:?}");

    let unsorted = with(pairs(&[("b", "1"), ("a", "2")])).bytes();
    let message = UnverifiedMessage::parse(&unsorted, Limits::default()).unwrap();
    assert!(message.encryption_context().eq([("b", "1"), ("a", "2")]));
}

#[test]
fn a_signed_message_needs_its_public_key() {
    let body = [body(&[], 0), field(b"signature")].concat();
    let signed = Header { suite: Suite::Signed.id(), body, ..Header::default() };
    assert!(signed.reason().contains("needs aws-crypto-public-key"));
    let context = pairs(&[(PUBLIC_KEY_CONTEXT_KEY, "1")]);
    let bytes = Header { context: context.clone(), ..signed.clone() }.bytes();
    assert!(UnverifiedMessage::parse(&bytes, Limits::default()).is_ok());
    let footer = Error::Truncated { what: "signature", at: bytes.len() - b"signature".len() - 2 };
    assert_eq!(parse_error(&bytes[..bytes.len() - b"signature".len() - 2]), footer);
    let context = pairs(&[("aws-crypto-other", "1"), (PUBLIC_KEY_CONTEXT_KEY, "1")]);
    assert!(Header { context, ..signed }.reason().contains("reserved prefix"));
}

#[test]
fn lengths_and_types_of_the_content_are_checked() {
    let with =
        |content_type, frame_length| Header { content_type, frame_length, ..Header::default() };
    assert_eq!(with(0, 0).reason(), "it is neither 1 nor 2");
    assert_eq!(with(3, 4096).reason(), "it is neither 1 nor 2");
    assert_eq!(with(2, 0).reason(), "it is 0 in a framed message");
    assert_eq!(with(1, 1).reason(), "it is not 0 in a message without frames");
    assert_eq!(Header { keys: vec![0, 0], ..Header::default() }.reason(), "there are none");
    let body = [[0; 12].as_slice(), &((1_u64 << 36) - 31).to_be_bytes(), &[0; 16]].concat();
    let unframed = Header { content_type: 1, frame_length: 0, body, ..Header::default() };
    assert_eq!(unframed.reason(), "it is above 2^36 - 32");
}

#[test]
fn limits_are_exact() {
    let context = pairs(&[("a", "1"), ("b", "2")]);
    let bytes = Header {
        context: context.clone(),
        keys: keys(3),
        frame_length: 1,
        body: body(&[1, 2, 3, 4], 1),
        ..Header::default()
    }
    .bytes();
    let context_bytes = context.len() as u16 - 2;
    let enough = Limits::new()
        .max_encrypted_data_keys(3)
        .max_context_pairs(2)
        .max_context_bytes(context_bytes)
        .max_frames(5);
    assert!(UnverifiedMessage::parse(&bytes, enough).is_ok());
    for (limits, message) in [
        (enough.max_encrypted_data_keys(2), "the message has more than 2 encrypted data keys"),
        (
            enough.max_context_pairs(1),
            "the message has more than 1 pairs in the encryption context",
        ),
        (
            enough.max_context_bytes(context_bytes - 1),
            "the message has more than 13 bytes of encryption context",
        ),
        (enough.max_frames(4), "the message has more than 4 frames"),
    ] {
        let error = UnverifiedMessage::parse(&bytes, limits).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error:?}");
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn frames_are_counted_and_not_estimated() {
    for regular in 0..5_u32 {
        let numbers: Vec<_> = (1..=regular).collect();
        for last in [0, 1] {
            let body = body(&numbers, last);
            let bytes = Header { frame_length: 1, body, ..Header::default() }.bytes();
            let parse = |frames| {
                UnverifiedMessage::parse(&bytes, Limits::new().max_frames(frames)).map(drop)
            };
            assert_eq!(parse(regular + 1), Ok(()));
            assert_eq!(parse(regular), Err(Error::Limit { what: "frames", limit: regular }));
        }
    }
}

#[test]
fn frames_count_from_1_without_gaps() {
    let reason = "frames are not numbered from 1 without gaps";
    for numbers in [&[0][..], &[2], &[1, 1], &[1, 3], &[2, 1], &[1, 2, 2]] {
        let header = Header { frame_length: 1, body: body(numbers, 1), ..Header::default() };
        assert_eq!(header.reason(), reason, "{numbers:?}");
    }
    for number in [0, 2, u32::MAX] {
        let mut body = body(&[], 1);
        body[4..8].copy_from_slice(&u32::to_be_bytes(number));
        assert_eq!(Header { frame_length: 1, body, ..Header::default() }.reason(), reason);
    }
}

#[test]
fn truncated_bodies_fail_before_the_data_key_is_needed() {
    let header = Header { frame_length: 1, body: body(&[1, 2], 1), ..Header::default() };
    let bytes = header.bytes();
    let start = bytes.len() - header.body.len();
    for length in start..bytes.len() {
        let error = parse_error(&bytes[..length]);
        assert!(matches!(error, Error::Truncated { .. }), "{length}: {error:?}");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(parse_error(&longer), Error::Trailing { at: bytes.len() });
}

#[test]
fn errors_name_the_byte() {
    let bytes = Header::default().bytes();
    let parse = |bytes| UnverifiedMessage::parse(bytes, Limits::default()).unwrap_err().to_string();
    assert_eq!(parse(&bytes[..20]), "the message ends within the message id at byte 3");
    assert_eq!(parse(&bytes[..40]), "the message ends within the encryption context at byte 37");
    let mut content_type = bytes.clone();
    let at = bytes.len() - body(&[], 0).len() - 16 - 32 - 4 - 1;
    content_type[at] = 9;
    assert_eq!(
        parse(&content_type),
        format!("invalid content type at byte {at}: it is neither 1 nor 2")
    );
}

fn encryption_key() -> EncryptionKey {
    EncryptionKey::new(&[7; 32], None, [("stream", "records")], &[KEY]).unwrap()
}

#[test]
fn another_data_key_fails_the_commitment() {
    let bytes = encryption_key().encrypt(b"plaintext", 4).unwrap();
    let message = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
    let decrypt = |key: u8| message.decrypt(&DecryptionKey::new(&[key; 32], None).unwrap());
    assert_eq!(*decrypt(7).unwrap().plaintext, *b"plaintext");
    assert_eq!(decrypt(8).unwrap_err(), Error::Commitment);
}

#[test]
fn debug_shows_no_key_and_no_content() {
    let key = encryption_key();
    let bytes = key.encrypt(b"marker", 64).unwrap();
    let message = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
    let decryption_key = DecryptionKey::new(&[7; 32], None).unwrap();
    let decrypted = message.decrypt(&decryption_key).unwrap();
    assert_eq!(
        format!("{key:?} {decryption_key:?} {message:?} {decrypted:?}"),
        format!(
            "EncryptionKey {{ suite: Unsigned, .. }} DecryptionKey {{ suite: Unsigned, .. }} \
             UnverifiedMessage {{ suite: Unsigned, bytes: {}, .. }} Decrypted {{ bytes: 6, .. }}",
            bytes.len()
        )
    );
}

proptest! {
    /// Nothing panics, and only the original message is accepted.
    #[test]
    fn changed_messages_are_refused_without_a_panic(
        plaintext in prop::collection::vec(any::<u8>(), 0..100),
        frame_length in 1..40_u32,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        cut_or_not in any::<bool>(),
    ) {
        let original = encryption_key().encrypt(&plaintext, frame_length).unwrap();
        let mut bytes = original.clone();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut_or_not {
            bytes.truncate(cut.index(bytes.len()));
        }
        let key = DecryptionKey::new(&[7; 32], None).unwrap();
        let decrypted = UnverifiedMessage::parse(&bytes, Limits::default())
            .and_then(|message| message.decrypt(&key));
        match decrypted {
            Ok(decrypted) => {
                prop_assert_eq!(&bytes, &original);
                prop_assert_eq!(&*decrypted.plaintext, &*plaintext);
            }
            Err(_) => prop_assert_ne!(&bytes, &original),
        }
    }

    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = UnverifiedMessage::parse(&bytes, Limits::default());
    }
}
