//! The keys of one message, and the additional authenticated data of its parts.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::kdf;
use crate::suite::Suite;

pub(crate) const MESSAGE_ID_LEN: usize = 32;
pub(crate) const COMMITMENT_LEN: usize = 32;
pub(crate) const TAG_LEN: usize = 16;
pub(crate) const IV_LEN: usize = NONCE_LEN;
/// Bytes of a regular frame beside its content: sequence number, IV and tag.
pub(crate) const FRAME_OVERHEAD: usize = 4 + IV_LEN + TAG_LEN;

const KEY_LEN: usize = 32;

pub(crate) type MessageId = [u8; MESSAGE_ID_LEN];

/// A data key as its provider makes it. It is on the heap, so that moving it leaves no copy behind.
pub(crate) struct DataKey(Box<Zeroizing<[u8; KEY_LEN]>>);

impl DataKey {
    pub(crate) fn new(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() != KEY_LEN {
            return Err(Error::Key("data key"));
        }
        let mut key = Box::new(Zeroizing::new([0; KEY_LEN]));
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }
}

/// Derives the commitment and the encryption key of a message.
///
/// Source: AWS Encryption SDK specification, `framework/transitive-requirements.md`.
pub(crate) fn derive(
    suite: Suite,
    data_key: &DataKey,
    message_id: &MessageId,
) -> Result<([u8; COMMITMENT_LEN], MessageKey), Unspecified> {
    let mut commitment = [0; COMMITMENT_LEN];
    let mut key = Zeroizing::new([0; KEY_LEN]);
    let [high, low] = suite.id().to_be_bytes();
    let label = [high, low, b'D', b'E', b'R', b'I', b'V', b'E', b'K', b'E', b'Y'];
    let outputs: [kdf::Output<'_>; 2] = [(b"COMMITKEY", &mut commitment), (&label, &mut key)];
    kdf::derive(data_key.0.as_slice(), message_id, outputs)?;
    Ok((commitment, MessageKey(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice())?))))
}

/// The key of one message. The IVs that it encrypts with are fixed, 0 for the header and the
/// sequence number for a frame, so that it must never encrypt a second message.
pub(crate) struct MessageKey(LessSafeKey);

impl MessageKey {
    /// Calculates the tag of a header.
    pub(crate) fn authenticate(&self, header: &[u8]) -> Result<[u8; TAG_LEN], Unspecified> {
        let mut tag = [0; TAG_LEN];
        self.0.seal_out_of_place_scatter(
            header_nonce(),
            Aad::from(header),
            &[],
            &mut [],
            &[],
            &mut tag,
        )?;
        Ok(tag)
    }

    pub(crate) fn verify(&self, header: &[u8], tag: &[u8]) -> Result<(), Unspecified> {
        self.0.open_separate_gather(header_nonce(), Aad::from(header), &[], tag, &mut [])
    }

    /// Encrypts `plaintext` into `ciphertext` of the same length.
    pub(crate) fn encrypt(
        &self,
        part: &PartId<'_>,
        plaintext: &[u8],
        ciphertext: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), Unspecified> {
        let aad = Aad::from(part.aad(plaintext.len()));
        let nonce = Nonce::assume_unique_for_key(part.iv());
        self.0.seal_out_of_place_scatter(nonce, aad, plaintext, ciphertext, &[], tag)
    }

    /// Decrypts `ciphertext` into `plaintext` of the same length, with the IV of the message. Writers
    /// use the sequence number; the specification asks for no more than a unique IV.
    pub(crate) fn decrypt(
        &self,
        part: &PartId<'_>,
        iv: [u8; IV_LEN],
        ciphertext: &[u8],
        tag: &[u8],
        plaintext: &mut [u8],
    ) -> Result<(), Unspecified> {
        let aad = Aad::from(part.aad(ciphertext.len()));
        let nonce = Nonce::assume_unique_for_key(iv);
        self.0.open_separate_gather(nonce, aad, ciphertext, tag, plaintext)
    }
}

/// The identity of a part, which its tag covers.
pub(crate) struct PartId<'a> {
    pub(crate) message_id: &'a MessageId,
    pub(crate) kind: Kind,
    pub(crate) sequence_number: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
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

impl PartId<'_> {
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
        let mut iv = [0; IV_LEN];
        iv[IV_LEN - 4..].copy_from_slice(&self.sequence_number.to_be_bytes());
        iv
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

/// Message keys are used for one message only, so that the header's IV can be 0.
fn header_nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; IV_LEN])
}
