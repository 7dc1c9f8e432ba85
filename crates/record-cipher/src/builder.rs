//! Settings of a [`RecordCipher`].

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use esdk_caching_cmm::{
    CachingCmm, CachingCmmBuilder, DEFAULT_MAX_BYTES, DEFAULT_MAX_CONCURRENT_CALLS, LocalCache,
    MaterialsManager,
};
use esdk_message::Suite;

use crate::cipher::{PlaintextRules, RecordCipher};
use crate::codec::Codec;
use crate::codec::native::Native;
use crate::compression::{Compression, DEFAULT_MAX_DECOMPRESSED_BYTES, LEVELS};
use crate::error::SetupError;
use crate::keyring;
use crate::keys::Keys;
use crate::kms::Clients;
use crate::options::{EncryptFor, Engine};

/// With frames of this length, the largest record that Kinesis takes (10 MiB) stays below the
/// number of frames that the AWS Encryption SDK's engine can take.
const MIN_FRAME_LENGTH: u32 = 1024;

/// Configures a [`RecordCipher`]. [`build`](Self::build) checks everything.
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
    kms_concurrency: usize,
    compression: Compression,
    compression_level: i32,
    max_decompressed_bytes: usize,
}

impl RecordCipherBuilder {
    pub(crate) fn new(keys: Keys, config: &SdkConfig) -> Self {
        Self {
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
            kms_concurrency: DEFAULT_MAX_CONCURRENT_CALLS,
            compression: Compression::default(),
            compression_level: 1,
            max_decompressed_bytes: DEFAULT_MAX_DECOMPRESSED_BYTES,
        }
    }

    /// Algorithm suite to encrypt with; signed by default.
    pub fn suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Implementation that calls KMS and encodes and decodes messages; native by default.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Regions whose keys a record must be encrypted for; all by default.
    pub fn encrypt_for(mut self, encrypt_for: EncryptFor) -> Self {
        self.encrypt_for = encrypt_for;
        self
    }

    /// Time for which a Region whose key cannot be used is left out before it is tried again, in the
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

    /// Maximum number of data keys in the cache; 100 by default. Zero turns caching off.
    pub fn cache_capacity(mut self, cache_capacity: usize) -> Self {
        self.cache_capacity = cache_capacity;
        self
    }

    /// Maximum age of a cached data key; five minutes by default.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Maximum number of records per data key, 1 to 2^32; 100 by default.
    pub fn max_messages(mut self, max_messages: u64) -> Self {
        self.max_messages = max_messages;
        self
    }

    /// Maximum plaintext bytes per data key; 2^63 - 1 by default.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Maximum number of data keys that are made or decrypted at once, 1 or more; 16 by default.
    /// Records whose data key is cached never wait for them.
    pub fn kms_concurrency(mut self, kms_concurrency: usize) -> Self {
        self.kms_concurrency = kms_concurrency;
        self
    }

    /// Compression of plaintexts before they are encrypted; none by default. A plaintext that would
    /// not get shorter is encrypted as it is. Upgrade readers before you turn it on.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Level of the compression, 1 to 19; 1 by default.
    pub fn compression_level(mut self, level: i32) -> Self {
        self.compression_level = level;
        self
    }

    /// Maximum size of a plaintext after decompression, in bytes; 4 MiB by default. A message that
    /// declares more is refused before memory is allocated for it.
    pub fn max_decompressed_bytes(mut self, bytes: usize) -> Self {
        self.max_decompressed_bytes = bytes;
        self
    }

    /// Builds the cipher. Calls `kms:DescribeKey` once for each alias that is to decrypt, and KMS
    /// for nothing else.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that is not allowed, or the alias that cannot be resolved.
    pub async fn build(self) -> Result<RecordCipher, SetupError> {
        let frame_length = u32::try_from(self.frame_length)
            .ok()
            .filter(|length| *length >= MIN_FRAME_LENGTH)
            .ok_or(SetupError::FrameLength(self.frame_length))?;
        if self.kms_concurrency == 0 {
            return Err(SetupError::KmsConcurrency);
        }
        if !LEVELS.contains(&self.compression_level) {
            return Err(SetupError::CompressionLevel(self.compression_level));
        }
        let mut clients = Clients::new(&self.config);
        let codec = match self.engine {
            Engine::Native => {
                let cache = Arc::new(LocalCache::new(self.cache_capacity));
                let regional = (self.encrypt_for, self.recheck_after);
                let keyring = keyring::build(&self.keys, regional, &mut clients, &cache).await?;
                let cmm = self.caching(CachingCmm::builder(keyring), cache).build()?;
                Codec::Native(Native::new(cmm, self.suite, frame_length))
            }
            Engine::AwsEsdk => self.aws_esdk(&mut clients, frame_length).await?,
        };
        let plaintexts = PlaintextRules {
            compression_level: (self.compression == Compression::Zstd)
                .then_some(self.compression_level),
            max_decompressed_bytes: self.max_decompressed_bytes,
        };
        Ok(RecordCipher::new(codec, plaintexts, clients.into_meters()))
    }

    fn caching<M: MaterialsManager>(
        &self,
        builder: CachingCmmBuilder<M>,
        cache: Arc<LocalCache>,
    ) -> CachingCmmBuilder<M> {
        builder
            .cache(cache)
            .max_age(self.max_age)
            .max_messages(self.max_messages)
            .max_bytes(self.max_bytes)
            .max_concurrent_calls(self.kms_concurrency)
    }

    #[cfg(not(feature = "aws-esdk"))]
    async fn aws_esdk(&self, _: &mut Clients<'_>, _: u32) -> Result<Codec, SetupError> {
        Err(SetupError::MissingFeature)
    }

    #[cfg(feature = "aws-esdk")]
    async fn aws_esdk(
        &self,
        clients: &mut Clients<'_>,
        frame_length: u32,
    ) -> Result<Codec, SetupError> {
        use crate::codec::aws_esdk::{AwsEsdk, check_runtime, manager};

        check_runtime()?;
        if self.encrypt_for == EncryptFor::Available {
            return Err(SetupError::EncryptFor);
        }
        let manager = manager(&self.keys, clients).await?;
        let cache = Arc::new(LocalCache::new(self.cache_capacity));
        let cmm = self.caching(CachingCmm::builder(manager), cache).build()?;
        Ok(Codec::AwsEsdk(AwsEsdk::new(cmm, self.suite, frame_length)?))
    }
}
