//! What a run does.

use fastrand::Rng;
use record_pusher::{EncryptFor, Suite};

/// What a run does. The same plan pushes the same records and injects the same faults; which call
/// meets which fault depends on the order in which calls come.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Chooses records and faults.
    pub seed: u64,
    /// Records to push, good ones and bad ones.
    pub records: usize,
    /// Whether anything fails.
    pub faults: bool,
    /// The pusher's suite.
    pub suite: Suite,
    /// The Regions that a record has to be encrypted for.
    pub encrypt_for: EncryptFor,
    /// Bytes of records in one message; 0 for one record in each.
    pub aggregate_bytes: usize,
    /// Records that one data key encrypts.
    pub cache_max_messages: u64,
    /// Shards of each Region's stream.
    pub shards: u64,
    /// Records in an event at most.
    pub batch_size: usize,
}

impl Plan {
    /// The default settings of the pusher and of the template, with the unsigned suite, which a
    /// build without optimisation is quick with, and four shards.
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
        }
    }

    /// A short run with faults and settings that the seed chooses.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            suite: if rng.u8(..4) == 0 { Suite::Signed } else { Suite::Unsigned },
            encrypt_for: if rng.bool() { EncryptFor::All } else { EncryptFor::Available },
            aggregate_bytes: if rng.bool() { rng.usize(1_000..10_000) } else { 0 },
            cache_max_messages: rng.u64(5..50),
            shards: rng.u64(1..4),
            batch_size: rng.usize(5..100),
            ..Self::new(seed, rng.usize(200..400), true)
        }
    }
}
