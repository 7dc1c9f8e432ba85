//! Settings of a pusher, checked when it is built.

use std::time::Duration;

use aws_config::SdkConfig;
use record_cipher::aggregate::MAX_AGGREGATE_BYTES;
use record_cipher::{
    Compression, EncryptFor, Engine, Keys, KmsKeyId, RecordCipher, RegionName, StreamName, Suite,
};

use crate::item_key::ItemKey;
use crate::outage::OnOutage;
use crate::pusher::RecordPusher;

/// Bytes that a pusher holds at once. Enough for the requests in flight, and so little that one shard
/// accepts it all well within the default delivery timeout.
pub(crate) const MAX_BYTES_IN_FLIGHT: usize = 8 << 20;
/// Time that an entry waits for others to share a request, unless the setting says more.
pub(crate) const REQUEST_LINGER: Duration = Duration::from_millis(5);

const MAX_LINGER: Duration = Duration::from_secs(60);
const MIN_DELIVERY_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_DELIVERY_TIMEOUT: Duration = Duration::from_secs(86_400);
const MAX_CACHE_CAPACITY: usize = 1_000_000;
const MIN_CACHE_AGE: Duration = Duration::from_secs(1);
const MAX_CACHE_AGE: Duration = Duration::from_secs(365 * 86_400);
const MAX_CACHE_MESSAGES: u64 = 1 << 32;

/// A setting of a pusher that is not allowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A value is out of range.
    #[error("{setting} is {value}; it must be {allowed}")]
    #[non_exhaustive]
    OutOfRange {
        /// Name of the setting, that of the builder's method.
        setting: &'static str,
        /// The value.
        value: String,
        /// The values that are allowed.
        allowed: &'static str,
    },
    /// A setting of the cipher is not allowed.
    #[error(transparent)]
    Cipher(#[from] record_cipher::SetupError),
}

impl SetupError {
    /// Returns the name of the setting that is not allowed, as in the builder, such as `kms_key`.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            Self::OutOfRange { setting, .. } => Some(setting),
            Self::Cipher(record_cipher::SetupError::Key(_)) => Some("kms_key"),
            Self::Cipher(
                record_cipher::SetupError::Empty(_) | record_cipher::SetupError::RepeatedRegion(_),
            ) => Some("regions"),
            Self::Cipher(_) => None,
        }
    }
}

/// Builds a [`RecordPusher`]. All settings but stream, key and Regions have defaults.
#[derive(Debug, Clone)]
#[must_use]
pub struct RecordPusherBuilder {
    pub(crate) stream: StreamName,
    kms_key: KmsKeyId,
    pub(crate) regions: Vec<RegionName>,
    suite: Suite,
    encrypt_for: EncryptFor,
    engine: Engine,
    compression: Compression,
    compression_level: i32,
    pub(crate) partition_key_field: Option<String>,
    pub(crate) require_key: Option<ItemKey>,
    pub(crate) aggregate_bytes: usize,
    pub(crate) linger: Duration,
    pub(crate) delivery_timeout: Duration,
    pub(crate) on_outage: OnOutage,
    cache_capacity: usize,
    cache_max_age: Duration,
    cache_max_messages: u64,
}

impl RecordPusherBuilder {
    pub(crate) fn new(stream: StreamName, kms_key: KmsKeyId, regions: Vec<RegionName>) -> Self {
        Self {
            stream,
            kms_key,
            regions,
            suite: Suite::default(),
            encrypt_for: EncryptFor::default(),
            engine: Engine::default(),
            compression: Compression::default(),
            compression_level: 1,
            partition_key_field: None,
            require_key: None,
            aggregate_bytes: 0,
            linger: Duration::from_millis(5),
            delivery_timeout: Duration::from_secs(30),
            on_outage: OnOutage::default(),
            cache_capacity: 100,
            cache_max_age: Duration::from_secs(300),
            cache_max_messages: 100,
        }
    }

    /// Sets the algorithm suite; signed by default.
    pub fn suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Sets the Regions whose KMS keys a record must be encrypted for; all by default.
    pub fn encrypt_for(mut self, encrypt_for: EncryptFor) -> Self {
        self.encrypt_for = encrypt_for;
        self
    }

    /// Sets the implementation that encodes messages; native by default.
    pub fn engine(mut self, engine: Engine) -> Self {
        self.engine = engine;
        self
    }

    /// Sets the compression of plaintexts before they are encrypted; none by default. Worth it with
    /// [aggregation](Self::aggregate_bytes). A message that would not get shorter is sent as it is.
    /// Upgrade consumers before you turn it on.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the level of the compression, 1 to 19; 1 by default.
    pub fn compression_level(mut self, level: i32) -> Self {
        self.compression_level = level;
        self
    }

