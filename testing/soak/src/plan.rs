//! Plans of runs.

use fastrand::Rng;
use record_pusher::{EncryptFor, Suite};

/// Plan of a run. The same plan pushes the same records and injects the same faults. Which call meets
/// which fault depends on the order of calls.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Seed of records and faults.
    pub seed: u64,
    /// Records to push, good ones and bad ones.
    pub records: usize,
    /// Whether anything fails.
    pub faults: bool,
    /// The pusher's suite.
    pub suite: Suite,
    /// Regions for which a record must be encrypted.
    pub encrypt_for: EncryptFor,
    /// Maximum bytes of JSON in an aggregate; 0 turns aggregation off.
    pub aggregate_bytes: usize,
    /// Records that one data key encrypts.
    pub cache_max_messages: u64,
    /// Shards of each Region's stream.
    pub shards: u64,
    /// Maximum records in an event.
    pub batch_size: usize,
    /// Whether the consumer writes an item only if its sequence number is newer.
    pub versions: bool,
}

impl Plan {
    /// Creates a plan with the defaults of pusher and template, four shards, and the unsigned suite, which
    /// is fast in builds without optimization.
    #[must_use]
    pub fn new(seed: u64, records: usize, faults: bool) -> Self {
        Self {
            seed,
            records,
            faults,
            suite: Suite::Unsigned,
            encrypt_for: EncryptFor::All,
            aggregate_bytes: 0,
            cache_max_messages: 100,
            shards: 4,
            batch_size: 100,
            versions: false,
        }
    }

    /// Creates the plan of a short run with faults. The seed chooses the settings.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            suite: if rng.u8(..4) == 0 { Suite::Signed } else { Suite::Unsigned },
            encrypt_for: if rng.bool() { EncryptFor::All } else { EncryptFor::Available },
            aggregate_bytes: if rng.bool() { rng.usize(1_000..10_000) } else { 0 },
            cache_max_messages: rng.u64(5..50),
            shards: rng.u64(1..4),
            batch_size: rng.usize(5..100),
            versions: rng.bool(),
            ..Self::new(seed, rng.usize(200..400), true)
        }
    }
}
