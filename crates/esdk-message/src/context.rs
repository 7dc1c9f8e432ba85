//! Encryption contexts and encrypted data keys, as a header has them.

use crate::error::Error;
use crate::reader::Reader;
use crate::suite::Suite;

/// The context key whose value is the key that verifies a signed message: base64 of the
/// compressed point.
pub const PUBLIC_KEY_CONTEXT_KEY: &str = "aws-crypto-public-key";

/// Context keys that begin like this are the format's own.
const RESERVED_PREFIX: &str = "aws-crypto-";

/// A data key, encrypted under a key of its provider.
///
/// Source: AWS Encryption SDK specification, `framework/structures.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncryptedDataKey<'a> {
    /// Who can decrypt it, such as `aws-kms`.
    pub provider_id: &'a str,
    /// Under which key, such as an ARN.
    pub provider_info: &'a [u8],
    /// The encrypted data key.
    pub ciphertext: &'a [u8],
}

/// What is wrong with the keys of a context.
pub(crate) fn check_keys(suite: Suite, mut keys: Vec<&str>) -> Result<(), &'static str> {
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("a key is repeated");
    }
    let reserved = |key: &&&str| key.starts_with(RESERVED_PREFIX);
    let mut reserved = keys.iter().filter(reserved).copied();
    match (suite, reserved.next(), reserved.next()) {
        (Suite::Signed, Some(PUBLIC_KEY_CONTEXT_KEY), None) | (Suite::Unsigned, None, None) => {
            Ok(())
        }
        (Suite::Signed, None, None) => Err("a signed message needs aws-crypto-public-key"),
        _ => Err("a key begins with the reserved prefix aws-crypto-"),
    }
}

/// The header's fields for the context and the encrypted data keys. Pairs are in the order of
/// their keys' bytes, as the format demands.
pub(crate) fn serialize(
    mut context: Vec<(&str, &str)>,
    keys: &[EncryptedDataKey<'_>],
) -> Result<Vec<u8>, Error> {
    context.sort_unstable();
    let mut pairs = Vec::new();
    if !context.is_empty() {
        pairs.extend(length(context.len())?);
    }
    for (key, value) in context {
        push(&mut pairs, key.as_bytes())?;
        push(&mut pairs, value.as_bytes())?;
    }
    let mut bytes = Vec::new();
    push(&mut bytes, &pairs)?;
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

/// The pairs of a context, in the order of the message.
pub(crate) fn read_context<'a>(
    reader: &mut Reader<'a>,
    most: usize,
) -> Result<Vec<(&'a str, &'a str)>, Error> {
    let at = reader.at();
    let field = |reason| Error::Field { what: "encryption context", at, reason };
    let mut inner = reader.within("encryption context")?;
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let count = usize::from(inner.u16("encryption context")?);
    if count == 0 {
        return Err(field("it says that it is empty in two ways"));
    }
    if count > most {
        return Err(field("it has more pairs than the limit allows"));
    }
    let mut pairs = Vec::new();
    for _ in 0..count {
        pairs.push((inner.text("encryption context")?, inner.text("encryption context")?));
    }
    match inner.is_empty() {
        true => Ok(pairs),
        false => Err(field("its length is not that of its pairs")),
    }
}

pub(crate) fn read_encrypted_data_keys<'a>(
    reader: &mut Reader<'a>,
    most: usize,
) -> Result<Vec<EncryptedDataKey<'a>>, Error> {
    const WHAT: &str = "encrypted data keys";
    let at = reader.at();
    let count = usize::from(reader.u16(WHAT)?);
    let field = |reason| Error::Field { what: WHAT, at, reason };
    if count == 0 {
        return Err(field("there is none"));
    }
    if count > most {
        return Err(field("there are more than the limit allows"));
    }
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(EncryptedDataKey {
            provider_id: reader.text(WHAT)?,
            provider_info: reader.field(WHAT)?,
            ciphertext: reader.field(WHAT)?,
        });
    }
    Ok(keys)
}
