//! Decoding.

use std::fmt;
use std::ops::Deref;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1, ParsedPublicKey};
use zeroize::{Zeroizing, optimization_barrier};

use crate::context::{EncryptedDataKey, check_keys, read_context, read_encrypted_data_keys};
use crate::crypto::{
    COMMITMENT_LEN, DataKey, FRAME_OVERHEAD, IV_LEN, Kind, MessageId, MessageKey, Part, TAG_LEN,
    derive,
};
use crate::error::Error;
use crate::reader::Reader;
use crate::suite::Suite;
use crate::{FINAL_FRAME_MARK, FRAMED, UNFRAMED, VERSION};

/// Longest body without frames, in bytes: the limit of AES-GCM.
const MAX_UNFRAMED_LEN: u64 = (1 << 36) - 32;

/// A data key prepared for decoding any number of messages. Keys are zeroized on drop.
pub struct DecryptionKey {
    data_key: DataKey,
    verification_key: Option<ParsedPublicKey>,
}

impl fmt::Debug for DecryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecryptionKey").field("suite", &self.suite()).finish_non_exhaustive()
    }
}

impl DecryptionKey {
    /// Prepares a data key of 32 bytes. A `verification_key`, a point of P-384, is for the signed
    /// suite; none is for the unsigned one.
    ///
    /// # Errors
    /// [`Error::Key`] says which key is not valid.
    pub fn new(data_key: &[u8], verification_key: Option<&[u8]>) -> Result<Self, Error> {
        let parse = |point| {
            ParsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, point)
                .map_err(|_| Error::Key("verification key"))
        };
        Ok(Self {
            data_key: Zeroizing::new(data_key.try_into().map_err(|_| Error::Key("data key"))?),
            verification_key: verification_key.map(parse).transpose()?,
        })
    }

    /// The suite of the messages.
    #[must_use]
    pub fn suite(&self) -> Suite {
        if self.verification_key.is_some() { Suite::Signed } else { Suite::Unsigned }
    }
}

/// What a message may ask of its reader before anything of it is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Encrypted data keys. Each may cost a call to a key service.
    pub encrypted_data_keys: usize,
    /// Pairs of the encryption context, the one with the public key included.
    pub context_pairs: usize,
    /// Frames that the body has room for, which may be one or two more than it has.
    pub frames: u32,
}

impl Default for Limits {
    /// What the format can express, which no message can abuse: nothing is allocated beyond a
    /// small multiple of the message's length.
    fn default() -> Self {
        Self {
            encrypted_data_keys: usize::from(u16::MAX),
            context_pairs: usize::from(u16::MAX),
            frames: u32::MAX,
        }
    }
}

/// A message whose header has been read, and of which nothing is authenticated yet.
///
/// What it says serves to find the data key. Nothing of it may be believed, or shown as the
/// sender's, before [`decrypt`](Self::decrypt) has succeeded.
#[derive(Clone)]
pub struct UnverifiedMessage<'a> {
    bytes: &'a [u8],
    suite: Suite,
    message_id: MessageId,
    encryption_context: Vec<(&'a str, &'a str)>,
    encrypted_data_keys: Vec<EncryptedDataKey<'a>>,
    content: Content,
    commitment: [u8; COMMITMENT_LEN],
    /// Where the header's tag begins.
    header_len: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Framed { frame_length: u32 },
    Unframed,
}

impl fmt::Debug for UnverifiedMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedMessage")
            .field("suite", &self.suite)
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// A plaintext, overwritten on drop.
///
/// With the same guarantee as `Zeroizing<Vec<u8>>`, but not byte by byte: that would take longer
/// than decrypting.
#[derive(PartialEq, Eq)]
pub struct Plaintext(Vec<u8>);

impl Plaintext {
    /// The bytes, which are then the caller's to overwrite.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        self.0.fill(0);
        optimization_barrier(self.0.as_slice());
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plaintext").field("bytes", &self.len()).finish_non_exhaustive()
    }
}

/// What a message holds, when all of it has been verified.
#[derive(PartialEq, Eq)]
pub struct Decrypted {
    /// The plaintext.
    pub plaintext: Plaintext,
    /// The encryption context, in the order of the message.
    pub encryption_context: Vec<(String, String)>,
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decrypted").field("bytes", &self.plaintext.len()).finish_non_exhaustive()
    }
}

