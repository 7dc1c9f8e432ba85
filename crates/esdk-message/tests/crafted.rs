//! Messages with valid tags that this crate does not write, and must read.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod craft;

use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyCompressedBin};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use esdk_message::{
    Decrypted, DecryptionKey, EncryptedDataKey, EncryptionKey, Error, Limits,
    PUBLIC_KEY_CONTEXT_KEY, Suite, UnverifiedMessage,
};
use proptest::prelude::*;

use craft::{Materials, Message, Part};

const DATA_KEY: [u8; 32] = [7; 32];
const SUITES: [Suite; 2] = [Suite::Unsigned, Suite::Signed];
const PLAINTEXT: &[u8] = b"a plaintext";

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn materials(suite: Suite) -> Materials {
    let mut materials = Materials {
        suite,
        data_key: DATA_KEY.to_vec(),
        signing_key: None,
        stored: owned(&[("stream", "records")]),
        required: Vec::new(),
        encrypted_data_keys: vec![[b"provider".into(), b"info".into(), b"wrapped".into()]],
    };
    if suite == Suite::Signed {
        let key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let point: EcPublicKeyCompressedBin<'_> = key.public_key().as_be_bytes().unwrap();
        let value = BASE64_STANDARD.encode(point.as_ref());
        materials.stored.insert(0, (PUBLIC_KEY_CONTEXT_KEY.to_owned(), value));
        materials.signing_key = Some(key.to_pkcs8v1().unwrap().as_ref().to_vec());
    }
    materials
}

fn decrypt_with_context(message: &[u8], context: &[(&str, &str)]) -> Result<Decrypted, Error> {
    let message = UnverifiedMessage::parse(message, Limits::default())?;
    let key = DecryptionKey::new(&DATA_KEY, message.verification_key()?.as_deref())?;
    message.decrypt_with_context(&key, context.iter().copied())
}

fn decrypt(message: &Message) -> Result<Decrypted, Error> {
    decrypt_with_context(&message.bytes(), &[])
}

/// Returns a message in frames of four bytes, and one without frames, with an IV for each part.
fn messages(materials: &Materials, ivs: [[u8; 12]; 3]) -> [Message; 2] {
    let frames = [
        Part::regular(1, b"a pl").with_iv(ivs[0]),
        Part::regular(2, b"aint").with_iv(ivs[1]),
        Part::last(3, b"ext").with_iv(ivs[2]),
    ];
    let block = Part::last(1, PLAINTEXT).with_iv(ivs[0]);
    [Message::framed(materials, 4, &frames), Message::unframed(materials, block)]
}

proptest! {
    #[test]
    fn any_iv_is_read_from_the_message(ivs: [[u8; 12]; 3], is_signed: bool) {
        let materials = materials(SUITES[usize::from(is_signed)]);
        for message in messages(&materials, ivs) {
            prop_assert_eq!(&*decrypt(&message).unwrap().plaintext, PLAINTEXT);
        }
    }
}

#[test]
fn the_iv_is_authenticated() {
    let [framed, unframed] = messages(&materials(Suite::Unsigned), [[9; 12]; 3]);
    for message in [framed, unframed] {
        let mut bytes = message.bytes();
        let at = bytes.windows(12).position(|window| window == [9; 12]).unwrap();
        bytes[at] ^= 1;
        let error = decrypt_with_context(&bytes, &[]).unwrap_err();
        assert!(matches!(error, Error::BodyTag { .. }), "{error:?}");
    }
}

/// Damages commitment, header, body and signature, and repairs them one after the other.
#[test]
fn the_first_failing_step_is_reported() {
    let [message, _] = messages(&materials(Suite::Signed), [[9; 12]; 3]);
    let mut bytes = message.bytes();
    let find = |what: &[u8]| bytes.windows(what.len()).position(|window| window == what).unwrap();
    let (header, body, signature) = (find(b"records"), find(&[9; 12]), bytes.len() - 1);
    let tag = body - 4 - 16;
    for at in [tag - 1, header, body, signature] {
        bytes[at] ^= 1;
    }
    let mut repair = |at: usize| {
        let error = decrypt_with_context(&bytes, &[]).map(drop);
        bytes[at] ^= 1;
        error
    };
    assert_eq!(repair(tag - 1), Err(Error::Commitment));
    assert_eq!(repair(header), Err(Error::HeaderTag));
    assert_eq!(repair(body), Err(Error::BodyTag { at: body - 4 }));
    assert_eq!(repair(signature), Err(Error::Signature));
    assert_eq!(repair(signature), Ok(()));
}

#[test]
fn a_suite_decides_on_the_signature() {
    let [unsigned, _] = messages(&materials(Suite::Unsigned), [[9; 12]; 3]);
    let [signed, _] = messages(&materials(Suite::Signed), [[9; 12]; 3]);
    let (unsigned, signed) = (unsigned.bytes(), signed.bytes());
    let signed = UnverifiedMessage::parse(signed, Limits::default()).unwrap();
    let unsigned = UnverifiedMessage::parse(unsigned, Limits::default()).unwrap();
    let point = signed.verification_key().unwrap().unwrap();
    let with_point = DecryptionKey::new(&DATA_KEY, Some(&point)).unwrap();
    let without = DecryptionKey::new(&DATA_KEY, None).unwrap();
    assert_eq!(*signed.decrypt(&with_point).unwrap().plaintext, *PLAINTEXT);
    assert_eq!(*unsigned.decrypt(&without).unwrap().plaintext, *PLAINTEXT);
    assert_eq!(signed.decrypt(&without).unwrap_err(), Error::SuiteMismatch);
    assert_eq!(unsigned.decrypt(&with_point).unwrap_err(), Error::SuiteMismatch);
}

