//! The settings of a caching CMM.

use std::sync::Arc;
use std::time::Duration;

use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManagerRef;
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;

use crate::cache::{CryptographicMaterialsCache, Limits};
use crate::clock::{Clock, SystemClock};
use crate::cmm::CachingCmm;
use crate::request::Policy;

/// Messages that one data key may encrypt, unless set: 2^32. Also the largest value that can be
/// set.
pub const DEFAULT_MAX_MESSAGES: u64 = 1 << 32;

/// Plaintext bytes that one data key may encrypt, unless set: 2^63 - 1. Also the largest value
/// that can be set.
pub const DEFAULT_MAX_BYTES: u64 = i64::MAX as u64;

/// Sets up a [`CachingCmm`]. Everything is checked in [`build`](Self::build).
#[derive(Debug, Default, Clone)]
#[must_use]
pub struct CachingCmmBuilder {
    cache: Option<Arc<dyn CryptographicMaterialsCache>>,
    keyring: Option<KeyringRef>,
    cmm: Option<CryptographicMaterialsManagerRef>,
    max_age: Option<Duration>,
    max_messages: Option<u64>,
    max_bytes: Option<u64>,
    grace_period: Duration,
    partition_id: Option<String>,
    clock: Option<Arc<dyn Clock>>,
}

impl CachingCmmBuilder {
    /// The cache to keep materials in. Required.
    pub fn cache(mut self, cache: Arc<dyn CryptographicMaterialsCache>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The keyring that makes and decrypts data keys, through aws-esdk's default CMM.
    /// Either this or [`underlying_cmm`](Self::underlying_cmm) is required.
    pub fn keyring(mut self, keyring: impl Into<KeyringRef>) -> Self {
        self.keyring = Some(keyring.into());
        self
    }

    /// The manager to ask on a cache miss.
    /// Either this or [`keyring`](Self::keyring) is required.
    pub fn underlying_cmm(mut self, cmm: impl Into<CryptographicMaterialsManagerRef>) -> Self {
        self.cmm = Some(cmm.into());
        self
    }

    /// How long a data key may be used. Required, and above zero.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// How many messages one data key may encrypt: 1 to 2^32, by default 2^32.
    pub fn max_messages(mut self, max_messages: u64) -> Self {
        self.max_messages = Some(max_messages);
        self
    }

    /// How many plaintext bytes one data key may encrypt: up to 2^63 - 1, by default that many.
    /// A longer plaintext is encrypted under a data key of its own.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = Some(max_bytes);
        self
    }

    /// Refreshes entries ahead: in the last `grace_period` of an entry's time, and in the same share
    /// of its messages and bytes, one caller starts the call for new materials in the background, and
    /// all go on with the old ones, within their limits, until the new ones are there. So a busy
    /// process does not wait at the end of a data key, and pays for that with calls that come
    /// earlier. Each entry is refreshed once; if the call fails, the entry ends as without a grace
    /// period.
    ///
    /// By default zero: entries end, and the next request waits for new materials. Must be shorter
    /// than `max_age`. Needs a Tokio runtime.
    pub fn refresh_ahead(mut self, grace_period: Duration) -> Self {
        self.grace_period = grace_period;
        self
    }

    /// Names the part of the cache that this CMM uses. CMMs on one cache share entries if they
    /// have the same partition id, and must then ask for the same materials of equal managers.
    /// By default a fresh unique id. Must not be empty, nor contain a null byte, which ends it in a
    /// cache id.
    pub fn partition_id(mut self, partition_id: impl Into<String>) -> Self {
        self.partition_id = Some(partition_id.into());
        self
    }

    /// The clock that ages entries; by default the system's. Give the cache the same one.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Makes the caching CMM. Asynchronous only because aws-esdk's constructors are.
    ///
    /// # Errors
    /// [`BuildError`] names the setting that is missing or out of range.
    pub async fn build(self) -> Result<CachingCmm, BuildError> {
        let limits = Limits {
            max_age: self.max_age.ok_or(BuildError::Missing("max_age"))?,
            max_messages: self.max_messages.unwrap_or(DEFAULT_MAX_MESSAGES),
            max_bytes: self.max_bytes.unwrap_or(DEFAULT_MAX_BYTES),
            grace_period: self.grace_period,
        };
        check_limits(&limits)?;
        let policy = Policy {
            partition_id: checked_partition_id(self.partition_id)?,
            limits,
            only_compares_context: self.keyring.is_some(),
        };
        Ok(CachingCmm::new(
            underlying(self.keyring, self.cmm).await?,
            self.cache.ok_or(BuildError::Missing("cache"))?,
            self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            policy,
        ))
    }
}

fn checked_partition_id(id: Option<String>) -> Result<String, BuildError> {
    match id {
        Some(id) if id.is_empty() || id.contains('\0') => Err(BuildError::PartitionId),
        Some(id) => Ok(id),
        None => Ok(uuid::Uuid::new_v4().to_string()),
    }
}

fn check_limits(limits: &Limits) -> Result<(), BuildError> {
    if limits.max_age.is_zero() {
        return Err(BuildError::MaxAge);
    }
    if !(1..=DEFAULT_MAX_MESSAGES).contains(&limits.max_messages) {
        return Err(BuildError::MaxMessages(limits.max_messages));
    }
    if limits.max_bytes > DEFAULT_MAX_BYTES {
        return Err(BuildError::MaxBytes(limits.max_bytes));
    }
    if limits.grace_period >= limits.max_age {
        return Err(BuildError::GracePeriod(limits.grace_period));
    }
    Ok(())
}

async fn underlying(
    keyring: Option<KeyringRef>,
    cmm: Option<CryptographicMaterialsManagerRef>,
) -> Result<CryptographicMaterialsManagerRef, BuildError> {
    match (keyring, cmm) {
        (None, None) => Err(BuildError::Missing("keyring or underlying_cmm")),
        (Some(_), Some(_)) => Err(BuildError::KeyringAndCmm),
        (None, Some(cmm)) => Ok(cmm),
        (Some(keyring), None) => Ok(default_cmm(keyring).await?),
    }
}

async fn default_cmm(keyring: KeyringRef) -> Result<CryptographicMaterialsManagerRef, Error> {
    let config = MaterialProvidersConfig::builder().build().map_err(Error::wrap_validation_err)?;
    MaterialProviders::from_conf(config)
        .map_err(Error::wrap_validation_err)?
        .create_default_cryptographic_materials_manager()
        .keyring(keyring)
        .send()
        .await
}

/// A setting of a [`CachingCmmBuilder`] that is missing or not allowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A required setting is missing.
    #[error("a caching CMM needs {0}")]
    Missing(&'static str),
    /// Two sources of materials are set.
    #[error("a caching CMM takes a keyring or an underlying_cmm, not both")]
    KeyringAndCmm,
    /// The maximum age is zero.
    #[error("max_age is zero; it must be longer")]
    MaxAge,
    /// The limit on messages is out of range.
    #[error("max_messages is {0}; it must be 1 to 4294967296")]
    MaxMessages(u64),
    /// The limit on bytes is out of range.
    #[error("max_bytes is {0}; it must be at most 9223372036854775807")]
    MaxBytes(u64),
    /// The grace period leaves nothing of the maximum age.
    #[error("refresh_ahead is {0:?}; it must be shorter than max_age")]
    GracePeriod(Duration),
    /// The partition id cannot be part of a cache id.
    #[error("partition_id is empty or contains a null byte; leave it out for a unique one")]
    PartitionId,
    /// aws-esdk could not make its default CMM over the keyring.
    #[error("aws-esdk refused the keyring")]
    Keyring(#[from] Error),
}
