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
        let mut id = Fields::begin(partition_id, ENCRYPT);
        match suite {
            None => id.push(NO_SUITE),
            Some(suite) => {
                id.push(WITH_SUITE);
                id.push(&suite.id().to_be_bytes());
            }
        }
        id.push_context(encryption_context)?;
        Some(id.end())
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
        let mut keys: Vec<_> = encrypted_data_keys.iter().map(in_order).collect();
        keys.sort_unstable();
        let mut id = Fields::begin(partition_id, DECRYPT);
        id.push(&suite.id().to_be_bytes());
        id.separate();
        for field in keys.into_iter().flatten() {
            id.append_with_length(field.1)?;
        }
        id.push_context(encryption_context)?;
        Some(id.end())
    }

    /// Returns the digest as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
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

/// Bytes of the fields of a request with the encrypted data keys of two Regions.
const USUAL_LEN: usize = 768;

const NULL_BYTE: &[u8] = &[0x00];
const CACHING_CMM: &[u8] = &[0x01];
const ENCRYPT: &[u8] = &[0x01];
const DECRYPT: &[u8] = &[0x02];
const NO_SUITE: &[u8] = &[0x00];
const WITH_SUITE: &[u8] = &[0x01];

/// The fields of an identifier, with null bytes between them.
struct Fields(Vec<u8>);

impl Fields {
    fn begin(partition_id: &str, operation: &[u8]) -> Self {
        let mut fields = Self(Vec::with_capacity(USUAL_LEN));
        fields.0.extend(CACHING_CMM);
        fields.push(operation);
        fields.push(partition_id.as_bytes());
        fields
    }

    fn push(&mut self, field: &[u8]) {
        self.separate();
        self.0.extend(field);
    }

    fn separate(&mut self) {
        self.0.extend(NULL_BYTE);
    }

    /// `framework/structures.md`, serialization of the encryption context: nothing if it is empty,
    /// or a count and the pairs in the order of their keys' bytes.
    fn push_context(&mut self, context: &EncryptionContext) -> Option<()> {
        self.separate();
        let mut pairs: Vec<_> = context.iter().collect();
        pairs.sort_unstable();
        if !pairs.is_empty() {
            self.0.extend(&u16::try_from(pairs.len()).ok()?.to_be_bytes());
        }
        for (key, value) in pairs {
            self.append_with_length(key.as_bytes())?;
            self.append_with_length(value.as_bytes())?;
        }
        Some(())
    }

    fn append_with_length(&mut self, field: &[u8]) -> Option<()> {
        self.0.extend(&u16::try_from(field.len()).ok()?.to_be_bytes());
        self.0.extend(field);
        Some(())
    }

    fn end(self) -> CacheId {
        let digest = digest::digest(&digest::SHA384, &self.0);
        CacheId(digest.as_ref().try_into().expect("SHA-384 gives 48 bytes"))
    }
}

/// The fields of `data-format/message-header.md`'s encrypted data key entry. Each is serialized
/// after its length, so these sort as the serialized entries do.
fn in_order(key: &EncryptedDataKey) -> [(usize, &[u8]); 3] {
    [key.provider_id.as_bytes(), &key.provider_info, &key.ciphertext]
        .map(|field| (field.len(), field))
}
