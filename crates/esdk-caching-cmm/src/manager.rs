//! The interface to whatever makes and unwraps data keys.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;

use crate::suite::{AlgorithmSuiteId, CommitmentPolicy};

/// Pairs that a message carries in the clear and authenticates.
pub type EncryptionContext = HashMap<String, String>;

/// Makes and decrypts data keys: what a caching CMM asks when its cache has no usable entry.
///
/// A manager gets up to [`max_concurrent_calls`](crate::CachingCmmBuilder::max_concurrent_calls)
/// calls at once, never two for materials that one cache entry can serve. A call is polled by every
/// request that waits for it and by a Tokio task of its own, so it continues if its caller gives up.
/// It must not block the thread.
///
/// A manager chooses the suite if the request names none, as the request's commitment policy says
/// (`framework/default-cmm.md`). The caching CMM checks named suites against the policy itself.
pub trait MaterialsManager: Send + Sync + 'static {
    /// Materials to encrypt with.
    type EncryptionMaterials: Materials;
    /// Materials to decrypt with.
    type DecryptionMaterials: Materials;
    /// The reason for which there are no materials. Shared by all requests that wait for one call.
    type Error: std::error::Error + Clone + Send + Sync + 'static;

    /// Makes a data key, and encrypts it.
    ///
    /// The request has no plaintext length if its answer will be cached.
    fn encryption_materials(
        &self,
        request: &EncryptionRequest,
    ) -> impl Future<Output = Result<Self::EncryptionMaterials, Self::Error>> + Send;

    /// Decrypts one of the request's encrypted data keys.
    fn decryption_materials(
        &self,
        request: &DecryptionRequest,
    ) -> impl Future<Output = Result<Self::DecryptionMaterials, Self::Error>> + Send;

    /// Returns `true` if this manager does no more with reproduced encryption context than to
    /// compare it with the message's, as a default CMM over keyrings.
    ///
    /// Decryption requests that reproduce context are then cached. Otherwise they all reach the
    /// manager: one that refuses messages for which a pair is *not* reproduced must be asked each
    /// time.
    fn only_compares_reproduced_context(&self) -> bool {
        false
    }
}

/// Encryption or decryption materials. They should zeroize their keys on drop.
pub trait Materials: Any + Send + Sync {
    /// Returns the materials' algorithm suite, or `None` if the AWS Encryption SDK has no such
    /// suite. Materials of unknown suites are never cached.
    fn suite(&self) -> Option<AlgorithmSuiteId>;
}

/// A request for encryption materials.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct EncryptionRequest {
    /// The message's encryption context.
    pub encryption_context: EncryptionContext,
    /// The suite to encrypt with; `None` for the manager's default under the commitment policy.
    pub suite: Option<AlgorithmSuiteId>,
    /// The suites that the caller accepts.
    pub commitment_policy: CommitmentPolicy,
    /// Length of the plaintext, or an upper bound, in bytes. Requests without it are not cached,
    /// because they cannot be counted against the limit on bytes.
    pub plaintext_length: Option<u64>,
    /// Keys of context pairs that the message does not store and that the reader must reproduce.
    /// Requests that name any are not cached.
    pub required_context_keys: Vec<String>,
}

impl EncryptionRequest {
    /// Creates a request of the default commitment policy, with no suite and no length.
    #[must_use]
    pub fn new(encryption_context: EncryptionContext) -> Self {
        Self { encryption_context, ..Self::default() }
    }
}

/// A request for decryption materials.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecryptionRequest {
    /// The message's suite.
    pub suite: AlgorithmSuiteId,
    /// The suites that the caller accepts.
    pub commitment_policy: CommitmentPolicy,
    /// The message's encrypted data keys.
    pub encrypted_data_keys: Vec<EncryptedDataKey>,
    /// The encryption context that the message carries.
    pub encryption_context: EncryptionContext,
    /// Encryption context that the reader reproduces; empty for none.
    pub reproduced_context: EncryptionContext,
}

impl DecryptionRequest {
    /// Creates a request of the default commitment policy that reproduces no context.
    #[must_use]
    pub fn new(
        suite: AlgorithmSuiteId,
        encrypted_data_keys: Vec<EncryptedDataKey>,
        encryption_context: EncryptionContext,
    ) -> Self {
        Self {
            suite,
            commitment_policy: CommitmentPolicy::default(),
            encrypted_data_keys,
            encryption_context,
            reproduced_context: EncryptionContext::new(),
        }
    }
}

/// A data key encrypted under a wrapping key, as messages carry it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncryptedDataKey {
    /// Identifies the kind of wrapping key: `aws-kms` for AWS KMS.
    pub provider_id: String,
    /// Identifies the wrapping key: an ARN for AWS KMS.
    pub provider_info: Vec<u8>,
    /// The encrypted data key itself.
    pub ciphertext: Vec<u8>,
}

impl EncryptedDataKey {
    /// Creates an encrypted data key.
    #[must_use]
    pub fn new(
        provider_id: impl Into<String>,
        provider_info: impl Into<Vec<u8>>,
        ciphertext: impl Into<Vec<u8>>,
    ) -> Self {
        Self {
            provider_id: provider_id.into(),
            provider_info: provider_info.into(),
            ciphertext: ciphertext.into(),
        }
    }
}

impl fmt::Debug for EncryptedDataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedDataKey")
            .field("provider_id", &self.provider_id)
            .field("provider_info", &String::from_utf8_lossy(&self.provider_info))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_ciphertext() {
        let key = EncryptedDataKey::new("aws-kms", "arn:aws:kms", [0xA5; 4]);
        assert_eq!(
            format!("{key:?}"),
            r#"EncryptedDataKey { provider_id: "aws-kms", provider_info: "arn:aws:kms", .. }"#
        );
    }
}
