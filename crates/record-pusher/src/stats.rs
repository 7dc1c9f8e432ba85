//! What pushing has cost so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use record_cipher::{CipherStats, RegionName};

/// What a pusher and its clones have done. Counts only grow. What has become of a record is counted
/// before its caller is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PusherStats {
    /// Records that were put.
    pub records: u64,
    /// Bytes of those, as JSON.
    pub bytes: u64,
    /// Records that were not sent anywhere, for a reason of their own or because they could not be
    /// encrypted.
    pub refused: u64,
    /// What encryption took: data keys, and calls of KMS.
    pub cipher: CipherStats,
    /// What was sent to each Region.
    pub regions: BTreeMap<RegionName, RegionStats>,
}

/// What a pusher and its clones have done in one Region. Counts only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RegionStats {
    /// Messages that Kinesis acknowledged.
    pub delivered: u64,
    /// Bytes of those, partition keys counted.
    pub delivered_bytes: u64,
    /// Messages that were handed back, whether they were tried or not.
    pub undelivered: u64,
    /// PutRecords requests.
    pub requests: u64,
    /// Tries of single messages that failed for another reason than throttling.
    pub failed_tries: u64,
    /// Tries of single messages that the stream was too busy for.
    pub throttled_tries: u64,
}

/// Counts records, in whatever Regions.
#[derive(Debug, Default)]
pub(crate) struct RecordCounters {
    records: AtomicU64,
    bytes: AtomicU64,
    refused: AtomicU64,
}

impl RecordCounters {
    pub(crate) fn accepted(&self, records: usize, bytes: usize) {
        self.records.fetch_add(records as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn refused(&self, records: usize) {
        self.refused.fetch_add(records as u64, Relaxed);
    }

    pub(crate) fn read(
        &self,
        cipher: CipherStats,
        regions: BTreeMap<RegionName, RegionStats>,
    ) -> PusherStats {
        PusherStats {
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            refused: self.refused.load(Relaxed),
            cipher,
            regions,
        }
    }
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

    /// A message was handed back.
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
