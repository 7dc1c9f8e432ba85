//! The settings of a caching CMM.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::cache::CryptographicMaterialsCache;
use crate::clock::{Clock, SystemClock};
use crate::cmm::{CachingCmm, Counters, Inner};
use crate::flight::Flights;
use crate::limits::{DEFAULT_MAX_BYTES, DEFAULT_MAX_MESSAGES, Limits};
use crate::manager::MaterialsManager;
use crate::request::Caching;

/// Calls to the manager that may be in flight at once, unless set.
pub const DEFAULT_MAX_CONCURRENT_CALLS: usize = 16;

/// Sets up a [`CachingCmm`]. Everything is checked in [`build`](Self::build).
#[derive(Debug, Clone)]
#[must_use]
pub struct CachingCmmBuilder<M> {
    manager: M,
    cache: Option<Arc<dyn CryptographicMaterialsCache>>,
    max_age: Option<Duration>,
    max_messages: u64,
    max_bytes: u64,
    grace_period: Duration,
    max_concurrent_calls: usize,
    partition_id: Option<String>,
    clock: Arc<dyn Clock>,
}

impl<M: MaterialsManager> CachingCmmBuilder<M> {
    pub(crate) fn new(manager: M) -> Self {
        Self {
            manager,
            cache: None,
            max_age: None,
            max_messages: DEFAULT_MAX_MESSAGES,
            max_bytes: DEFAULT_MAX_BYTES,
            grace_period: Duration::ZERO,
            max_concurrent_calls: DEFAULT_MAX_CONCURRENT_CALLS,
            partition_id: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// The cache to keep materials in. Required.
    pub fn cache(mut self, cache: Arc<dyn CryptographicMaterialsCache>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Maximum age of a data key. Required, and above zero.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Maximum messages per data key: 1 to 2^32, by default 2^32.
    pub fn max_messages(mut self, max_messages: u64) -> Self {
        self.max_messages = max_messages;
        self
    }

    /// Maximum plaintext bytes per data key: up to 2^63 - 1, by default that many.
    /// A longer plaintext is encrypted under a data key of its own.
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Refreshes entries ahead: in the last `grace_period` of an entry's time, and in the same share
    /// of its messages and bytes, one caller starts the call for new materials in the background.
    /// All callers use the old materials, within their limits, until the new ones arrive. A busy
    /// process then does not wait at the end of a data key, at the price of earlier calls.
    ///
    /// If the call fails, another caller tries again after a tenth of the grace period, at least
    /// one second.
    ///
    /// By default zero: entries end, and the next request waits for new materials. Must be shorter
    /// than `max_age`. Needs a Tokio runtime.
    pub fn refresh_ahead(mut self, grace_period: Duration) -> Self {
        self.grace_period = grace_period;
        self
    }

    /// Maximum calls to the manager in flight at once: 1 or more, by default 16. Further misses wait
    /// for their turn; hits do not.
    pub fn max_concurrent_calls(mut self, max_concurrent_calls: usize) -> Self {
        self.max_concurrent_calls = max_concurrent_calls;
        self
    }

    /// Names the part of the cache that this CMM uses. CMMs on one cache share entries if they
    /// have the same partition id, and must then ask for the same materials of equal managers.
    /// By default a fresh unique id. Must not be empty, nor contain a null byte, which ends it in a
    /// cache id.
    pub fn partition_id(mut self, partition_id: impl Into<String>) -> Self {
        self.partition_id = Some(partition_id.into());
        self
    }

    /// The clock that ages entries; by default the system's. Give the cache the same one.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the caching CMM.
    ///
    /// # Errors
    /// [`BuildError`] names the setting that is missing or out of range.
    pub fn build(self) -> Result<CachingCmm<M>, BuildError> {
        let limits = Limits {
            max_age: self.max_age.ok_or(BuildError::Missing("max_age"))?,
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
            grace_period: self.grace_period,
        };
        check_limits(&limits)?;
        if !(1..=Semaphore::MAX_PERMITS).contains(&self.max_concurrent_calls) {
            return Err(BuildError::MaxConcurrentCalls(self.max_concurrent_calls));
        }
        let caching = Caching {
            partition_id: checked_partition_id(self.partition_id)?,
            limits,
            only_compares_reproduced_context: self.manager.only_compares_reproduced_context(),
        };
        Ok(CachingCmm::new(Inner {
            manager: self.manager,
            cache: self.cache.ok_or(BuildError::Missing("cache"))?,
            clock: self.clock,
            caching,
            permits: Semaphore::new(self.max_concurrent_calls),
            flights: Flights::default(),
            counters: Counters::default(),
        }))
    }
}

fn checked_partition_id(id: Option<String>) -> Result<String, BuildError> {
    match id {
        Some(id) if id.is_empty() || id.contains('\0') => Err(BuildError::PartitionId),
        Some(id) => Ok(id),
        None => Ok(uuid::Uuid::new_v4().to_string()),
    }
}

fn check_limits(limits: &Limits) -> Result<(), BuildError> {
    if limits.max_age.is_zero() {
        return Err(BuildError::MaxAge);
    }
    if !(1..=DEFAULT_MAX_MESSAGES).contains(&limits.max_messages) {
        return Err(BuildError::MaxMessages(limits.max_messages));
    }
    if limits.max_bytes > DEFAULT_MAX_BYTES {
        return Err(BuildError::MaxBytes(limits.max_bytes));
    }
    if limits.grace_period >= limits.max_age {
        return Err(BuildError::GracePeriod(limits.grace_period));
    }
    Ok(())
}

/// A setting of a [`CachingCmmBuilder`] that is missing or not allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A required setting is missing.
    #[error("a caching CMM needs {0}")]
    Missing(&'static str),
    /// The maximum age is zero.
    #[error("max_age is zero; it must be longer")]
    MaxAge,
    /// The limit on messages is out of range.
    #[error("max_messages is {0}; it must be 1 to 4294967296")]
    MaxMessages(u64),
    /// The limit on bytes is out of range.
    #[error("max_bytes is {0}; it must be at most 9223372036854775807")]
    MaxBytes(u64),
    /// The grace period leaves nothing of the maximum age.
    #[error("refresh_ahead is {0:?}; it must be shorter than max_age")]
    GracePeriod(Duration),
    /// The number of calls at once is out of range.
    #[error("max_concurrent_calls is {0}; it must be 1 to {max}", max = Semaphore::MAX_PERMITS)]
    MaxConcurrentCalls(usize),
    /// The partition id cannot be part of a cache id.
    #[error("partition_id is empty or contains a null byte; leave it out for a unique one")]
    PartitionId,
}
