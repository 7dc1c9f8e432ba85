//! The caching cryptographic materials manager.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::operation::decrypt_materials::{
    DecryptMaterialsInput, DecryptMaterialsOutput,
};
use aws_esdk::material_providers::operation::get_encryption_materials::{
    GetEncryptionMaterialsInput, GetEncryptionMaterialsOutput,
};
use aws_esdk::material_providers::types::cryptographic_materials_manager::{
    CryptographicMaterialsManager, CryptographicMaterialsManagerRef,
};
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{DecryptionMaterials, EncryptionMaterials};

use crate::cache::{CacheEntry, CacheStats, CryptographicMaterialsCache, Limits, Usage};
use crate::cache_id::CacheId;
use crate::clock::{Clock, SystemClock};
use crate::materials::{CachedMaterials, derives_message_keys, is_identity_kdf};

/// Messages that one data key may encrypt, unless set: 2^32. Also the largest value that can be
/// set.
pub const DEFAULT_MAX_MESSAGES: u64 = 1 << 32;

/// Plaintext bytes that one data key may encrypt, unless set: 2^63 - 1. Also the largest value
/// that can be set.
pub const DEFAULT_MAX_BYTES: u64 = i64::MAX as u64;

/// A cryptographic materials manager that keeps data keys in a cache, and asks the manager or
/// keyring under it only when the cache has none that may still be used.
///
/// It implements aws-esdk's [`CryptographicMaterialsManager`], and so goes wherever aws-esdk takes
/// one. Clones share everything.
///
/// # What is not cached
/// A request goes straight to the underlying manager, and its materials are not stored, when
/// - its suite derives no key per message (identity KDF);
/// - it encrypts a plaintext whose length is not given, or is above the limit on bytes;
/// - it names required encryption context keys, or reproduces context that the message does not
///   carry: the materials then depend on more than the cache id covers.
///
/// Source: AWS Encryption SDK specification, `framework/caching-cmm.md`.
#[derive(Debug, Clone)]
pub struct CachingCmm {
    underlying: CryptographicMaterialsManagerRef,
    cache: Arc<dyn CryptographicMaterialsCache>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    partition_id: Arc<str>,
}

impl CachingCmm {
    /// Starts a caching CMM. A cache, a maximum age, and a keyring or manager are required.
    pub fn builder() -> CachingCmmBuilder {
        CachingCmmBuilder::default()
    }

    /// The statistics of the cache, which covers all that share it.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.cache.stats()
    }

    fn ask_for_encryption(
        &self,
        input: GetEncryptionMaterialsInput,
    ) -> Result<GetEncryptionMaterialsOutput, Error> {
        let manager = self.underlying.inner.lock().unwrap_or_else(PoisonError::into_inner);
        manager.get_encryption_materials(input)
    }

    fn ask_for_decryption(
        &self,
        input: DecryptMaterialsInput,
    ) -> Result<DecryptMaterialsOutput, Error> {
        let manager = self.underlying.inner.lock().unwrap_or_else(PoisonError::into_inner);
        manager.decrypt_materials(input)
    }

    /// Where and with what use to look for encryption materials; `None` to bypass the cache.
    fn encryption_lookup(&self, input: &GetEncryptionMaterialsInput) -> Option<(CacheId, Usage)> {
        let suite = input.algorithm_suite_id.as_ref();
        let usage = Usage::message(u64::try_from(input.max_plaintext_length?).ok()?);
        let names_required_keys =
            input.required_encryption_context_keys.as_ref().is_some_and(|keys| !keys.is_empty());
        if suite.is_some_and(is_identity_kdf)
            || names_required_keys
            || !usage.is_within(&self.limits)
        {
            return None;
        }
        let id =
            CacheId::for_encryption(&self.partition_id, suite, input.encryption_context.as_ref()?)?;
        Some((id, usage))
    }

    /// Where to look for decryption materials; `None` to bypass the cache.
    fn decryption_lookup(&self, input: &DecryptMaterialsInput) -> Option<CacheId> {
        let suite = input.algorithm_suite_id.as_ref()?;
        let context = input.encryption_context.as_ref()?;
        let reproduced = input.reproduced_encryption_context.as_ref();
        let adds_pairs =
            reproduced.is_some_and(|pairs| pairs.keys().any(|key| !context.contains_key(key)));
        if is_identity_kdf(suite) || adds_pairs {
            return None;
        }
        CacheId::for_decryption(
            &self.partition_id,
            suite,
            input.encrypted_data_keys.as_ref()?,
            context,
        )
    }

    fn store(&self, id: CacheId, materials: CachedMaterials, usage: Usage) {
        let entry = CacheEntry::new(materials, self.clock.now(), self.limits.max_age, usage);
        self.cache.put(id, entry);
    }
}

