//! Encrypting.

use std::fmt;

use aws_lc_rs::encoding::{AsBigEndian, EcPublicKeyCompressedBin};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::context::{
    EncryptedDataKey, PUBLIC_KEY_CONTEXT_KEY, check_keys, pairs, serialize, serialize_required,
};
use crate::crypto::{
    COMMITMENT_LEN, DataKey, FRAME_OVERHEAD, Kind, MESSAGE_ID_LEN, MessageId, MessageKey, PartId,
    TAG_LEN, derive,
};
use crate::error::Error;
use crate::reader::Reader;
use crate::suite::Suite;
use crate::{FINAL_FRAME_MARK, FRAMED, VERSION};

/// Longest ECDSA signature on P-384 in its ASN.1 form, in bytes.
const MAX_SIGNATURE_LEN: usize = 104;
/// Bytes of a final frame beside its content: a mark and the content's length on top.
const FINAL_FRAME_OVERHEAD: usize = FRAME_OVERHEAD + 4 + 4;

/// A data key prepared for encrypting any number of messages. Zeroized on drop.
///
/// Work that all messages share is done once: the encryption context and the encrypted data keys
/// are serialized, and the signing key is parsed.
pub struct EncryptionKey {
    suite: Suite,
    data_key: DataKey,
    /// The header's fields from the context to the encrypted data keys.
    context_and_keys: Vec<u8>,
    /// Pairs that are authenticated with the header, but not part of it.
    required_context: Vec<u8>,
    signing_key: Option<EcdsaKeyPair>,
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionKey").field("suite", &self.suite).finish_non_exhaustive()
    }
}

impl EncryptionKey {
    /// Prepares a data key of 32 bytes.
    ///
    /// A `signing_key`, the DER of a P-384 private key (SEC 1 or PKCS #8), selects the signed suite.
    /// The context must then hold its public key, base64 of the compressed point, under
    /// [`PUBLIC_KEY_CONTEXT_KEY`]. No other key may begin with `aws-crypto-`.
    ///
    /// # Errors
    /// [`Error::Key`], [`Error::InvalidContext`] or [`Error::Unencodable`] names what is wrong.
    pub fn new<'a>(
        data_key: &[u8],
        signing_key: Option<&[u8]>,
        encryption_context: impl IntoIterator<Item = (&'a str, &'a str)>,
        encrypted_data_keys: &[EncryptedDataKey<'_>],
    ) -> Result<Self, Error> {
        let context: Vec<_> = encryption_context.into_iter().collect();
        let suite = if signing_key.is_some() { Suite::Signed } else { Suite::Unsigned };
        check_keys(suite, context.iter().map(|(key, _)| *key)).map_err(Error::InvalidContext)?;
        let signing_key = signing_key.map(|der| parse_signing_key(der, &context)).transpose()?;
        Ok(Self {
            suite,
            data_key: DataKey::new(data_key)?,
            context_and_keys: serialize(context, encrypted_data_keys)?,
            required_context: Vec::new(),
            signing_key,
        })
    }

    /// Adds pairs that messages authenticate but do not store ("required encryption context keys").
    /// Readers must supply them: see
    /// [`decrypt_with_context`](crate::UnverifiedMessage::decrypt_with_context).
    ///
    /// # Errors
    /// [`Error::InvalidContext`] if a key is repeated, stored as well, or begins with `aws-crypto-`;
    /// [`Error::Unencodable`] if a key or value is longer than 65,535 bytes.
    pub fn with_required_context<'a>(
        mut self,
        required: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Error> {
        let stored = pairs(&mut Reader::new(&self.context_and_keys))?;
        let stored = stored.flatten().map(|(key, _)| key);
        self.required_context = serialize_required(required.into_iter().collect(), stored)?;
        Ok(self)
    }

    /// Returns the suite of the messages.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Encrypts `plaintext` in frames of `frame_length` bytes.
    ///
    /// # Errors
    /// [`Error::Unencodable`] if the frame length is zero or there would be more than 2^32 - 1
    /// frames; [`Error::Crypto`] if AWS-LC fails.
    pub fn encrypt(&self, plaintext: &[u8], frame_length: u32) -> Result<Vec<u8>, Error> {
        let mut message_id = [0; MESSAGE_ID_LEN];
        rand::fill(&mut message_id)?;
        self.encrypt_with_id(plaintext, frame_length, &message_id)
    }

    fn encrypt_with_id(
        &self,
        plaintext: &[u8],
        frame_length: u32,
        message_id: &MessageId,
    ) -> Result<Vec<u8>, Error> {
        let frames = Frames::divide(plaintext, frame_length)?;
        let (commitment, key) = derive(self.suite, &self.data_key, message_id)?;
        let mut message = Vec::with_capacity(self.header_len() + frames.len() + self.footer_len());
        self.write_header(&mut message, message_id, frame_length, &commitment);
        let header_len = message.len();
        message.extend(&self.required_context);
        let tag = key.authenticate(&message)?;
        message.truncate(header_len);
        message.extend(tag);
        frames.write(&mut message, &key, message_id)?;
        self.write_footer(&mut message)?;
        Ok(message)
    }

