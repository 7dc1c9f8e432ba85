//! What a pusher needs to know.

#[cfg(feature = "settings")]
use clap::value_parser;
use record_cipher::{Engine, KmsKeyId, RegionName, StreamName, Suite};

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

const DEFAULT_CACHE_CAPACITY: usize = 100;
const DEFAULT_CACHE_MAX_AGE: u64 = 300;
const DEFAULT_CACHE_MAX_MESSAGES: u64 = 100;

impl PusherSettings {
    /// Settings with the default suite (signed), engine (native) and cache: 100 data keys, each for five minutes
    /// and a hundred records.
    #[must_use]
    pub fn new(stream: StreamName, kms_key: KmsKeyId, regions: Vec<RegionName>) -> Self {
        Self {
            regions,
            kms_key,
            stream,
            suite: Suite::Signed,
            engine: Engine::Native,
            cache_capacity: DEFAULT_CACHE_CAPACITY,
            cache_max_age_seconds: DEFAULT_CACHE_MAX_AGE,
            cache_max_messages: DEFAULT_CACHE_MAX_MESSAGES,
        }
    }
}
