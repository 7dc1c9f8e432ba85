//! What pushing has cost so far.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a pusher and its clones have done in one Region. Counts only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RegionStats {
    /// Messages that Kinesis acknowledged.
    pub delivered: u64,
    /// Bytes of those, partition keys counted.
    pub delivered_bytes: u64,
    /// Messages that were handed back after at least one try.
    pub undelivered: u64,
    /// PutRecords requests.
    pub requests: u64,
    /// Tries of single messages that failed for another reason than throttling.
    pub failed_tries: u64,
    /// Tries of single messages that the stream was too busy for.
    pub throttled_tries: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    delivered: AtomicU64,
    delivered_bytes: AtomicU64,
    undelivered: AtomicU64,
    requests: AtomicU64,
    failed_tries: AtomicU64,
    throttled_tries: AtomicU64,
}

impl Counters {
    pub(crate) fn delivered(&self, bytes: usize) {
        self.delivered.fetch_add(1, Relaxed);
        self.delivered_bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn undelivered(&self) {
        self.undelivered.fetch_add(1, Relaxed);
    }

    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed_try(&self, is_throttling: bool) {
        let counter = if is_throttling { &self.throttled_tries } else { &self.failed_tries };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> RegionStats {
        RegionStats {
            delivered: self.delivered.load(Relaxed),
            delivered_bytes: self.delivered_bytes.load(Relaxed),
            undelivered: self.undelivered.load(Relaxed),
            requests: self.requests.load(Relaxed),
            failed_tries: self.failed_tries.load(Relaxed),
            throttled_tries: self.throttled_tries.load(Relaxed),
        }
    }
}
