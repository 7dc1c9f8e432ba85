//! Cache identifiers.

use std::fmt;
use std::hash::{Hash, Hasher};

use aws_lc_rs::digest;

use crate::manager::{EncryptedDataKey, EncryptionContext};
use crate::suite::AlgorithmSuiteId;

/// Identifies the materials that may serve a request: SHA-384 over the cache's partition and the
/// parts of the request that the materials depend on.
///
/// Source: AWS Encryption SDK specification, `framework/caching-cmm.md`, appendix A.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheId([u8; digest::SHA384_OUTPUT_LEN]);

impl CacheId {
    /// Returns the identifier of a request for encryption materials.
    ///
    /// `None` if the request has no identifier: its context is too long to serialize.
    #[must_use]
    pub fn for_encryption(
        partition_id: &str,
        suite: Option<AlgorithmSuiteId>,
        encryption_context: &EncryptionContext,
    ) -> Option<Self> {
        let context = serialize_context(encryption_context)?;
        let partition = partition_id.as_bytes();
        Some(match suite {
            None => Self::of(&[CACHING_CMM, ENCRYPT, partition, NO_SUITE, &context]),
            Some(suite) => {
                let suite = suite.id().to_be_bytes();
                Self::of(&[CACHING_CMM, ENCRYPT, partition, WITH_SUITE, &suite, &context])
            }
        })
    }

    /// Returns the identifier of a request for decryption materials, whatever the order of the
    /// keys.
    ///
    /// `None` if the request has no identifier: its context or a key is too long to serialize.
    #[must_use]
    pub fn for_decryption(
        partition_id: &str,
        suite: AlgorithmSuiteId,
        encrypted_data_keys: &[EncryptedDataKey],
        encryption_context: &EncryptionContext,
    ) -> Option<Self> {
        let mut keys = encrypted_data_keys.iter().map(serialize_key).collect::<Option<Vec<_>>>()?;
        keys.sort_unstable();
        let context = serialize_context(encryption_context)?;
        let partition = partition_id.as_bytes();
        let suite = suite.id().to_be_bytes();
        Some(Self::of(&[CACHING_CMM, DECRYPT, partition, &suite, &keys.concat(), &context]))
    }

    /// Returns the digest as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn of(fields: &[&[u8]]) -> Self {
        let digest = digest::digest(&digest::SHA384, &fields.join(&NULL_BYTE));
        Self(digest.as_ref().try_into().expect("SHA-384 gives 48 bytes"))
    }
}

/// The beginning of a digest is as evenly spread as the whole of it.
impl Hash for CacheId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0[..8]);
    }
}

impl fmt::Debug for CacheId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheId(")?;
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("..)")
    }
}

const NULL_BYTE: u8 = 0;
const CACHING_CMM: &[u8] = &[0x01];
const ENCRYPT: &[u8] = &[0x01];
const DECRYPT: &[u8] = &[0x02];
const NO_SUITE: &[u8] = &[0x00];
const WITH_SUITE: &[u8] = &[0x01];

/// `framework/structures.md`, serialization of the encryption context: nothing if it is empty, or
/// a count and the pairs in the order of their keys' bytes.
fn serialize_context(context: &EncryptionContext) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if context.is_empty() {
        return Some(bytes);
    }
    let mut pairs: Vec<_> = context.iter().collect();
    pairs.sort_unstable();
    bytes.extend(u16::try_from(pairs.len()).ok()?.to_be_bytes());
    for (key, value) in pairs {
        push_with_length(&mut bytes, key.as_bytes())?;
        push_with_length(&mut bytes, value.as_bytes())?;
    }
    Some(bytes)
}

/// `data-format/message-header.md`, encrypted data key entries.
fn serialize_key(key: &EncryptedDataKey) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    push_with_length(&mut bytes, key.provider_id.as_bytes())?;
    push_with_length(&mut bytes, &key.provider_info)?;
    push_with_length(&mut bytes, &key.ciphertext)?;
    Some(bytes)
}

fn push_with_length(bytes: &mut Vec<u8>, field: &[u8]) -> Option<()> {
    bytes.extend(u16::try_from(field.len()).ok()?.to_be_bytes());
    bytes.extend(field);
    Some(())
}
