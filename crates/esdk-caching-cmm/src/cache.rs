//! The cryptographic materials cache: its interface, entries, limits and statistics.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::cache_id::CacheId;
use crate::clock::Timestamp;
use crate::materials::CachedMaterials;
use crate::sync::Mutex;

/// Stores cryptographic materials for reuse.
///
/// Source: AWS Encryption SDK specification, `framework/cryptographic-materials-cache.md`.
/// A lookup checks the limits and counts the use in one atomic step; the specification's separate
/// update of usage metadata would let two callers both take the last use that a limit allows.
///
/// Implementations are shared between threads, and should hold no lock while they call out.
pub trait CryptographicMaterialsCache: Send + Sync + fmt::Debug {
    /// Stores an entry, and removes the one that was stored under `id` before.
    fn put(&self, id: CacheId, entry: Arc<CacheEntry>);

    /// The materials stored under `id`, with `usage` counted against them.
    ///
    /// `None` if there is no entry, or if the one there has expired or `usage` would carry it over
    /// `limits`; such an entry is removed.
    fn get(&self, id: &CacheId, limits: &Limits, usage: Usage) -> Option<Hit>;

    /// Removes the entry stored under `id`, if there is one.
    fn delete(&self, id: &CacheId);

    /// What the cache has done so far. Never waits for an operation of another thread.
    fn stats(&self) -> CacheStats;
}

/// How long and how often one data key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Age at which an entry ends.
    pub max_age: Duration,
    /// Messages that one data key may encrypt.
    pub max_messages: u64,
    /// Plaintext bytes that one data key may encrypt.
    pub max_bytes: u64,
    /// Time before `max_age` in which an entry is refreshed while it is still used; zero to let it
    /// end first. It takes the same share of the messages and bytes.
    pub grace_period: Duration,
}

impl Limits {
    /// Whether an entry of this age, with this use behind it, is in its grace period.
    fn are_near(&self, age: Duration, used: Usage) -> bool {
        if self.grace_period.is_zero() {
            return false;
        }
        let before = self.max_age.saturating_sub(self.grace_period);
        let share = before.div_duration_f64(self.max_age);
        age >= before
            || is_above_share(used.messages, share, self.max_messages)
            || is_above_share(used.bytes, share, self.max_bytes)
    }
}

#[expect(clippy::cast_precision_loss, reason = "when to refresh need not be exact")]
fn is_above_share(used: u64, share: f64, limit: u64) -> bool {
    used as f64 > share * limit as f64
}

/// Messages and plaintext bytes encrypted under a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Number of messages.
    pub messages: u64,
    /// Number of plaintext bytes.
    pub bytes: u64,
}

impl Usage {
    /// No use at all: decryption is not counted.
    pub const NONE: Usage = Usage { messages: 0, bytes: 0 };

    /// The encryption of one message of `bytes` bytes.
    #[must_use]
    pub const fn message(bytes: u64) -> Usage {
        Usage { messages: 1, bytes }
    }

    fn plus(self, other: Usage) -> Usage {
        Usage {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// Whether this much use stays within `limits`.
    #[must_use]
    pub fn is_within(self, limits: &Limits) -> bool {
        self.messages <= limits.max_messages && self.bytes <= limits.max_bytes
    }
}

/// Materials in a cache, with what decides how long they stay there.
#[derive(Debug)]
pub struct CacheEntry {
    materials: CachedMaterials,
    created: Timestamp,
    max_age: Duration,
    uses: Mutex<Uses>,
}

#[derive(Debug)]
struct Uses {
    usage: Usage,
    /// Whether a caller was told to refresh the entry.
    refreshed: bool,
}

/// Materials that a cache has found.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Hit {
    /// The materials, with their use counted.
    pub materials: CachedMaterials,
    /// Whether the finder should put new materials in their place: the entry is in its grace
    /// period. One caller is told so for each entry.
    pub refresh: bool,
}

impl CacheEntry {
    /// An entry that begins at `created`, ends at `max_age`, and has seen `usage` already.
    #[must_use]
    pub fn new(
        materials: CachedMaterials,
        created: Timestamp,
        max_age: Duration,
        usage: Usage,
    ) -> Self {
        let uses = Mutex::new(Uses { usage, refreshed: false });
        Self { materials, created, max_age, uses }
    }

    /// Whether the entry's own time to live has ended.
    #[must_use]
    pub fn has_expired(&self, now: &Timestamp) -> bool {
        now.since(&self.created) >= self.max_age
    }

    /// Counts `usage` and hands out the materials, in one atomic step: however many callers there
    /// are, the uses that succeed stay within the limits.
    ///
    /// # Errors
    /// The reason to remove the entry, which is left uncounted: it is too old, for itself or for
    /// the caller's limits, or the use would exceed the limits.
    pub fn take_use(
        &self,
        now: &Timestamp,
        limits: &Limits,
        usage: Usage,
    ) -> Result<Hit, EvictionReason> {
        let age = now.since(&self.created);
        if age >= self.max_age.min(limits.max_age) {
            return Err(EvictionReason::Age);
        }
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let total = uses.usage.plus(usage);
        if !total.is_within(limits) {
            return Err(EvictionReason::Usage);
        }
        uses.usage = total;
        let refresh = !uses.refreshed && limits.are_near(age, total);
        uses.refreshed |= refresh;
        Ok(Hit { materials: self.materials.clone(), refresh })
    }
}

/// Why a cache removed an entry by itself.
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

/// What a cache has done since it was made. Counts only grow, except `entries`.
///
/// `puts == entries + evicted_capacity + evicted_age + evicted_usage + removed` whenever no
/// operation is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Lookups that found usable materials.
    pub hits: u64,
    /// Lookups that found none.
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