    /// Takes the partition key from this top-level field: a string of 1 to 256 characters, or a
    /// number. Records with the same key stay in order. The key is not encrypted. By default each
    /// message has a random key.
    pub fn partition_key_field(mut self, field: impl Into<String>) -> Self {
        self.partition_key_field = Some(field.into());
        self
    }

    /// Refuses records that a DynamoDB table with this key cannot store. By default no record is
    /// checked.
    pub fn require_key(mut self, key: ItemKey) -> Self {
        self.require_key = Some(key);
        self
    }

    /// Sets the maximum bytes of JSON in one message, 0 to 1,000,000. Small records share messages;
    /// with a partition key field, those with the same key. Zero, the default, gives each record its
    /// own message.
    pub fn aggregate_bytes(mut self, bytes: usize) -> Self {
        self.aggregate_bytes = bytes;
        self
    }

    /// Sets the time that a record waits for others to share a message or a request, up to 1 minute;
    /// 5 ms by default. Records leave earlier if they would fill the memory.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets the time after which a record that was not acknowledged is returned as undelivered, 1
    /// second to 1 day; 30 seconds by default. Retryable errors are retried until then, whether AWS
    /// KMS or Kinesis returned them.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = timeout;
        self
    }

    /// Sets what happens to records while an operator has to act; by default they are returned.
    pub fn on_outage(mut self, policy: OnOutage) -> Self {
        self.on_outage = policy;
        self
    }

    /// Sets the number of data keys in the cache, 0 to 1,000,000; 100 by default. Zero turns caching
    /// off.
    pub fn cache_capacity(mut self, capacity: usize) -> Self {
        self.cache_capacity = capacity;
        self
    }

    /// Sets the maximum age of a data key, 1 second to 1 year; 5 minutes by default.
    pub fn cache_max_age(mut self, age: Duration) -> Self {
        self.cache_max_age = age;
        self
    }

    /// Sets the number of messages that one data key encrypts, 1 to 2^32; 100 by default.
    pub fn cache_max_messages(mut self, messages: u64) -> Self {
        self.cache_max_messages = messages;
        self
    }

    /// Builds the pusher. Makes no AWS calls; the first record triggers them.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that is not allowed.
    pub async fn build(self, config: &SdkConfig) -> Result<RecordPusher, SetupError> {
        self.check()?;
        let keys = Keys::Encrypt { key: self.kms_key.clone(), regions: self.regions.clone() };
        let cipher = RecordCipher::builder(keys, config)
            .suite(self.suite)
            .engine(self.engine)
            .encrypt_for(self.encrypt_for)
            .compression(self.compression)
            .compression_level(self.compression_level)
            .cache_capacity(self.cache_capacity)
            .max_age(self.cache_max_age)
            .max_messages(self.cache_max_messages)
            .build()
            .await?;
        Ok(RecordPusher::start(cipher, self, config))
    }

    fn check(&self) -> Result<(), SetupError> {
        let field = self.partition_key_field.as_deref();
        let checks = [
            check("partition_key_field", "a field's name", field != Some(""), || "empty".into()),
            check(
                "aggregate_bytes",
                "0 to 1000000",
                self.aggregate_bytes <= MAX_AGGREGATE_BYTES,
                || self.aggregate_bytes.to_string(),
            ),
            check("linger", "up to 60 s", self.linger <= MAX_LINGER, || seconds(self.linger)),
            check_delivery_timeout(self.delivery_timeout),
            check(
                "cache_capacity",
                "0 to 1000000",
                self.cache_capacity <= MAX_CACHE_CAPACITY,
                || self.cache_capacity.to_string(),
            ),
            check(
                "cache_max_age",
                "1 to 31536000 s",
                (MIN_CACHE_AGE..=MAX_CACHE_AGE).contains(&self.cache_max_age),
                || seconds(self.cache_max_age),
            ),
            check(
                "cache_max_messages",
                "1 to 4294967296",
                (1..=MAX_CACHE_MESSAGES).contains(&self.cache_max_messages),
                || self.cache_max_messages.to_string(),
            ),
        ];
        checks.into_iter().collect()
    }
}

pub(crate) fn check_delivery_timeout(timeout: Duration) -> Result<(), SetupError> {
    let is_allowed = (MIN_DELIVERY_TIMEOUT..=MAX_DELIVERY_TIMEOUT).contains(&timeout);
    check("delivery_timeout", "1 to 86400 s", is_allowed, || seconds(timeout))
}

fn check(
    setting: &'static str,
    allowed: &'static str,
    is_allowed: bool,
    value: impl FnOnce() -> String,
) -> Result<(), SetupError> {
    if is_allowed {
        return Ok(());
    }
    Err(SetupError::OutOfRange { setting, value: value(), allowed })
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