impl<'a> UnverifiedMessage<'a> {
    /// Reads the header of a message.
    ///
    /// Source: AWS Encryption SDK specification, `data-format/message-header.md`, version 2.0.
    ///
    /// # Errors
    /// The message is of another version or suite, is damaged, or goes beyond `limits`.
    pub fn parse(bytes: &'a [u8], limits: Limits) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let suite = read_version_and_suite(&mut reader)?;
        let message_id = reader.array("message id")?;
        let context_at = reader.at();
        let encryption_context = read_context(&mut reader, limits.context_pairs)?;
        let keys = encryption_context.iter().map(|(key, _)| *key).collect();
        check_keys(suite, keys).map_err(|reason| Error::Field {
            what: "encryption context",
            at: context_at,
            reason,
        })?;
        let encrypted_data_keys =
            read_encrypted_data_keys(&mut reader, limits.encrypted_data_keys)?;
        let content = read_content(&mut reader)?;
        let commitment = reader.array("commitment")?;
        let header_len = reader.at();
        reader.take(TAG_LEN, "header's tag")?;
        check_frames(&reader, content, limits.frames)?;
        Ok(Self {
            bytes,
            suite,
            message_id,
            encryption_context,
            encrypted_data_keys,
            content,
            commitment,
            header_len,
        })
    }

    /// The algorithm suite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The encryption context that the message claims to have.
    #[must_use]
    pub fn encryption_context(&self) -> &[(&'a str, &'a str)] {
        &self.encryption_context
    }

    /// The encrypted data keys, any of which may give the data key.
    #[must_use]
    pub fn encrypted_data_keys(&self) -> &[EncryptedDataKey<'a>] {
        &self.encrypted_data_keys
    }

    /// Verifies the commitment, the header, every frame, the signature of a signed message and
    /// the end of the message, in this order, and only then returns what it holds.
    ///
    /// Source: AWS Encryption SDK specification, `client-apis/decrypt.md`.
    ///
    /// # Errors
    /// The message is not what was encrypted and signed under these keys.
    pub fn decrypt(&self, key: &DecryptionKey) -> Result<Decrypted, Error> {
        if key.suite() != self.suite {
            return Err(Error::SuiteMismatch);
        }
        let (commitment, message_key) = derive(self.suite, &key.data_key, &self.message_id)?;
        verify_slices_are_equal(&commitment, &self.commitment).map_err(|_| Error::Commitment)?;
        let mut reader = Reader::new(self.bytes);
        let header = reader.take(self.header_len, "header")?;
        let tag = reader.take(TAG_LEN, "header's tag")?;
        message_key.verify(header, tag).map_err(|_| Error::HeaderTag)?;

        let plaintext = self.read_body(&mut reader, &message_key)?;
        if let Some(verification_key) = &key.verification_key {
            let signed = &self.bytes[..reader.at()];
            let signature = reader.field("signature")?;
            verification_key.verify_sig(signed, signature).map_err(|_| Error::Signature)?;
        }
        if !reader.is_empty() {
            return Err(Error::Trailing { at: reader.at() });
        }
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        Ok(Decrypted {
            plaintext,
            encryption_context: self.encryption_context.iter().map(owned).collect(),
        })
    }

    /// Source: AWS Encryption SDK specification, `data-format/message-body.md`.
    fn read_body(&self, reader: &mut Reader<'_>, key: &MessageKey) -> Result<Plaintext, Error> {
        // The one allocation, a few bytes longer than the plaintext will be.
        let mut plaintext = Plaintext(vec![0; reader.len()]);
        let length = match self.content {
            Content::Framed { frame_length } => {
                self.read_frames(reader, key, frame_length, &mut plaintext.0)?
            }
            Content::Unframed => self.read_single_block(reader, key, &mut plaintext.0)?,
        };
        plaintext.0.truncate(length);
        Ok(plaintext)
    }

    fn read_frames(
        &self,
        reader: &mut Reader<'_>,
        key: &MessageKey,
        frame_length: u32,
        plaintext: &mut [u8],
    ) -> Result<usize, Error> {
        let mut done = 0;
        for expected in 1_u32.. {
            let at = reader.at();
            let number = reader.u32("frame")?;
            let is_final = number == FINAL_FRAME_MARK;
            let sequence_number = if is_final { reader.u32("final frame")? } else { number };
            if sequence_number != expected {
                return Err(Error::Field {
                    what: "sequence number",
                    at,
                    reason: "it is not one more than the one before",
                });
            }
            let kind = if is_final { Kind::FinalFrame } else { Kind::Frame };
            let part = Part { message_id: &self.message_id, kind, sequence_number };
            check_iv(reader, &part)?;
            let length = if is_final { final_length(reader, frame_length)? } else { frame_length };
            done += read_content_of(reader, key, &part, u64::from(length), &mut plaintext[done..])
                .map_err(|error| error.unwrap_or(Error::BodyTag { at }))?;
            if is_final {
                return Ok(done);
            }
        }
        unreachable!("the header was refused if there is room for 2^32 frames")
    }

