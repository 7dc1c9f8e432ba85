//! Settings that every reader of records shares.

use std::time::Duration;

use aws_config::SdkConfig;
use esdk_caching_cmm::DEFAULT_MAX_CONCURRENT_CALLS;

use crate::cipher::RecordCipher;
use crate::compression::DEFAULT_MAX_DECOMPRESSED_BYTES;
use crate::error::SetupError;
use crate::keys::{Keys, KmsKeyId};
use crate::options::Engine;

/// Settings of a [`RecordCipher`] that decrypts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DecryptSettings {
    keys: Keys,
    /// Implementation that calls KMS and decodes messages; native by default.
    pub engine: Engine,
    /// Maximum number of data keys in the cache; 100 by default. Zero turns caching off.
    pub cache_capacity: usize,
    /// Maximum age of a cached data key; ten minutes by default.
    pub max_age: Duration,
    /// Maximum number of data keys that are decrypted at once, 1 or more; 16 by default.
    pub kms_concurrency: usize,
    /// Maximum size of a plaintext after decompression, in bytes; 4 MiB by default.
    pub max_decompressed_bytes: usize,
}

impl DecryptSettings {
    /// Decrypts records that were encrypted under one of these keys: key ARNs, or aliases, which
    /// [`build`](Self::build) resolves. They are tried in order, so list the nearest Region's
    /// first.
    #[must_use]
    pub fn with_keys(keys: Vec<KmsKeyId>) -> Self {
        Self::new(Keys::Decrypt(keys))
    }

    /// Decrypts records that were encrypted under any key of these accounts in the configured
    /// Region. `partition` is the accounts' AWS partition, such as `aws`.
    #[must_use]
    pub fn with_discovery(partition: String, accounts: Vec<String>) -> Self {
        Self::new(Keys::Discover { partition, accounts })
    }

    fn new(keys: Keys) -> Self {
        Self {
            keys,
            engine: Engine::default(),
            cache_capacity: 100,
            max_age: Duration::from_secs(600),
            kms_concurrency: DEFAULT_MAX_CONCURRENT_CALLS,
            max_decompressed_bytes: DEFAULT_MAX_DECOMPRESSED_BYTES,
        }
    }

    /// Builds the cipher. Calls `kms:DescribeKey` once for each alias, and nothing for key ARNs.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that is not allowed, or the alias that cannot be resolved.
    pub async fn build(&self, config: &SdkConfig) -> Result<RecordCipher, SetupError> {
        RecordCipher::builder(self.keys.clone(), config)
            .engine(self.engine)
            .cache_capacity(self.cache_capacity)
            .max_age(self.max_age)
            .kms_concurrency(self.kms_concurrency)
            .max_decompressed_bytes(self.max_decompressed_bytes)
            .build()
            .await
    }
}
