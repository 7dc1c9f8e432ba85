//! The cryptographic materials cache: its interface, limits and statistics.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::builder::{DEFAULT_MAX_BYTES, DEFAULT_MAX_MESSAGES};
use crate::cache_id::CacheId;
use crate::entry::{CacheEntry, Found};
use crate::suite::KeyCommitment;

/// Stores cryptographic materials for reuse.
///
/// Source: AWS Encryption SDK specification, `framework/cryptographic-materials-cache.md`.
/// A lookup checks the limits and counts the use in one atomic step; the specification's separate
/// update of usage metadata would let two callers both take the last use that a limit allows.
///
/// Implementations are shared between threads, and should hold no lock while they call out.
pub trait CryptographicMaterialsCache: Send + Sync + fmt::Debug {
    /// Stores an entry, and removes the one that was stored under `id` before. Does nothing if
    /// `generation` is not the cache's present one: the materials were asked for before the cache
    /// was cleared.
    fn put(&self, id: CacheId, entry: Arc<CacheEntry>, generation: u64);

    /// Looks for the materials stored under `id`, and counts the lookup's use against them.
    ///
    /// Calls [`CacheEntry::take_use`] on the entry, and removes it if it has
    /// [ended](crate::Unusable::Ended).
    fn get(&self, id: &CacheId, lookup: &Lookup) -> Found;

    /// Removes the entry stored under `id`, if there is one. A call in flight may store new materials
    /// afterwards.
    fn delete(&self, id: &CacheId);

    /// Returns the number of times that the cache was cleared; always 0 if it cannot be. Requests that
    /// begin after a clearing share no call with requests from before it.
    fn generation(&self) -> u64;

    /// Returns the counters of the cache. Never waits for an operation of another thread.
    fn stats(&self) -> CacheStats;
}

/// A caller's conditions for a cache entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lookup {
    /// Limits of the caller.
    pub limits: Limits,
    /// Use to count against the entry.
    pub usage: Usage,
    /// Suites that the caller accepts.
    pub commitment: KeyCommitment,
}

impl Lookup {
    /// Creates a lookup.
    #[must_use]
    pub const fn new(limits: Limits, usage: Usage, commitment: KeyCommitment) -> Self {
        Self { limits, usage, commitment }
    }
}

/// Limits on the age and the use of one data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Age at which an entry ends.
    pub max_age: Duration,
    /// Messages that one data key may encrypt.
    pub max_messages: u64,
    /// Plaintext bytes that one data key may encrypt.
    pub max_bytes: u64,
    /// Time before `max_age` in which an entry is refreshed while it is still used; zero to let it
    /// end first. The same share of the messages and bytes counts as well.
    pub grace_period: Duration,
}

impl Limits {
    /// Creates limits on age alone: messages and bytes as the specification's maximum, no grace
    /// period.
    #[must_use]
    pub const fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            max_messages: DEFAULT_MAX_MESSAGES,
            max_bytes: DEFAULT_MAX_BYTES,
            grace_period: Duration::ZERO,
        }
    }

    /// Whether an entry of this age, with this use behind it, is in its grace period.
    pub(crate) fn are_near(&self, age: Duration, used: Usage) -> bool {
        if self.grace_period.is_zero() {
            return false;
        }
        let before = self.max_age.saturating_sub(self.grace_period);
        let share = before.div_duration_f64(self.max_age);
        age >= before
            || is_above_share(used.messages, share, self.max_messages)
            || is_above_share(used.bytes, share, self.max_bytes)
    }

    /// Shortest time between two attempts to refresh an entry.
    pub(crate) fn refresh_interval(&self) -> Duration {
        (self.grace_period / 10).max(Duration::from_secs(1))
    }
}

#[expect(clippy::cast_precision_loss, reason = "when to refresh need not be exact")]
fn is_above_share(used: u64, share: f64, limit: u64) -> bool {
    used as f64 > share * limit as f64
}

/// Messages and plaintext bytes encrypted under a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Number of messages.
    pub messages: u64,
    /// Number of plaintext bytes.
    pub bytes: u64,
}

impl Usage {
    /// No use at all: decryption is not counted.
    pub const NONE: Usage = Usage::new(0, 0);

    /// Creates a number of messages and of plaintext bytes.
    #[must_use]
    pub const fn new(messages: u64, bytes: u64) -> Usage {
        Usage { messages, bytes }
    }

    /// The encryption of one message of `bytes` bytes.
    #[must_use]
    pub const fn message(bytes: u64) -> Usage {
        Usage::new(1, bytes)
    }

    pub(crate) fn plus(self, other: Usage) -> Usage {
        Usage {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// Returns `true` if this much use stays within `limits`.
    #[must_use]
    pub fn is_within(self, limits: &Limits) -> bool {
        self.messages <= limits.max_messages && self.bytes <= limits.max_bytes
    }
}

/// The reason for which a cache removed an entry by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvictionReason {
    /// The cache was full, and the entry was the least recently used.
    Capacity,
    /// The entry reached its maximum age.
    Age,
    /// Another use would have exceeded a limit on messages or bytes.
    Usage,
}

/// Counters of a cache since it was made. Counts only grow, except `entries`.
///
/// `puts == entries + evicted_capacity + evicted_age + evicted_usage + removed` whenever no
/// operation is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Lookups that found usable materials.
    pub hits: u64,
    /// Lookups that found none, or only materials of a suite that the caller does not accept.
    pub misses: u64,
    /// Entries stored.
    pub puts: u64,
    /// Entries evicted because the cache was full.
    pub evicted_capacity: u64,
    /// Entries evicted because of their age.
    pub evicted_age: u64,
    /// Entries evicted because a limit on messages or bytes was reached.
    pub evicted_usage: u64,
    /// Entries removed by a `delete`, or by a `put` under the same id.
    pub removed: u64,
    /// Entries held now.
    pub entries: u64,
}

impl CacheStats {
    /// Share of lookups that were hits, 0 to 1; `None` before the first lookup.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
    pub fn hit_rate(&self) -> Option<f64> {
        let lookups = self.hits + self.misses;
        (lookups > 0).then(|| self.hits as f64 / lookups as f64)
    }
}
