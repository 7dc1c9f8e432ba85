//! What a pusher needs to know.

#[cfg(feature = "settings")]
use clap::builder::TypedValueParser;
#[cfg(feature = "settings")]
use clap::value_parser;
use record_cipher::{EncryptFor, Engine, KmsKeyId, RegionName, StreamName, Suite};

/// The settings of a [`RecordPusher`](crate::RecordPusher).
#[derive(Debug, Clone)]
#[cfg_attr(feature = "settings", derive(clap::Args))]
#[non_exhaustive]
pub struct PusherSettings {
    /// Regions to push to, separated by commas; the first one's KMS key generates the data keys
    #[cfg_attr(feature = "settings", arg(long, env, value_delimiter = ',', required = true))]
    pub regions: Vec<RegionName>,

    /// KMS key that every Region has: alias/NAME, the ARN of an alias, or the ARN of a
    /// multi-Region key
    #[cfg_attr(feature = "settings", arg(long, env))]
    pub kms_key: KmsKeyId,

    /// Name of the Kinesis stream, the same in every Region
    #[cfg_attr(feature = "settings", arg(long, env))]
    pub stream: StreamName,

    /// Algorithm suite: signed (ECDSA P-384, so that readers cannot forge records) or unsigned
    /// (many times faster)
    #[cfg_attr(feature = "settings", arg(long, env, default_value_t = Suite::Signed))]
    pub suite: Suite,

    /// Regions whose KMS keys a record must be encrypted for: all, so that it fails while one cannot
    /// be used, or those that are available; the others then do not get the record
    #[cfg_attr(feature = "settings", arg(long, env, default_value_t = EncryptFor::All))]
    pub encrypt_for: EncryptFor,

    /// Top-level field of a record that is its partition key, a string or a number; without it each
    /// message gets a random one. Records of one key stay in order. The key travels unencrypted
    #[cfg_attr(feature = "settings", arg(long, env))]
    pub partition_key_field: Option<String>,

    /// Bytes of JSON in one message: small records share it, those of one partition key as the case
    /// may be; 0 gives each record a message of its own
    #[cfg_attr(
        feature = "settings",
        arg(
            long,
            env,
            default_value_t = 0,
            value_parser = value_parser!(u64).range(..=MAX_AGGREGATE_BYTES).map(to_usize)
        )
    )]
    pub aggregate_bytes: usize,

    /// Milliseconds for which a record waits for others to share a message or a request
    #[cfg_attr(
        feature = "settings",
        arg(long, env, default_value_t = DEFAULT_LINGER_MS, value_parser = value_parser!(u64).range(..=60_000))
    )]
    pub linger_ms: u64,

    /// Seconds after which a record that a Region has not acknowledged is handed back
    #[cfg_attr(
        feature = "settings",
        arg(
            long,
            env,
            default_value_t = DEFAULT_DELIVERY_TIMEOUT,
            value_parser = value_parser!(u64).range(1..=86_400)
        )
    )]
    pub delivery_timeout_seconds: u64,

    /// Who encodes messages: native, or aws-esdk for the vendor's code; what they write is the same
    #[cfg_attr(feature = "settings", arg(long, env, default_value_t = Engine::Native))]
    pub engine: Engine,

    /// Data keys held in the cache; 0 turns caching off
    #[cfg_attr(feature = "settings", arg(long, env, default_value_t = DEFAULT_CACHE_CAPACITY))]
    pub cache_capacity: usize,

    /// Seconds for which a data key is used
    #[cfg_attr(
        feature = "settings",
        arg(long, env, default_value_t = DEFAULT_CACHE_MAX_AGE, value_parser = value_parser!(u64).range(1..))
    )]
    pub cache_max_age_seconds: u64,

    /// Records that one data key encrypts, 1 to 4294967296
    #[cfg_attr(
        feature = "settings",
        arg(
            long,
            env,
            default_value_t = DEFAULT_CACHE_MAX_MESSAGES,
            value_parser = value_parser!(u64).range(1..=1 << 32)
        )
    )]
    pub cache_max_messages: u64,
}

/// The setting of the programs by which traces go on in consumers. Other users of the library have
/// [`Record::or_insert`](crate::Record::or_insert).
#[cfg(feature = "settings")]
#[derive(Debug, Clone, clap::Args)]
pub struct TraceSettings {
    /// Top-level attribute that each record without it gets, with the trace context as a W3C
    /// traceparent; none if not set or empty
    #[arg(long, env)]
    pub trace_attribute: Option<String>,
}

#[cfg(feature = "settings")]
impl TraceSettings {
    /// The attribute, if there is to be one.
    #[must_use]
    pub fn attribute(&self) -> Option<&str> {
        self.trace_attribute.as_deref().filter(|name| !name.is_empty())
    }
}

const DEFAULT_CACHE_CAPACITY: usize = 100;
const DEFAULT_CACHE_MAX_AGE: u64 = 300;
const DEFAULT_CACHE_MAX_MESSAGES: u64 = 100;
const DEFAULT_LINGER_MS: u64 = 5;
const DEFAULT_DELIVERY_TIMEOUT: u64 = 30;
/// So much leaves room for the message around it in a record of 1 MiB, which every stream takes.
#[cfg(feature = "settings")]
const MAX_AGGREGATE_BYTES: u64 = 1_000_000;

#[cfg(feature = "settings")]
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a million fits")
}

impl PusherSettings {
    /// Settings with the default suite (signed), engine (native) and cache (100 data keys, each for
    /// five minutes and a hundred records), one record per message, and 30 seconds for delivery.
    #[must_use]
    pub fn new(stream: StreamName, kms_key: KmsKeyId, regions: Vec<RegionName>) -> Self {
        Self {
            regions,
            kms_key,
            stream,
            suite: Suite::Signed,
            encrypt_for: EncryptFor::All,
            partition_key_field: None,
            aggregate_bytes: 0,
            linger_ms: DEFAULT_LINGER_MS,
            delivery_timeout_seconds: DEFAULT_DELIVERY_TIMEOUT,
            engine: Engine::Native,
            cache_capacity: DEFAULT_CACHE_CAPACITY,
            cache_max_age_seconds: DEFAULT_CACHE_MAX_AGE,
            cache_max_messages: DEFAULT_CACHE_MAX_MESSAGES,
        }
    }
}
