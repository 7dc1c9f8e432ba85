//! Counters of caches and stores.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aws_outcome::Cause;

use crate::error::CacheError;
use crate::key::Key;
use crate::store::Miss;

/// Counters accumulated by a cache and its clones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Lookups of a key that found a value.
    pub hits: u64,
    /// Lookups that found nothing.
    pub absent: u64,
    /// Lookups that found an expired entry.
    pub expired: u64,
    /// Lookups that found an item that is not a value of this cache; the log names key and reason.
    pub unreadable: u64,
    /// Lookups that counted as misses because the store failed.
    pub unavailable: u64,
    /// Values stored and entries removed.
    pub written: u64,
    /// Values not stored and entries not removed because the store failed, and loaded values that
    /// do not fit.
    pub not_written: u64,
    /// Loader calls.
    pub loads: u64,
    /// Failed loader calls.
    pub failed_loads: u64,
    /// Loaded values that were not stored because their key was written or removed during the load.
    pub superseded: u64,
    /// Calls that shared the lookup or load of another call.
    pub joined: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    absent: AtomicU64,
    expired: AtomicU64,
    unreadable: AtomicU64,
    unavailable: AtomicU64,
    written: AtomicU64,
    not_written: AtomicU64,
    loads: AtomicU64,
    failed_loads: AtomicU64,
    superseded: AtomicU64,
    joined: AtomicU64,
}

impl Counters {
    pub(crate) fn lookup<T>(&self, found: &Result<T, Miss>) {
        let counter = match found {
            Ok(_) => &self.hits,
            Err(Miss::Absent) => &self.absent,
            Err(Miss::Expired) => &self.expired,
            Err(Miss::Unreadable(_)) => &self.unreadable,
            Err(Miss::Unavailable) => &self.unavailable,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn writes(&self, written: usize, not_written: usize) {
        self.written.fetch_add(written as u64, Relaxed);
        self.not_written.fetch_add(not_written as u64, Relaxed);
    }

    /// Counts `all` writes of one call, of which some or all may have failed.
    pub(crate) fn outcome(&self, all: usize, unwritten: &Result<Vec<Key>, CacheError>) {
        let failed = unwritten.as_ref().map_or(all, Vec::len);
        self.writes(all - failed, failed);
    }

    pub(crate) fn load(&self) {
        self.loads.fetch_add(1, Relaxed);
    }

    pub(crate) fn failed_load(&self) {
        self.failed_loads.fetch_add(1, Relaxed);
    }

    pub(crate) fn superseded(&self) {
        self.superseded.fetch_add(1, Relaxed);
    }

    pub(crate) fn joined(&self) {
        self.joined.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Relaxed),
            absent: self.absent.load(Relaxed),
            expired: self.expired.load(Relaxed),
            unreadable: self.unreadable.load(Relaxed),
            unavailable: self.unavailable.load(Relaxed),
            written: self.written.load(Relaxed),
            not_written: self.not_written.load(Relaxed),
            loads: self.loads.load(Relaxed),
            failed_loads: self.failed_loads.load(Relaxed),
            superseded: self.superseded.load(Relaxed),
            joined: self.joined.load(Relaxed),
        }
    }
}

/// Counters accumulated by a [`DynamoDbStore`](crate::DynamoDbStore) and its clones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DynamoDbStats {
    /// Requests, including retries.
    pub requests: u64,
    /// Throttled requests.
    pub throttled: u64,
    /// Requests that failed for another reason, and may succeed later.
    pub failed: u64,
    /// Requests that fail until somebody acts: a missing table, a missing permission, another key
    /// schema. Worth an alarm.
    pub refused: u64,
    /// Operations that made no request, because the table had lately not answered.
    pub skipped: u64,
    /// Keys and items of batches that DynamoDB left unprocessed.
    pub unprocessed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct DynamoDbCounters {
    requests: AtomicU64,
    throttled: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    skipped: AtomicU64,
    unprocessed: AtomicU64,
}

impl DynamoDbCounters {
    pub(crate) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    /// An unmet condition is an answer, and not counted.
    pub(crate) fn failure(&self, cause: Cause) {
        let counter = match cause {
            Cause::ConditionFailed => return,
            Cause::Throttled => &self.throttled,
            cause if cause.is_retryable() => &self.failed,
            _ => &self.refused,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn skipped(&self) {
        self.skipped.fetch_add(1, Relaxed);
    }

    pub(crate) fn unprocessed(&self, entries: usize) {
        self.unprocessed.fetch_add(entries as u64, Relaxed);
    }

    pub(crate) fn read(&self) -> DynamoDbStats {
        DynamoDbStats {
            requests: self.requests.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            failed: self.failed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            unprocessed: self.unprocessed.load(Relaxed),
        }
    }
}

/// Counters accumulated by a [`LocalStore`](crate::LocalStore) and its clones, and their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LocalStats {
    /// Lookups that found an entry.
    pub hits: u64,
    /// Lookups that found none.
    pub misses: u64,
    /// Present entries, including expired ones that nobody has looked up since.
    pub entries: u64,
    /// Present bytes, as [`LocalStore::new`](crate::LocalStore::new) counts them.
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct LocalCounters {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl LocalCounters {
    pub(crate) fn lookup(&self, found: bool) {
        let counter = if found { &self.hits } else { &self.misses };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn read(&self, entries: usize, bytes: u64) -> LocalStats {
        LocalStats {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            entries: entries as u64,
            bytes,
        }
    }
}
