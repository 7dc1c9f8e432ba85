//! Input that no encoder wrote.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use esdk_message::{
    DecryptionKey, EncryptedDataKey, EncryptionKey, Error, Limits, PUBLIC_KEY_CONTEXT_KEY, Suite,
    UnverifiedMessage,
};
use proptest::prelude::*;

const KEY: EncryptedDataKey<'_> =
    EncryptedDataKey { provider_id: "provider", provider_info: b"info", ciphertext: b"wrapped" };

/// A header of any content, in the order of its fields.
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
            body: Vec::new(),
        }
    }
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
fn a_header_says_what_it_holds() {
    let bytes = Header { keys: keys(3), ..Header::default() }.bytes();
    let message = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
    assert_eq!(message.suite(), Suite::Unsigned);
    assert_eq!(message.encryption_context(), [("stream", "records")]);
    assert_eq!(message.encrypted_data_keys(), [KEY; 3]);
}

#[test]
fn other_formats_are_named() {
    assert_eq!(Header { version: 1, ..Header::default() }.error(), Error::Version);
    assert_eq!(Header { suite: 0x0178, ..Header::default() }.error(), Error::Suite(0x0178));
    assert_eq!(Header { suite: 0, ..Header::default() }.error(), Error::Suite(0));
    for text in [b"AYADeJ", b"AgR4AA", b"AgV4AA"] {
        let error = UnverifiedMessage::parse(text, Limits::default()).unwrap_err();
        assert_eq!(error, Error::Base64);
    }
}

#[test]
fn what_is_no_message_is_not_quoted() {
    let error = UnverifiedMessage::parse(b"{\"id\":1}", Limits::default()).unwrap_err();
    assert_eq!(error, Error::Version);
    assert_eq!(error.to_string(), "the data is no AWS Encryption SDK message of format version 2");
}

#[test]
fn contexts_are_checked() {
    let with = |context| Header { context, ..Header::default() };
    assert_eq!(with(pairs(&[("a", "1"), ("b", "2"), ("a", "3")])).reason(), "a key is repeated");
    assert!(with(pairs(&[("aws-crypto-x", "1")])).reason().contains("reserved prefix"));
    assert!(with(pairs(&[(PUBLIC_KEY_CONTEXT_KEY, "1")])).reason().contains("reserved prefix"));
    assert_eq!(with(field(&[0, 0])).reason(), "it says that it is empty in two ways");
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
    assert_eq!(message.encryption_context(), [("b", "1"), ("a", "2")]);
}

#[test]
fn a_signed_message_needs_its_public_key() {
    let signed = Header { suite: Suite::Signed.id(), ..Header::default() };
    assert!(signed.reason().contains("needs aws-crypto-public-key"));
    let context = pairs(&[(PUBLIC_KEY_CONTEXT_KEY, "1")]);
    let bytes = Header { context: context.clone(), ..signed.clone() }.bytes();
    assert!(UnverifiedMessage::parse(&bytes, Limits::default()).is_ok());
    let context = pairs(&[("aws-crypto-other", "1"), (PUBLIC_KEY_CONTEXT_KEY, "1")]);
    assert!(Header { context, ..signed }.reason().contains("reserved prefix"));
}

#[test]
fn lengths_and_types_of_the_content_are_checked() {
    let with =
        |content_type, frame_length| Header { content_type, frame_length, ..Header::default() };
    assert_eq!(with(0, 0).reason(), "it is neither 1 nor 2");
    assert_eq!(with(3, 4096).reason(), "it is neither 1 nor 2");
    assert_eq!(with(2, 0).reason(), "a framed message needs one");
    assert_eq!(with(1, 1).reason(), "a message without frames has none");
    assert_eq!(Header { keys: vec![0, 0], ..Header::default() }.reason(), "there is none");
}

#[test]
fn limits_are_kept() {
    let header = Header {
        context: pairs(&[("a", "1"), ("b", "2")]),
        keys: keys(3),
        frame_length: 1,
        body: vec![0; 33 * 5],
        ..Header::default()
    };
    let bytes = header.bytes();
    let enough = Limits { encrypted_data_keys: 3, context_pairs: 2, frames: 6 };
    assert!(UnverifiedMessage::parse(&bytes, enough).is_ok());
    for limits in [
        Limits { encrypted_data_keys: 2, ..enough },
        Limits { context_pairs: 1, ..enough },
        Limits { frames: 5, ..enough },
    ] {
        let error = UnverifiedMessage::parse(&bytes, limits).unwrap_err();
        assert!(error.to_string().contains("than the limit allows"), "{error}");
    }
}

#[test]
fn errors_name_the_byte() {
    let bytes = Header::default().bytes();
    let parse = |bytes| UnverifiedMessage::parse(bytes, Limits::default()).unwrap_err().to_string();
    assert_eq!(parse(&bytes[..20]), "the message ends within the message id at byte 3");
    assert_eq!(parse(&bytes[..40]), "the message ends within the encryption context at byte 37");
    let mut content_type = bytes.clone();
    let at = bytes.len() - 16 - 32 - 4 - 1;
    content_type[at] = 9;
    assert_eq!(
        parse(&content_type),
        format!("the content type at byte {at} is not allowed: it is neither 1 nor 2")
    );
}

fn encryption_key() -> EncryptionKey {
    EncryptionKey::new(&[7; 32], None, [("stream", "records")], &[KEY]).unwrap()
}

#[test]
fn another_data_key_does_not_keep_the_commitment() {
    let bytes = encryption_key().encrypt(b"plaintext", 4).unwrap();
    let message = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
    let decrypt = |key: u8| message.decrypt(&DecryptionKey::new(&[key; 32], None).unwrap());
    assert_eq!(*decrypt(7).unwrap().plaintext, *b"plaintext");
    assert_eq!(decrypt(8).unwrap_err(), Error::Commitment);
}

#[test]
fn what_cannot_be_encoded_is_refused() {
    let new =
        |data_key: &[u8], signing_key: Option<&[u8]>, context: &[(&str, &str)], keys: &[_]| {
            EncryptionKey::new(data_key, signing_key, context.iter().copied(), keys).unwrap_err()
        };
    assert_eq!(new(&[7; 31], None, &[], &[KEY]), Error::Key("data key"));
    let unencodable = |error| matches!(error, Error::Unencodable(_));
    assert!(unencodable(new(&[7; 32], None, &[], &[])));
    assert!(unencodable(new(&[7; 32], None, &[("a", "1"), ("a", "2")], &[KEY])));
    assert!(unencodable(new(&[7; 32], None, &[("aws-crypto-a", "1")], &[KEY])));
    assert!(unencodable(new(&[7; 32], None, &[("a", &"x".repeat(1 << 16))], &[KEY])));
    assert!(unencodable(new(&[7; 32], Some(&[1]), &[], &[KEY])));
    let context = [(PUBLIC_KEY_CONTEXT_KEY, "not the signing key's")];
    assert_eq!(new(&[7; 32], Some(&[1]), &context, &[KEY]), Error::Key("signing key"));
    assert!(unencodable(encryption_key().encrypt(b"plaintext", 0).unwrap_err()));
    assert!(DecryptionKey::new(&[7; 32], Some(&[2; 49])).is_err());
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
    /// Nothing panics, and what is accepted is what was encrypted.
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
