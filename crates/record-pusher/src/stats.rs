//! Counters of a pusher.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use record_cipher::{CipherStats, RegionName};

/// Counters accumulated by a pusher and its clones. They only grow. A record is counted before its
/// caller is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PusherStats {
    /// Records that were accepted.
    pub records: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
    /// Records that were not sent to any Region: they were refused, or could not be encrypted.
    pub refused: u64,
    /// Data keys and KMS calls.
    pub cipher: CipherStats,
    /// Counters of each Region.
    pub regions: BTreeMap<RegionName, RegionStats>,
}

/// Counters accumulated by a pusher and its clones in one Region. They only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RegionStats {
    /// Messages that Kinesis acknowledged.
    pub delivered: u64,
    /// Bytes of those messages and their partition keys.
    pub delivered_bytes: u64,
    /// Messages that were returned as undelivered, with or without an attempt.
    pub undelivered: u64,
    /// PutRecords requests.
    pub requests: u64,
    /// Attempts of single messages that failed for another reason than throttling.
    pub failed_attempts: u64,
    /// Attempts of single messages that the stream throttled.
    pub throttled_attempts: u64,
}

/// Counters of records in all Regions.
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
    failed_attempts: AtomicU64,
    throttled_attempts: AtomicU64,
}

impl Counters {
    pub(crate) fn delivered(&self, bytes: usize) {
        self.delivered.fetch_add(1, Relaxed);
        self.delivered_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// A message was returned as undelivered.
    pub(crate) fn undelivered(&self) {
        self.undelivered.fetch_add(1, Relaxed);
    }

    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed_attempt(&self, is_throttling: bool) {
        let counter = if is_throttling { &self.throttled_attempts } else { &self.failed_attempts };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> RegionStats {
        RegionStats {
            delivered: self.delivered.load(Relaxed),
            delivered_bytes: self.delivered_bytes.load(Relaxed),
            undelivered: self.undelivered.load(Relaxed),
            requests: self.requests.load(Relaxed),
            failed_attempts: self.failed_attempts.load(Relaxed),
            throttled_attempts: self.throttled_attempts.load(Relaxed),
        }
    }
}
