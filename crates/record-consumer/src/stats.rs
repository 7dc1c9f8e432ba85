//! Counts what a consumer does.

use std::sync::{Mutex, PoisonError};

use record_cipher::CipherStats;

/// Counters of a consumer. They only grow. A batch is counted before it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ConsumerStats {
    /// Kinesis records that were delivered.
    pub records: u64,
    /// Bytes of their data, encrypted.
    pub bytes: u64,
    /// Items that the table took.
    pub items_written: u64,
    /// Items that gave way to a newer one of their key, in the batch or in the table.
    pub items_superseded: u64,
    /// Kinesis records that were stored in the quarantine.
    pub quarantined: u64,
    /// Kinesis records that were reported back to Lambda.
    pub failed: u64,
    /// Batches whose first record was reported because the time was up: one invocation is too short
    /// for it.
    pub stalled_batches: u64,
    /// Counters of the cipher: data keys, and calls to KMS.
    pub cipher: CipherStats,
}

/// Outcome of a batch.
pub(crate) struct Batch {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
    pub(crate) written: usize,
    pub(crate) superseded: usize,
    pub(crate) quarantined: usize,
    pub(crate) failed: usize,
    pub(crate) is_stalled: bool,
}

/// Adds up batches.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<ConsumerStats>);

impl Counters {
    pub(crate) fn add(&self, batch: &Batch) {
        let mut stats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stats.records += batch.records as u64;
        stats.bytes += batch.bytes as u64;
        stats.items_written += batch.written as u64;
        stats.items_superseded += batch.superseded as u64;
        stats.quarantined += batch.quarantined as u64;
        stats.failed += batch.failed as u64;
        stats.stalled_batches += u64::from(batch.is_stalled);
    }

    pub(crate) fn read(&self, cipher: CipherStats) -> ConsumerStats {
        let stats = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ConsumerStats { cipher, ..stats }
    }
}
