//! [`RecordCipher`] and its settings.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use esdk_caching_cmm::{AwsEsdkManager, CachingCmm, DEFAULT_MAX_BYTES, LocalCache, NoCache};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::codec::Codec;
use crate::context::{Context, STREAM_CONTEXT_KEY, check_stream, context_for};
use crate::error::{CipherError, SetupError};
use crate::keyring::{self, Built};
use crate::keys::Keys;
use crate::names::{RegionName, StreamName};
use crate::options::{EncryptFor, Engine, Suite};
use crate::regions::Regions;
use crate::stats::{CipherStats, KmsMeter};

/// With frames of this length, the largest record that Kinesis takes (10 MiB) stays below the
/// number of frames that the AWS Encryption SDK's engine can take.
const MIN_FRAME_LENGTH: u32 = 1024;

/// Encrypts records for a stream, and decrypts records of a stream.
///
/// Clones share the data key cache. [`Keys`] decide whether a cipher encrypts or decrypts.
#[derive(Debug, Clone)]
pub struct RecordCipher {
    codec: Codec,
    cmm: CachingCmm<AwsEsdkManager>,
    cache: Arc<LocalCache>,
    /// `None` for decrypt-only keys.
    regions: Option<Regions>,
    kms: Arc<BTreeMap<RegionName, KmsMeter>>,
}

/// An encrypted record.
#[derive(Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// The message.
    pub message: Vec<u8>,
    /// Regions that cannot decrypt the message, because their KMS keys could not be used when its
    /// data key was made. Always empty if records are encrypted [for all Regions](EncryptFor::All).
    pub missing_regions: Vec<RegionName>,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted")
            .field("bytes", &self.message.len())
            .field("missing_regions", &self.missing_regions)
            .finish_non_exhaustive()
    }
}

impl RecordCipher {
    /// Configures a cipher over `keys`. `config` gives credentials, endpoints and, for discovery and
    /// alias names, the Region.
    pub fn builder(keys: Keys, config: &SdkConfig) -> RecordCipherBuilder {
        RecordCipherBuilder {
            keys,
            config: config.clone(),
            suite: Suite::default(),
            engine: Engine::default(),
            encrypt_for: EncryptFor::default(),
            recheck_after: Duration::from_secs(5),
            frame_length: 4096,
            cache_capacity: 100,
            max_age: Duration::from_secs(300),
            max_messages: 100,
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }

    /// Encrypts `plaintext` for `stream`. The message cannot be decrypted as a record of any other
    /// stream.
    ///
    /// # Errors
    /// [`CipherError`]. Failures of AWS KMS name the Region.
    pub async fn encrypt(
        &self,
        stream: &StreamName,
        plaintext: Vec<u8>,
    ) -> Result<Encrypted, CipherError> {
        let context = context_for(stream);
        let Some(regions) = self.regions.as_ref().filter(|regions| regions.may_miss_some()) else {
            let message = self.codec.encrypt(context, plaintext).await?;
            return Ok(Encrypted { message, missing_regions: Vec::new() });
        };
        let encrypted = self.encrypt_for(regions, context.clone(), plaintext.clone()).await?;
        if !regions.any_is_back(&encrypted.missing_regions) {
            return Ok(encrypted);
        }
        // The data key was made without a Region that is back now.
        self.cache.clear();
        self.encrypt_for(regions, context, plaintext).await
    }

    async fn encrypt_for(
        &self,
        regions: &Regions,
        context: Context,
        plaintext: Vec<u8>,
    ) -> Result<Encrypted, CipherError> {
        let message = self.codec.encrypt(context, plaintext).await?;
        let missing_regions = regions.missing(&self.codec.parse(&message)?);
        Ok(Encrypted { message, missing_regions })
    }

    /// Decrypts a message that came from `stream`.
    ///
    /// # Errors
    /// [`CipherError`]; its [`kind`](CipherError::kind) says whether the record can ever be
    /// decrypted, and who must act.
    pub async fn decrypt(
        &self,
        stream: &StreamName,
        message: Vec<u8>,
    ) -> Result<Vec<u8>, CipherError> {
        // Not authenticated yet: used only to reject a record early, without a call to KMS.
        let claims = self.codec.parse(&message)?;
        let claimed = claims.encryption_context().find(|(key, _)| *key == STREAM_CONTEXT_KEY);
        check_stream(stream, claimed.map(|(_, stream)| stream))?;
        let (plaintext, context) = self.codec.decrypt(message).await?;
        // Authenticated now, so this is the check that counts.
        check_stream(stream, context.get(STREAM_CONTEXT_KEY).map(String::as_str))?;
        Ok(plaintext)
    }

    /// Returns counters accumulated by this cipher and its clones.
    #[must_use]
    pub fn stats(&self) -> CipherStats {
        let kms = self.kms.iter().map(|(region, meter)| (region.clone(), meter.read())).collect();
        CipherStats { data_keys: self.cmm.stats(), cache: self.cmm.cache_stats(), kms }
    }
}

/// Sets up a [`RecordCipher`]. Everything is checked in [`build`](Self::build).
#[derive(Debug, Clone)]
#[must_use]
pub struct RecordCipherBuilder {
    keys: Keys,
    config: SdkConfig,
    suite: Suite,
    engine: Engine,
    encrypt_for: EncryptFor,
    recheck_after: Duration,
    frame_length: u64,
    cache_capacity: usize,
    max_age: Duration,
    max_messages: u64,
    max_bytes: u64,
}

impl RecordCipherBuilder {
    /// The algorithm suite to encrypt with; signed by default.
    pub fn suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Who encodes and decodes messages; native by default.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Which Regions' keys a record has to be encrypted for; all by default.
    pub fn encrypt_for(mut self, encrypt_for: EncryptFor) -> Self {
        self.encrypt_for = encrypt_for;
        self
    }

