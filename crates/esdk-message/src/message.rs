//! Parsing.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::body::{Content, Parts};
use crate::context::{
    EncryptedDataKey, PUBLIC_KEY_CONTEXT_KEY, check_context, check_encrypted_data_keys, check_keys,
    check_limit, encrypted_data_keys, pairs,
};
use crate::crypto::{COMMITMENT_LEN, MESSAGE_ID_LEN, MessageId, TAG_LEN};
use crate::error::Error;
use crate::limits::Limits;
use crate::reader::Reader;
use crate::suite::{Suite, without_commitment};
use crate::{VERSION, VERSION_1};

/// The position of the encryption context: behind the version, the suite and the message id.
const CONTEXT_AT: usize = 1 + 2 + MESSAGE_ID_LEN;

/// A message whose structure has been read and checked, and of which nothing is authenticated yet.
///
/// Its header tells which data key is needed. Do not believe any of it, or show it as the sender's,
/// before [`decrypt`](Self::decrypt) has succeeded.
///
/// `B` holds the message's bytes: a slice, or an owner such as `Vec<u8>` or `bytes::Bytes`, with
/// which a parsed message can move to another thread. It must return the same bytes every time;
/// otherwise methods may panic.
#[derive(Clone)]
pub struct UnverifiedMessage<B> {
    bytes: B,
    pub(crate) suite: Suite,
    pub(crate) message_id: MessageId,
    pub(crate) content: Content,
    pub(crate) commitment: [u8; COMMITMENT_LEN],
    keys_at: usize,
    /// Where the header's tag begins.
    pub(crate) header_len: usize,
    pub(crate) plaintext_len: usize,
}

impl<B: AsRef<[u8]>> fmt::Debug for UnverifiedMessage<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnverifiedMessage")
            .field("suite", &self.suite)
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

impl<B: AsRef<[u8]>> UnverifiedMessage<B> {
    /// Reads a message and checks the structure of all of it: header, frames and footer. A damaged
    /// message mostly fails here, before any call for its data key.
    ///
    /// Source: AWS Encryption SDK specification, `data-format/message.md`, version 2.0.
    ///
    /// # Errors
    /// The data is not a message of format version 2, is damaged, or exceeds `limits`.
    pub fn parse(bytes: B, limits: Limits) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes.as_ref());
        let suite = read_version_and_suite(&mut reader)?;
        let message_id = reader.array("message id")?;
        let mut context = reader.clone();
        check_context(&mut reader, limits)?;
        check_keys(suite, pairs(&mut context)?.flatten().map(|(key, _)| key)).map_err(
            |reason| Error::Field { what: "encryption context", at: CONTEXT_AT, reason },
        )?;
        let keys_at = reader.at();
        check_encrypted_data_keys(&mut reader, limits)?;
        let content = Content::read(&mut reader)?;
        let commitment = reader.array("commitment")?;
        let header_len = reader.at();
        reader.take(TAG_LEN, "header's tag")?;
        let plaintext_len = read_body(&mut reader, content, limits)?;
        read_footer(&mut reader, suite)?;
        Ok(Self {
            bytes,
            suite,
            message_id,
            content,
            commitment,
            keys_at,
            header_len,
            plaintext_len,
        })
    }

    /// Returns the algorithm suite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Returns the pairs of the stored encryption context, in the order of the message.
    #[must_use]
    pub fn encryption_context(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + Clone {
        pairs(&mut Reader::starting_at(self.bytes(), CONTEXT_AT))
            .expect(CHECKED)
            .map(|pair| pair.expect(CHECKED))
    }

    /// Returns the encrypted data keys, each of which can give the data key.
    #[must_use]
    pub fn encrypted_data_keys(
        &self,
    ) -> impl ExactSizeIterator<Item = EncryptedDataKey<'_>> + Clone {
        encrypted_data_keys(&mut Reader::starting_at(self.bytes(), self.keys_at))
            .expect(CHECKED)
            .map(|key| key.expect(CHECKED))
    }

    /// Returns the public key that a signed message claims in its encryption context, in the form
    /// that [`DecryptionKey::new`](crate::DecryptionKey::new) takes, or `None` for an unsigned
    /// message.
    ///
    /// The claim becomes trustworthy with the data key: providers decrypt it only together with the
    /// encryption context that it was encrypted with.
    ///
    /// # Errors
    /// [`Error::Key`] if the value is not base64.
    pub fn verification_key(&self) -> Result<Option<Vec<u8>>, Error> {
        self.encryption_context()
            .find(|(key, _)| *key == PUBLIC_KEY_CONTEXT_KEY)
            .map(|(_, value)| BASE64_STANDARD.decode(value))
            .transpose()
            .map_err(|_| Error::Key("verification key"))
    }

    /// Returns the bytes of the message.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// Returns what was parsed.
    #[must_use]
    pub fn into_bytes(self) -> B {
        self.bytes
    }
}

const CHECKED: &str = "the structure was checked when the message was parsed";

fn read_version_and_suite(reader: &mut Reader<'_>) -> Result<Suite, Error> {
    // The base64 text of the first bytes of a message: version 1 and its type, or version 2 and
    // one of its suites.
    if [b"AYA", b"AgR", b"AgV"].iter().any(|text| reader.starts_with(*text)) {
        return Err(Error::Base64);
    }
    if reader.starts_with(&VERSION_1) {
        reader.take(VERSION_1.len(), "version and type")?;
        return Err(Error::Version1 {
            suite: reader.u16("suite").ok().and_then(without_commitment),
        });
    }
    if !(reader.is_empty() || reader.starts_with(&[VERSION])) {
        return Err(Error::NotAMessage);
    }
    reader.take(1, "version")?;
    let id = reader.u16("suite")?;
    let suite = Suite::from_id(id);
    suite.ok_or_else(|| {
        without_commitment(id)
            .map_or(Error::UnknownSuite, |suite| Error::SuiteWithoutCommitment { suite })
    })
}

/// Moves `reader` behind the body, and returns the length of the plaintext.
fn read_body(reader: &mut Reader<'_>, content: Content, limits: Limits) -> Result<usize, Error> {
    let mut parts = Parts::new(reader.clone(), content);
    let mut plaintext_len = 0;
    for part in &mut parts {
        let part = part?;
        check_limit("frames", part.sequence_number, limits.frames)?;
        plaintext_len += part.ciphertext.len();
    }
    *reader = parts.rest();
    Ok(plaintext_len)
}

fn read_footer(reader: &mut Reader<'_>, suite: Suite) -> Result<(), Error> {
    if suite == Suite::Signed {
        reader.field("signature")?;
    }
    match reader.is_empty() {
        true => Ok(()),
        false => Err(Error::Trailing { at: reader.at() }),
    }
}