    fn read_single_block(
        &self,
        reader: &mut Reader<'_>,
        key: &MessageKey,
        plaintext: &mut [u8],
    ) -> Result<usize, Error> {
        let at = reader.at();
        let part =
            Part { message_id: &self.message_id, kind: Kind::SingleBlock, sequence_number: 1 };
        check_iv(reader, &part)?;
        let length_at = reader.at();
        let length = reader.u64("content length")?;
        if length > MAX_UNFRAMED_LEN {
            return Err(Error::Field {
                what: "content length",
                at: length_at,
                reason: "it is above 2^36 - 32",
            });
        }
        read_content_of(reader, key, &part, length, plaintext)
            .map_err(|error| error.unwrap_or(Error::BodyTag { at }))
    }
}

/// Decrypts the content of a part to the front of `plaintext`, and returns its length. The error
/// is `None` if the tag does not match.
fn read_content_of(
    reader: &mut Reader<'_>,
    key: &MessageKey,
    part: &Part<'_>,
    length: u64,
    plaintext: &mut [u8],
) -> Result<usize, Option<Error>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let ciphertext = reader.take(length, "encrypted content")?;
    let tag = reader.take(TAG_LEN, "tag")?;
    key.open(part, ciphertext, tag, &mut plaintext[..length]).map_err(|_| None)?;
    Ok(length)
}

/// Every implementation writes the IV that follows from the sequence number, and decryption uses
/// that one. A message that says otherwise was changed.
fn check_iv(reader: &mut Reader<'_>, part: &Part<'_>) -> Result<(), Error> {
    let at = reader.at();
    match reader.array::<IV_LEN>("IV")? == part.iv() {
        true => Ok(()),
        false => Err(Error::Field { what: "IV", at, reason: "it is not the sequence number's" }),
    }
}

fn final_length(reader: &mut Reader<'_>, frame_length: u32) -> Result<u32, Error> {
    let at = reader.at();
    let length = reader.u32("content length")?;
    match length <= frame_length {
        true => Ok(length),
        false => {
            Err(Error::Field { what: "content length", at, reason: "it is longer than a frame" })
        }
    }
}

fn read_version_and_suite(reader: &mut Reader<'_>) -> Result<Suite, Error> {
    let bytes = reader.clone().take(3, "version and suite")?;
    // The base64 text of the first bytes of a message: version 1 and its type, or version 2 and
    // one of its suites.
    if [b"AYA", b"AgR", b"AgV"].iter().any(|text| bytes == *text) {
        return Err(Error::Base64);
    }
    match reader.array("version")? {
        [VERSION] => {}
        _ => return Err(Error::Version),
    }
    let id = reader.u16("suite")?;
    Suite::of_id(id).ok_or(Error::Suite(id))
}

fn check_frames(body: &Reader<'_>, content: Content, most: u32) -> Result<(), Error> {
    let Content::Framed { frame_length } = content else { return Ok(()) };
    let frame = u64::from(frame_length) + FRAME_OVERHEAD as u64;
    match body.len() as u64 / frame < u64::from(most) {
        true => Ok(()),
        false => Err(Error::Field {
            what: "body",
            at: body.at(),
            reason: "it has room for more frames than the limit allows",
        }),
    }
}

fn read_content(reader: &mut Reader<'_>) -> Result<Content, Error> {
    let at = reader.at();
    let [content_type] = reader.array("content type")?;
    let frame_length = reader.u32("frame length")?;
    let (what, at, reason) = match (content_type, frame_length) {
        (FRAMED, 1..) => return Ok(Content::Framed { frame_length }),
        (UNFRAMED, 0) => return Ok(Content::Unframed),
        (FRAMED, 0) => ("frame length", at + 1, "a framed message needs one"),
        (UNFRAMED, _) => ("frame length", at + 1, "a message without frames has none"),
        _ => ("content type", at, "it is neither 1 nor 2"),
    };
    Err(Error::Field { what, at, reason })
}
