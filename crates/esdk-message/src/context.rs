//! Encryption contexts and encrypted data keys, as a header stores them.

use std::fmt;

use crate::error::Error;
use crate::limits::Limits;
use crate::reader::Reader;
use crate::suite::Suite;

/// The context key whose value is the public key of a signed message: base64 of the compressed
/// point.
pub const PUBLIC_KEY_CONTEXT_KEY: &str = "aws-crypto-public-key";

/// The format reserves context keys that begin like this.
const RESERVED_PREFIX: &str = "aws-crypto-";

const CONTEXT: &str = "encryption context";
const KEYS: &str = "encrypted data keys";

/// A data key, encrypted under a key of its provider.
///
/// Source: AWS Encryption SDK specification, `framework/structures.md`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EncryptedDataKey<'a> {
    /// The provider that can decrypt the data key, such as `aws-kms`.
    pub provider_id: &'a str,
    /// The provider's key, such as an ARN.
    pub provider_info: &'a [u8],
    /// The encrypted data key.
    pub ciphertext: &'a [u8],
}

impl fmt::Debug for EncryptedDataKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedDataKey")
            .field("provider_id", &self.provider_id)
            .field("provider_info", &String::from_utf8_lossy(self.provider_info))
            .finish_non_exhaustive()
    }
}

/// Checks the keys of a context that is stored in a message.
pub(crate) fn check_keys<'a>(
    suite: Suite,
    keys: impl Iterator<Item = &'a str> + Clone,
) -> Result<(), &'static str> {
    check_unique(keys.clone())?;
    let mut reserved = keys.filter(|key| is_reserved(key));
    match (suite, reserved.next(), reserved.next()) {
        (Suite::Signed, Some(PUBLIC_KEY_CONTEXT_KEY), None) | (Suite::Unsigned, None, None) => {
            Ok(())
        }
        (Suite::Signed, None, None) => Err("a signed message needs aws-crypto-public-key"),
        _ => Err("a key begins with the reserved prefix aws-crypto-"),
    }
}

fn check_unique<'a>(keys: impl Iterator<Item = &'a str> + Clone) -> Result<(), &'static str> {
    // Writers sort the keys, so that most contexts are checked without an allocation.
    if keys.clone().is_sorted_by(|one, next| one < next) {
        return Ok(());
    }
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    match keys.windows(2).any(|pair| pair[0] == pair[1]) {
        true => Err("a key is repeated"),
        false => Ok(()),
    }
}

fn is_reserved(key: &str) -> bool {
    key.starts_with(RESERVED_PREFIX)
}

/// Serializes pairs that are authenticated with a header but not stored in it. `stored` are the
/// keys of those that are.
pub(crate) fn serialize_required<'a>(
    required: Vec<(&str, &str)>,
    mut stored: impl Iterator<Item = &'a str>,
) -> Result<Vec<u8>, Error> {
    let keys = || required.iter().map(|(key, _)| *key);
    check_unique(keys()).map_err(Error::InvalidContext)?;
    if keys().any(is_reserved) {
        return Err(Error::InvalidContext("a key begins with the reserved prefix aws-crypto-"));
    }
    if stored.any(|stored| keys().any(|key| key == stored)) {
        return Err(Error::InvalidContext("a required key is also stored"));
    }
    serialize_pairs(required)
}

/// Pairs are in the order of their keys' bytes, as the format demands.
fn serialize_pairs(mut context: Vec<(&str, &str)>) -> Result<Vec<u8>, Error> {
    context.sort_unstable();
    let mut pairs = Vec::new();
    if !context.is_empty() {
        pairs.extend(length(context.len())?);
    }
    for (key, value) in context {
        push(&mut pairs, key.as_bytes())?;
        push(&mut pairs, value.as_bytes())?;
    }
    Ok(pairs)
}

