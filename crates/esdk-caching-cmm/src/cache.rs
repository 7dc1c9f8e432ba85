//! The cryptographic materials cache: its interface and statistics.

use std::fmt;
use std::sync::Arc;

use crate::cache_id::CacheId;
use crate::entry::{CacheEntry, Found};
use crate::limits::Lookup;

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