impl CryptographicMaterialsManager for CachingCmm {
    fn get_encryption_materials(
        &self,
        mut input: GetEncryptionMaterialsInput,
    ) -> Result<GetEncryptionMaterialsOutput, Error> {
        let Some((id, usage)) = self.encryption_lookup(&input) else {
            return self.ask_for_encryption(input);
        };
        if let Some(CachedMaterials::Encryption(found)) = self.cache.get(&id, &self.limits, usage) {
            return encryption_output(EncryptionMaterials::clone(&found));
        }
        // The materials will serve messages of other lengths too.
        input.max_plaintext_length = None;
        let output = self.ask_for_encryption(input)?;
        if let Some(materials) = &output.encryption_materials
            && derives_message_keys(materials.algorithm_suite.as_ref())
        {
            self.store(id, materials.clone().into(), usage);
        }
        Ok(output)
    }

    fn decrypt_materials(
        &self,
        input: DecryptMaterialsInput,
    ) -> Result<DecryptMaterialsOutput, Error> {
        check_reproduced_context(&input)?;
        let Some(id) = self.decryption_lookup(&input) else {
            return self.ask_for_decryption(input);
        };
        let found = self.cache.get(&id, &self.limits, Usage::NONE);
        if let Some(CachedMaterials::Decryption(found)) = found {
            return decryption_output(DecryptionMaterials::clone(&found));
        }
        let output = self.ask_for_decryption(input)?;
        if let Some(materials) = &output.decryption_materials
            && derives_message_keys(materials.algorithm_suite.as_ref())
        {
            self.store(id, materials.clone().into(), Usage::NONE);
        }
        Ok(output)
    }
}

/// Pairs that the caller reproduces must be those of the message. The underlying manager checks
/// this too, but is not asked on a hit (`framework/cmm-interface.md`, decrypt materials).
fn check_reproduced_context(input: &DecryptMaterialsInput) -> Result<(), Error> {
    let empty = HashMap::new();
    let context = input.encryption_context.as_ref().unwrap_or(&empty);
    let reproduced = input.reproduced_encryption_context.as_ref().unwrap_or(&empty);
    let differs = |(key, value)| context.get(key).is_some_and(|other| other != value);
    if reproduced.iter().any(differs) {
        return Err(Error::InvalidDecryptionMaterials {
            message: "the message's encryption context differs from the one that was reproduced \
                      for its decryption"
                .to_owned(),
        });
    }
    Ok(())
}

fn encryption_output(
    materials: EncryptionMaterials,
) -> Result<GetEncryptionMaterialsOutput, Error> {
    GetEncryptionMaterialsOutput::builder()
        .encryption_materials(materials)
        .build()
        .map_err(Error::wrap_validation_err)
}

fn decryption_output(materials: DecryptionMaterials) -> Result<DecryptMaterialsOutput, Error> {
    DecryptMaterialsOutput::builder()
        .decryption_materials(materials)
        .build()
        .map_err(Error::wrap_validation_err)
}

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

    /// Names the part of the cache that this CMM uses. CMMs on one cache share entries if they
    /// have the same partition id, and must then ask for the same materials of equal managers.
    /// By default a fresh unique id. Must not be empty.
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
        };
        check_limits(&limits)?;
        let partition_id = match self.partition_id {
            Some(id) if id.is_empty() => return Err(BuildError::EmptyPartitionId),
            Some(id) => id,
            None => uuid::Uuid::new_v4().to_string(),
        };
        Ok(CachingCmm {
            underlying: underlying(self.keyring, self.cmm).await?,
            cache: self.cache.ok_or(BuildError::Missing("cache"))?,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock)),
            limits,
            partition_id: partition_id.into(),
        })
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
    /// The partition id is empty.
    #[error("partition_id is empty; leave it out for a unique one")]
    EmptyPartitionId,
    /// aws-esdk could not make its default CMM over the keyring.
    #[error("aws-esdk refused the keyring")]
    Keyring(#[from] Error),
}
