//! Decrypting.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1, ParsedPublicKey};
use zeroize::optimization_barrier;

use crate::body::Parts;
use crate::context::serialize_required;
use crate::crypto::{DataKey, MessageKey, PartId, TAG_LEN, derive};
use crate::error::Error;
use crate::message::UnverifiedMessage;
use crate::reader::Reader;
use crate::suite::Suite;

/// A data key prepared for decrypting any number of messages. Zeroized on drop.
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
    /// Prepares a data key of 32 bytes. The signed suite needs a `verification_key`, a point of
    /// P-384 (see [`UnverifiedMessage::verification_key`]); the unsigned suite takes none.
    ///
    /// # Errors
    /// [`Error::Key`] names the key that is not valid.
    pub fn new(data_key: &[u8], verification_key: Option<&[u8]>) -> Result<Self, Error> {
        let parse = |point| {
            ParsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, point)
                .map_err(|_| Error::Key("verification key"))
        };
        Ok(Self {
            data_key: DataKey::new(data_key)?,
            verification_key: verification_key.map(parse).transpose()?,
        })
    }

    /// Returns the suite of the messages.
    #[must_use]
    pub fn suite(&self) -> Suite {
        if self.verification_key.is_some() { Suite::Signed } else { Suite::Unsigned }
    }
}

/// A plaintext that is overwritten on drop.
///
/// Gives the guarantee of `Zeroizing<Vec<u8>>`, but not byte by byte, which would take longer than
/// the decryption.
#[derive(PartialEq, Eq)]
pub struct Plaintext(Vec<u8>);

impl Plaintext {
    /// Returns the bytes. Overwriting them is then up to the caller.
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

/// Bytes of a plaintext that are overwritten in one step.
const WIPED_AT_ONCE: usize = 64;

impl Drop for Plaintext {
    fn drop(&mut self) {
        let (blocks, rest) = self.0.as_chunks_mut::<WIPED_AT_ONCE>();
        for block in blocks {
            *block = [0; WIPED_AT_ONCE];
            optimization_barrier(block);
        }
        rest.fill(0);
        optimization_barrier(rest);
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plaintext").field("bytes", &self.len()).finish_non_exhaustive()
    }
}

/// The content of a message, all of which has been verified.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub struct Decrypted {
    /// The plaintext.
    pub plaintext: Plaintext,
    /// The encryption context: the pairs that the message stores, in its order, and then those
    /// that the caller reproduced.
    pub encryption_context: Vec<(String, String)>,
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decrypted").field("bytes", &self.plaintext.len()).finish_non_exhaustive()
    }
}

impl<B: AsRef<[u8]>> UnverifiedMessage<B> {
    /// Verifies the commitment, the header, every frame, and the signature of a signed message, in
    /// this order, and only then returns the content.
    ///
    /// Source: AWS Encryption SDK specification, `client-apis/decrypt.md`.
    ///
    /// # Errors
    /// The message is not what was encrypted and signed under these keys.
    pub fn decrypt(&self, key: &DecryptionKey) -> Result<Decrypted, Error> {
        self.decrypt_with_context(key, [])
    }

    /// Like [`decrypt`](Self::decrypt), with pairs of the encryption context that the caller
    /// reproduces.
    ///
    /// A message can leave pairs out that were authenticated with it ("required encryption context
    /// keys"), and then only decrypts with them. Pairs that the message does store must be equal to
    /// the reproduced ones.
    ///
    /// # Errors
    /// As [`decrypt`](Self::decrypt); [`Error::ContextMismatch`] if a stored pair differs;
    /// [`Error::InvalidContext`] if the reproduced pairs do not fit the format.
    pub fn decrypt_with_context<'c>(
        &self,
        key: &DecryptionKey,
        reproduced: impl IntoIterator<Item = (&'c str, &'c str)>,
    ) -> Result<Decrypted, Error> {
        if key.suite() != self.suite {
            return Err(Error::SuiteMismatch);
        }
        let required = self.not_stored(reproduced)?;
        let message_key = self.verify_commitment(key)?;
        self.verify_header(&message_key, &serialize_required(required.clone(), [].into_iter())?)?;
        let mut parts = self.parts();
        let plaintext = self.decrypt_parts(&mut parts, &message_key)?;
        if let Some(verification_key) = &key.verification_key {
            let mut footer = parts.rest();
            let signed = &self.bytes()[..footer.at()];
            let signature = footer.field("signature")?;
            verification_key.verify_sig(signed, signature).map_err(|_| Error::Signature)?;
        }
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let encryption_context = self.encryption_context().chain(required).map(owned).collect();
        Ok(Decrypted { plaintext, encryption_context })
    }

    /// Returns the reproduced pairs that the message does not store, and checks the others.
    fn not_stored<'c>(
        &self,
        reproduced: impl IntoIterator<Item = (&'c str, &'c str)>,
    ) -> Result<Vec<(&'c str, &'c str)>, Error> {
        let mut required = Vec::new();
        for (key, value) in reproduced {
            match self.encryption_context().find(|(stored, _)| *stored == key) {
                None => required.push((key, value)),
                Some((_, stored)) if stored == value => {}
                Some(_) => return Err(Error::ContextMismatch),
            }
        }
        Ok(required)
    }

    fn verify_commitment(&self, key: &DecryptionKey) -> Result<MessageKey, Error> {
        let (commitment, message_key) = derive(self.suite, &key.data_key, &self.message_id)?;
        verify_slices_are_equal(&commitment, &self.commitment).map_err(|_| Error::Commitment)?;
        Ok(message_key)
    }

    fn verify_header(&self, key: &MessageKey, required: &[u8]) -> Result<(), Error> {
        let (header, rest) = self.bytes().split_at(self.header_len);
        let authenticated = match required {
            [] => Cow::Borrowed(header),
            required => Cow::Owned([header, required].concat()),
        };
        key.verify(&authenticated, &rest[..TAG_LEN]).map_err(|_| Error::HeaderTag)
    }

    fn parts(&self) -> Parts<'_> {
        Parts::new(Reader::starting_at(self.bytes(), self.header_len + TAG_LEN), self.content)
    }

    fn decrypt_parts(&self, parts: &mut Parts<'_>, key: &MessageKey) -> Result<Plaintext, Error> {
        // The one allocation.
        let mut plaintext = Plaintext(vec![0; self.plaintext_len]);
        let mut rest = plaintext.0.as_mut_slice();
        for part in parts {
            let part = part?;
            let (decrypted, unused) = rest.split_at_mut(part.ciphertext.len());
            let id = PartId {
                message_id: &self.message_id,
                kind: part.kind,
                sequence_number: part.sequence_number,
            };
            key.decrypt(&id, part.iv, part.ciphertext, part.tag, decrypted)
                .map_err(|_| Error::BodyTag { at: part.at })?;
            rest = unused;
        }
        Ok(plaintext)
    }
}