    fn header_len(&self) -> usize {
        1 + 2 + MESSAGE_ID_LEN + self.context_and_keys.len() + 1 + 4 + COMMITMENT_LEN + TAG_LEN
    }

    fn footer_len(&self) -> usize {
        self.signing_key.as_ref().map_or(0, |_| 2 + MAX_SIGNATURE_LEN)
    }

    /// Source: AWS Encryption SDK specification, `data-format/message-header.md`.
    fn write_header(
        &self,
        message: &mut Vec<u8>,
        message_id: &MessageId,
        frame_length: u32,
        commitment: &[u8; COMMITMENT_LEN],
    ) {
        message.push(VERSION);
        message.extend(self.suite.id().to_be_bytes());
        message.extend(message_id);
        message.extend(&self.context_and_keys);
        message.push(FRAMED);
        message.extend(frame_length.to_be_bytes());
        message.extend(commitment);
    }

    /// Source: AWS Encryption SDK specification, `data-format/message-footer.md`.
    ///
    /// Other implementations sign until the signature has 103 bytes, so that a message's length is
    /// known before it is signed. Readers take any length, and signing twice costs twice.
    fn write_footer(&self, message: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(signing_key) = &self.signing_key {
            let signature = signing_key.sign(&SystemRandom::new(), message)?;
            let length = u16::try_from(signature.as_ref().len()).map_err(|_| Error::Crypto)?;
            message.extend(length.to_be_bytes());
            message.extend(signature.as_ref());
        }
        Ok(())
    }
}

fn parse_signing_key(der: &[u8], context: &[(&str, &str)]) -> Result<EcdsaKeyPair, Error> {
    let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_ASN1_SIGNING, der)
        .map_err(|_| Error::Key("signing key"))?;
    let point: EcPublicKeyCompressedBin<'_> = key.public_key().as_be_bytes()?;
    let in_context = context.iter().find(|(name, _)| *name == PUBLIC_KEY_CONTEXT_KEY);
    match in_context {
        Some((_, value)) if *value == BASE64_STANDARD.encode(point.as_ref()) => Ok(key),
        _ => Err(Error::InvalidContext("aws-crypto-public-key is not the signing key's")),
    }
}

/// A plaintext divided into regular frames and a final one. A plaintext that fills its last frame
/// has no empty frame after it.
struct Frames<'a> {
    regular: std::slice::ChunksExact<'a, u8>,
    last: &'a [u8],
}

impl<'a> Frames<'a> {
    fn divide(plaintext: &'a [u8], frame_length: u32) -> Result<Self, Error> {
        let size = usize::try_from(frame_length).unwrap_or(usize::MAX);
        if size == 0 {
            return Err(Error::Unencodable("the frame length is zero"));
        }
        let in_regular = plaintext.len().saturating_sub(1) / size * size;
        let (regular, last) = plaintext.split_at(in_regular);
        let frames = Self { regular: regular.chunks_exact(size), last };
        match u32::try_from(frames.regular.len()) {
            Ok(regular) if regular < u32::MAX => Ok(frames),
            _ => Err(Error::Unencodable("it would have more than 4,294,967,295 frames")),
        }
    }

    /// Returns the length of the body in bytes.
    fn len(&self) -> usize {
        let regular: usize = self.regular.clone().map(|frame| frame.len() + FRAME_OVERHEAD).sum();
        regular + self.last.len() + FINAL_FRAME_OVERHEAD
    }

    /// Source: AWS Encryption SDK specification, `data-format/message-body.md`.
    fn write(
        self,
        message: &mut Vec<u8>,
        key: &MessageKey,
        message_id: &MessageId,
    ) -> Result<(), Error> {
        let mut part = PartId { message_id, kind: Kind::Frame, sequence_number: 0 };
        for frame in self.regular {
            part.sequence_number += 1;
            message.extend(part.sequence_number.to_be_bytes());
            message.extend(part.iv());
            write_content(message, key, &part, frame)?;
        }
        part = PartId { kind: Kind::FinalFrame, sequence_number: part.sequence_number + 1, ..part };
        message.extend(FINAL_FRAME_MARK.to_be_bytes());
        message.extend(part.sequence_number.to_be_bytes());
        message.extend(part.iv());
        let length = u32::try_from(self.last.len()).expect("a frame is as long as a u32 says");
        message.extend(length.to_be_bytes());
        write_content(message, key, &part, self.last)
    }
}

/// Writes encrypted content and its tag where they belong, without a copy of the plaintext.
fn write_content(
    message: &mut Vec<u8>,
    key: &MessageKey,
    part: &PartId<'_>,
    plaintext: &[u8],
) -> Result<(), Error> {
    let start = message.len();
    message.resize(start + plaintext.len() + TAG_LEN, 0);
    let (ciphertext, tag) = message[start..].split_at_mut(plaintext.len());
    Ok(key.encrypt(part, plaintext, ciphertext, tag)?)
}
