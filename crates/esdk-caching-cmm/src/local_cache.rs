//! The local cryptographic materials cache: in memory, bounded, least recently used first out.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, PoisonError};

use lru::LruCache;

use crate::cache::{CacheStats, CryptographicMaterialsCache};
use crate::cache_id::CacheId;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::entry::{CacheEntry, Found, Hit, Unusable};
use crate::limits::{EvictionReason, Lookup};
use crate::sync::{RwLock, RwLockWriteGuard};

/// Number of least recently used entries that a lookup checks for expiry.
///
/// The specification's "entry pruning tail size". It bounds what a lookup costs, whatever the
/// capacity, and empties a cache of expired entries faster than lookups can add new ones.
const PRUNING_TAIL: usize = 4;

type Entries = LruCache<CacheId, Arc<CacheEntry>>;

/// A cache of at most `capacity` entries in this process's memory.
///
/// A lookup makes an entry the most recently used. When the cache is full, the least recently used
/// entry makes room. A capacity of zero stores nothing.
///
/// Source: AWS Encryption SDK specification, `framework/local-cryptographic-materials-cache.md`.
#[derive(Debug)]
pub struct LocalCache {
    capacity: usize,
    clock: Arc<dyn Clock>,
    entries: RwLock<Entries>,
    /// Number of clearings. Written under the lock of `entries`.
    generation: AtomicU64,
    counters: Counters,
}

impl LocalCache {
    /// A cache for `capacity` entries on the clock of the system.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::with_clock(capacity, Arc::new(SystemClock))
    }

    /// A cache for `capacity` entries on `clock`.
    #[must_use]
    pub fn with_clock(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            capacity,
            clock,
            entries: RwLock::new(LruCache::unbounded()),
            generation: AtomicU64::new(0),
            counters: Counters::default(),
        }
    }

    /// A hit on the most recently used entry while nothing has to be removed: the list stays as it
    /// is, so that such hits need not wait for each other.
    fn get_newest(&self, id: &CacheId, now: &Timestamp, lookup: &Lookup) -> Option<Hit> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let (newest, entry) = entries.peek_mru()?;
        if newest != id || expired_in_tail(&entries, PRUNING_TAIL, now).next().is_some() {
            return None;
        }
        entry.take_use(now, lookup).ok()
    }

    fn get_any(&self, id: &CacheId, now: &Timestamp, lookup: &Lookup) -> Found {
        let mut entries = self.lock();
        let found = match entries.get(id).map(|entry| entry.take_use(now, lookup)) {
            Some(Ok(hit)) => Found::Hit(hit),
            Some(Err(Unusable::Forbidden)) => Found::Forbidden,
            Some(Err(Unusable::Ended(reason))) => {
                self.evict(&mut entries, id, reason);
                Found::Miss
            }
            None => Found::Miss,
        };
        self.remove_expired_among(&mut entries, PRUNING_TAIL, now);
        found
    }

    /// Removes every entry that has expired, and returns their number.
    ///
    /// Each lookup does so for a few entries. A process that may make none for a long time can call
    /// this on a timer, so that no data key stays in memory past its time.
    pub fn remove_expired(&self) -> usize {
        let now = self.clock.now();
        self.remove_expired_among(&mut self.lock(), usize::MAX, &now)
    }

    /// Removes every entry. Requests that begin afterwards get new data keys, also while calls from
    /// before are in flight: those serve the requests that wait for them, and are not stored.
    pub fn clear(&self) {
        let mut entries = self.lock();
        self.generation.fetch_add(1, Release);
        self.counters.removed.fetch_add(entries.len() as u64, Relaxed);
        entries.clear();
        self.counters.set_entries(0);
    }

    /// Of the `tail` least recently used entries, removes those that have expired.
    fn remove_expired_among(&self, entries: &mut Entries, tail: usize, now: &Timestamp) -> usize {
        let expired: Vec<_> = expired_in_tail(entries, tail, now).collect();
        for id in &expired {
            self.evict(entries, id, EvictionReason::Age);
        }
        expired.len()
    }

    fn evict(&self, entries: &mut Entries, id: &CacheId, reason: EvictionReason) {
        entries.pop(id);
        self.counters.count_eviction(reason);
        self.counters.set_entries(entries.len());
    }

    /// Every operation leaves the list whole before it can panic, so a poisoned lock is usable.
    fn lock(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expired_in_tail(
    entries: &Entries,
    tail: usize,
    now: &Timestamp,
) -> impl Iterator<Item = CacheId> {
    let in_tail = entries.iter().rev().take(tail);
    in_tail.filter(|(_, entry)| entry.has_expired(now)).map(|(id, _)| *id)
}

impl CryptographicMaterialsCache for LocalCache {
    fn put(&self, id: CacheId, entry: Arc<CacheEntry>, generation: u64) {
        let mut entries = self.lock();
        if generation != self.generation() {
            return;
        }
        if entries.put(id, entry).is_some() {
            self.counters.removed.fetch_add(1, Relaxed);
        }
        self.counters.puts.fetch_add(1, Relaxed);
        while entries.len() > self.capacity {
            entries.pop_lru();
            self.counters.count_eviction(EvictionReason::Capacity);
        }
        self.counters.set_entries(entries.len());
    }

    fn get(&self, id: &CacheId, lookup: &Lookup) -> Found {
        let now = self.clock.now();
        let found = match self.get_newest(id, &now, lookup) {
            Some(hit) => Found::Hit(hit),
            None => self.get_any(id, &now, lookup),
        };
        self.counters.count_lookup(matches!(found, Found::Hit(_)));
        found
    }

    fn generation(&self) -> u64 {
        self.generation.load(Acquire)
    }

    fn delete(&self, id: &CacheId) {
        let mut entries = self.lock();
        if entries.pop(id).is_some() {
            self.counters.removed.fetch_add(1, Relaxed);
        }
        self.counters.set_entries(entries.len());
    }

    fn stats(&self) -> CacheStats {
        self.counters.read()
    }
}

#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    puts: AtomicU64,
    evicted_capacity: AtomicU64,
    evicted_age: AtomicU64,
    evicted_usage: AtomicU64,
    removed: AtomicU64,
    entries: AtomicU64,
}

impl Counters {
    fn count_lookup(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Relaxed);
    }

    fn count_eviction(&self, reason: EvictionReason) {
        let counter = match reason {
            EvictionReason::Capacity => &self.evicted_capacity,
            EvictionReason::Age => &self.evicted_age,
            EvictionReason::Usage => &self.evicted_usage,
        };
        counter.fetch_add(1, Relaxed);
    }

    fn set_entries(&self, entries: usize) {
        self.entries.store(entries as u64, Relaxed);
    }

    fn read(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            puts: self.puts.load(Relaxed),
            evicted_capacity: self.evicted_capacity.load(Relaxed),
            evicted_age: self.evicted_age.load(Relaxed),
            evicted_usage: self.evicted_usage.load(Relaxed),
            removed: self.removed.load(Relaxed),
            entries: self.entries.load(Relaxed),
        }
    }
}
