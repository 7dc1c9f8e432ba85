//! Keys of one message, and what its parts are authenticated with.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA512, KeyType, Salt};
use zeroize::Zeroizing;

use crate::suite::Suite;

pub(crate) const MESSAGE_ID_LEN: usize = 32;
pub(crate) const COMMITMENT_LEN: usize = 32;
pub(crate) const TAG_LEN: usize = 16;
pub(crate) const IV_LEN: usize = NONCE_LEN;
/// What a regular frame has beside its content: sequence number, IV and tag.
pub(crate) const FRAME_OVERHEAD: usize = 4 + IV_LEN + TAG_LEN;

/// A data key as its provider makes it.
pub(crate) type DataKey = Zeroizing<[u8; 32]>;
pub(crate) type MessageId = [u8; MESSAGE_ID_LEN];

/// Derives the commitment and the encryption key of a message.
///
/// Source: AWS Encryption SDK specification, `framework/transitive-requirements.md`.
pub(crate) fn derive(
    suite: Suite,
    data_key: &DataKey,
    message_id: &MessageId,
) -> Result<([u8; COMMITMENT_LEN], MessageKey), Unspecified> {
    let secret = Salt::new(HKDF_SHA512, message_id).extract(data_key.as_slice());
    let mut commitment = [0; COMMITMENT_LEN];
    secret.expand(&[b"COMMITKEY"], CommitmentLength)?.fill(&mut commitment)?;
    let suite_id = suite.id().to_be_bytes();
    let info = [suite_id.as_slice(), b"DERIVEKEY"];
    let key = UnboundKey::from(secret.expand(&info, &AES_256_GCM)?);
    Ok((commitment, MessageKey(LessSafeKey::new(key))))
}

struct CommitmentLength;

impl KeyType for CommitmentLength {
    fn len(&self) -> usize {
        COMMITMENT_LEN
    }
}

/// The key of one message. The IVs of its parts are fixed: 0 for the header, the sequence number
/// for a frame. So a message key must never encrypt twice.
pub(crate) struct MessageKey(LessSafeKey);

impl MessageKey {
    /// The tag over a header.
    pub(crate) fn authenticate(&self, header: &[u8]) -> Result<[u8; TAG_LEN], Unspecified> {
        let mut tag = [0; TAG_LEN];
        self.0.seal_out_of_place_scatter(
            nonce(0),
            Aad::from(header),
            &[],
            &mut [],
            &[],
            &mut tag,
        )?;
        Ok(tag)
    }

    pub(crate) fn verify(&self, header: &[u8], tag: &[u8]) -> Result<(), Unspecified> {
        self.0.open_separate_gather(nonce(0), Aad::from(header), &[], tag, &mut [])
    }

    /// Encrypts `plaintext` into `ciphertext` of the same length.
    pub(crate) fn seal(
        &self,
        part: &Part<'_>,
        plaintext: &[u8],
        ciphertext: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), Unspecified> {
        let aad = Aad::from(part.aad(plaintext.len()));
        self.0.seal_out_of_place_scatter(part.nonce(), aad, plaintext, ciphertext, &[], tag)
    }

    /// Decrypts `ciphertext` into `plaintext` of the same length.
    pub(crate) fn open(
        &self,
        part: &Part<'_>,
        ciphertext: &[u8],
        tag: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), Unspecified> {
        let aad = Aad::from(part.aad(ciphertext.len()));
        self.0.open_separate_gather(part.nonce(), aad, ciphertext, tag, plaintext)
    }
}

/// A part of a body, and its place there.
pub(crate) struct Part<'a> {
    pub(crate) message_id: &'a MessageId,
    pub(crate) kind: Kind,
    pub(crate) sequence_number: u32,
}

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Frame,
    FinalFrame,
    SingleBlock,
}

impl Kind {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Frame => b"AWSKMSEncryptionClient Frame",
            Self::FinalFrame => b"AWSKMSEncryptionClient Final Frame",
            Self::SingleBlock => b"AWSKMSEncryptionClient Single Block",
        }
    }
}

const MAX_AAD_LEN: usize = MESSAGE_ID_LEN + Kind::SingleBlock.name().len() + 4 + 8;

impl Part<'_> {
    /// Source: AWS Encryption SDK specification, `data-format/message-body-aad.md`.
    fn aad(&self, content_length: usize) -> PartAad {
        let mut aad = PartAad { bytes: [0; MAX_AAD_LEN], len: 0 };
        aad.push(self.message_id);
        aad.push(self.kind.name());
        aad.push(&self.sequence_number.to_be_bytes());
        aad.push(&(content_length as u64).to_be_bytes());
        aad
    }

    pub(crate) fn iv(&self) -> [u8; IV_LEN] {
        iv(self.sequence_number)
    }

    fn nonce(&self) -> Nonce {
        nonce(self.sequence_number)
    }
}

/// A part's additional authenticated data, without an allocation.
struct PartAad {
    bytes: [u8; MAX_AAD_LEN],
    len: usize,
}

impl PartAad {
    fn push(&mut self, field: &[u8]) {
        self.bytes[self.len..self.len + field.len()].copy_from_slice(field);
        self.len += field.len();
    }
}

impl AsRef<[u8]> for PartAad {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn iv(sequence_number: u32) -> [u8; IV_LEN] {
    let mut iv = [0; IV_LEN];
    iv[IV_LEN - 4..].copy_from_slice(&sequence_number.to_be_bytes());
    iv
}

fn nonce(sequence_number: u32) -> Nonce {
    Nonce::assume_unique_for_key(iv(sequence_number))
}