/// Serializes the header's fields for the context and the encrypted data keys.
pub(crate) fn serialize(
    context: Vec<(&str, &str)>,
    keys: &[EncryptedDataKey<'_>],
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    push(&mut bytes, &serialize_pairs(context)?)?;
    if keys.is_empty() {
        return Err(Error::Unencodable("there is no encrypted data key"));
    }
    bytes.extend(length(keys.len())?);
    for key in keys {
        push(&mut bytes, key.provider_id.as_bytes())?;
        push(&mut bytes, key.provider_info)?;
        push(&mut bytes, key.ciphertext)?;
    }
    Ok(bytes)
}

fn push(bytes: &mut Vec<u8>, field: &[u8]) -> Result<(), Error> {
    bytes.extend(length(field.len())?);
    bytes.extend(field);
    Ok(())
}

fn length(length: usize) -> Result<[u8; 2], Error> {
    u16::try_from(length)
        .map(u16::to_be_bytes)
        .map_err(|_| Error::Unencodable("a field of the header is longer than 65,535"))
}

/// Checks the context field at `reader`, and moves `reader` behind it.
pub(crate) fn check_context(reader: &mut Reader<'_>, limits: Limits) -> Result<(), Error> {
    let at = reader.at();
    let field = |reason| Error::Field { what: CONTEXT, at, reason };
    let length = reader.clone().u16(CONTEXT)?;
    check_limit("bytes of encryption context", length.into(), limits.context_bytes.into())?;
    let mut pairs = pairs(reader)?;
    if pairs.left == 0 && length > 0 {
        return Err(field("it has a length but no pairs"));
    }
    check_limit("pairs in the encryption context", pairs.left.into(), limits.context_pairs.into())?;
    pairs.try_for_each(|pair| pair.map(drop))?;
    match pairs.reader.is_empty() {
        true => Ok(()),
        false => Err(field("its length is not that of its pairs")),
    }
}

/// Checks the encrypted data keys at `reader`, and moves `reader` behind them.
pub(crate) fn check_encrypted_data_keys(
    reader: &mut Reader<'_>,
    limits: Limits,
) -> Result<(), Error> {
    let at = reader.at();
    let mut keys = encrypted_data_keys(reader)?;
    if keys.left == 0 {
        return Err(Error::Field { what: KEYS, at, reason: "there are none" });
    }
    check_limit(KEYS, keys.left.into(), limits.encrypted_data_keys.into())?;
    keys.try_for_each(|key| key.map(drop))?;
    *reader = keys.reader;
    Ok(())
}

pub(crate) fn check_limit(what: &'static str, count: u32, limit: u32) -> Result<(), Error> {
    match count <= limit {
        true => Ok(()),
        false => Err(Error::Limit { what, limit }),
    }
}

/// Returns the pairs of the context field at `reader`.
pub(crate) fn pairs<'a>(reader: &mut Reader<'a>) -> Result<Entries<'a, (&'a str, &'a str)>, Error> {
    let mut reader = reader.within(CONTEXT)?;
    let left = if reader.is_empty() { 0 } else { reader.u16(CONTEXT)? };
    Ok(Entries { reader, left, read: |reader| Ok((reader.text(CONTEXT)?, reader.text(CONTEXT)?)) })
}

/// Returns the encrypted data keys at `reader`.
pub(crate) fn encrypted_data_keys<'a>(
    reader: &mut Reader<'a>,
) -> Result<Entries<'a, EncryptedDataKey<'a>>, Error> {
    let left = reader.u16(KEYS)?;
    let read = |reader: &mut Reader<'a>| {
        Ok(EncryptedDataKey {
            provider_id: reader.text(KEYS)?,
            provider_info: reader.field(KEYS)?,
            ciphertext: reader.field(KEYS)?,
        })
    };
    Ok(Entries { reader: reader.clone(), left, read })
}

/// Entries of a header, read from the message each time they are needed. A stored entry would take
/// up to twelve times the memory of its bytes in the message.
#[derive(Clone)]
pub(crate) struct Entries<'a, T> {
    reader: Reader<'a>,
    left: u16,
    read: fn(&mut Reader<'a>) -> Result<T, Error>,
}

impl<T> Iterator for Entries<'_, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some((self.read)(&mut self.reader))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left.into(), Some(self.left.into()))
    }
}

impl<T> ExactSizeIterator for Entries<'_, T> {}