    /// How long a Region whose key cannot be used is left out before it is tried again, in the
    /// background; five seconds by default. Matters only if records are encrypted
    /// [for the available Regions](EncryptFor::Available).
    pub fn recheck_after(mut self, recheck_after: Duration) -> Self {
        self.recheck_after = recheck_after;
        self
    }

    /// Plaintext bytes per frame of a message, 1,024 to 2^32 - 1; 4,096 by default.
    pub fn frame_length(mut self, frame_length: u64) -> Self {
        self.frame_length = frame_length;
        self
    }

    /// Data keys that the cache holds at most; 100 by default. Zero caches nothing.
    pub fn cache_capacity(mut self, cache_capacity: usize) -> Self {
        self.cache_capacity = cache_capacity;
        self
    }

    /// How long a data key is used; five minutes by default.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// How many records one data key encrypts, 1 to 2^32; 100 by default.
    pub fn max_messages(mut self, max_messages: u64) -> Self {
        self.max_messages = max_messages;
        self
    }

    /// How many plaintext bytes one data key encrypts; 2^63 - 1 by default.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Makes the cipher, and takes the AWS Encryption SDK's one-off initialisation (tens of
    /// milliseconds) out of the first record. Does not call KMS.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that is not allowed.
    pub async fn build(self) -> Result<RecordCipher, SetupError> {
        if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Err(SetupError::Runtime);
        }
        let frame_length = u32::try_from(self.frame_length)
            .ok()
            .filter(|length| *length >= MIN_FRAME_LENGTH)
            .ok_or(SetupError::FrameLength(self.frame_length))?;
        let Built { keyring, regions, kms } =
            keyring::build(&self.keys, &self.config, self.encrypt_for, self.recheck_after).await?;
        let cache = Arc::new(LocalCache::new(self.cache_capacity));
        let cmm = CachingCmm::builder(manager(keyring).await?)
            .cache(cache.clone())
            .max_age(self.max_age)
            .max_messages(self.max_messages)
            .max_bytes(self.max_bytes)
            .build()?;
        let codec = Codec::new(self.engine, cmm.clone(), self.suite, frame_length)?;
        self.warm_up(frame_length).await?;
        Ok(RecordCipher { codec, cmm, cache, regions, kms: Arc::new(kms) })
    }

    /// Sends a message to itself, under a throw-away key.
    async fn warm_up(&self, frame_length: u32) -> Result<(), SetupError> {
        let cmm = CachingCmm::builder(manager(keyring::raw_aes(&[0; 32]).await?).await?)
            .cache(Arc::new(NoCache::default()))
            .max_age(Duration::MAX)
            .build()?;
        let codec = Codec::new(self.engine, cmm, self.suite, frame_length)?;
        let failed = |error: CipherError| SetupError::Sdk(error.to_string());
        let message = codec.encrypt(Context::new(), Vec::new()).await.map_err(failed)?;
        codec.decrypt(message).await.map_err(failed)?;
        Ok(())
    }
}

async fn manager(keyring: KeyringRef) -> Result<AwsEsdkManager, SetupError> {
    let manager = AwsEsdkManager::from_keyring(keyring).await;
    manager.map_err(|error| SetupError::Sdk(error.to_string()))
}