/// A header can leave out pairs that readers must supply.
#[test]
fn required_context_is_authenticated_and_returned() {
    for suite in SUITES {
        let mut materials = materials(suite);
        materials.required = owned(&[("a", "1"), ("tenant", "two")]);
        let stored = materials.stored.clone();
        for message in messages(&materials, [craft::iv(1), craft::iv(2), craft::iv(3)]) {
            let decrypt = |context: &[_]| decrypt_with_context(&message.bytes(), context);
            let decrypted = decrypt(&[("tenant", "two"), ("a", "1")]).unwrap();
            assert_eq!(*decrypted.plaintext, *PLAINTEXT);
            let returned = [stored.clone(), owned(&[("tenant", "two"), ("a", "1")])].concat();
            assert_eq!(decrypted.encryption_context, returned);
            // Stored pairs may be reproduced, too.
            let all = [("tenant", "two"), ("stream", "records"), ("a", "1")];
            assert_eq!(*decrypt(&all).unwrap().plaintext, *PLAINTEXT);

            for wrong in [
                &[][..],
                &[("tenant", "two")],
                &[("a", "1"), ("tenant", "three")],
                &[("a", "1"), ("tenant", "two"), ("b", "")],
            ] {
                assert_eq!(decrypt(wrong).unwrap_err(), Error::HeaderTag, "{wrong:?}");
            }
            let differs = [("stream", "others"), ("a", "1"), ("tenant", "two")];
            assert_eq!(decrypt(&differs).unwrap_err(), Error::ContextMismatch);
            let invalid = |context: &[_]| {
                assert!(matches!(decrypt(context), Err(Error::InvalidContext(_))), "{context:?}");
            };
            invalid(&[("a", "1"), ("a", "1")]);
            invalid(&[("aws-crypto-a", "1")]);
        }
    }
}

#[test]
fn required_context_is_written_as_it_is_read() {
    let key = EncryptedDataKey { provider_id: "p", provider_info: b"i", ciphertext: b"c" };
    let key = |required: &[(&'static str, &'static str)]| {
        EncryptionKey::new(&DATA_KEY, None, [("stream", "records")], &[key])
            .unwrap()
            .with_required_context(required.iter().copied())
    };
    let message = key(&[("tenant", "two"), ("a", "1")]).unwrap().encrypt(PLAINTEXT, 4).unwrap();
    let parsed = UnverifiedMessage::parse(&message, Limits::default()).unwrap();
    assert!(parsed.encryption_context().eq([("stream", "records")]));
    let decrypted = decrypt_with_context(&message, &[("a", "1"), ("tenant", "two")]).unwrap();
    assert_eq!(*decrypted.plaintext, *PLAINTEXT);
    assert_eq!(decrypt_with_context(&message, &[]).unwrap_err(), Error::HeaderTag);
    for invalid in [
        &[("stream", "records")][..],
        &[("stream", "others")],
        &[("a", "1"), ("a", "2")],
        &[("aws-crypto-a", "1")],
    ] {
        assert!(matches!(key(invalid), Err(Error::InvalidContext(_))), "{invalid:?}");
    }
}

#[test]
fn the_verification_key_is_that_of_the_context() {
    let materials = materials(Suite::Signed);
    let [message, _] = messages(&materials, [[1; 12]; 3]);
    let bytes = message.bytes();
    let parsed = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
    let key = parsed.verification_key().unwrap().unwrap();
    assert_eq!(BASE64_STANDARD.encode(key), materials.stored[0].1);

    let mut invalid = materials;
    "not base64!".clone_into(&mut invalid.stored[0].1);
    let [message, _] = messages(&invalid, [[1; 12]; 3]);
    let bytes = message.bytes();
    let parsed = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
    assert_eq!(parsed.verification_key(), Err(Error::Key("verification key")));
}

/// One parse serves a check on one thread and decryption on another.
#[test]
fn a_parsed_message_owns_its_bytes() {
    let [message, _] = messages(&materials(Suite::Unsigned), [[1; 12]; 3]);
    let bytes = message.bytes();
    let parsed = UnverifiedMessage::parse(bytes.clone(), Limits::default()).unwrap();
    assert_eq!(parsed.bytes(), bytes);
    let decrypted = std::thread::spawn(move || {
        let plaintext = parsed.decrypt(&DecryptionKey::new(&DATA_KEY, None)?)?.plaintext;
        Ok::<_, Error>((plaintext, parsed.into_bytes()))
    });
    let (plaintext, returned) = decrypted.join().unwrap().unwrap();
    assert_eq!((&*plaintext, returned), (PLAINTEXT, bytes));
}
