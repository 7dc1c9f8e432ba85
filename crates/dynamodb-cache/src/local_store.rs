//! Entries in this process.

use std::convert::Infallible;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, ready};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::clock::{Now, Timestamp};
use crate::error::CacheError;
use crate::key::Key;
use crate::stats::{LocalCounters, LocalStats};
use crate::store::{AddOutcome, Entry, Freshness, Lookup, Miss, Store};

/// Approximate bytes of an entry beside its key and its value.
const ENTRY_BYTES: u64 = 256;
/// No entry is larger than a shard, and few are larger than this.
const SHARD_BYTES: u64 = 1 << 20;

/// Entries in this process, up to a number of bytes. The entries that are used least are evicted
/// first. Clones share the entries.
///
/// Alone it is a cache for one process. A [`TieredStore`](crate::TieredStore) puts it in front of
/// another store to save calls.
#[derive(Clone)]
pub struct LocalStore {
    entries: Arc<Cache<Key, Arc<LocalEntry>, Bytes>>,
    counters: Arc<LocalCounters>,
}

struct LocalEntry {
    entry: Entry,
    inserted: Timestamp,
    /// How long it may be used from then on.
    lifetime: Duration,
}

impl LocalEntry {
    fn new(entry: Entry, now: Now, max_age: Duration) -> Self {
        let left = entry.expires_at.duration_since(now.wall).unwrap_or_default();
        Self { entry, inserted: now.reading, lifetime: left.min(max_age) }
    }

    fn has_expired(&self, now: Now) -> bool {
        now.reading.since(&self.inserted) >= self.lifetime
    }
}

impl LocalStore {
    /// Creates an empty store for `max_bytes` bytes of keys and values, plus 256 for each entry.
    ///
    /// An entry that would fill nearly all of it is not kept. In a store of more than 1 MiB, an
    /// entry of nearly 1 MiB or more may not be kept either.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let shards = usize::try_from(max_bytes / SHARD_BYTES).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .weight_capacity(max_bytes)
            .estimated_items_capacity(usize::try_from(max_bytes / 1024).unwrap_or(usize::MAX))
            .shards(shards.clamp(1, 4 * cores))
            .build()
            .expect("both capacities are set");
        let hash_builder = DefaultHashBuilder::default();
        let entries =
            Cache::with_options(options, Bytes, hash_builder, DefaultLifecycle::default());
        Self { entries: Arc::new(entries), counters: Arc::default() }
    }

    /// Returns counters, and the store's present size.
    #[must_use]
    pub fn stats(&self) -> LocalStats {
        self.counters.read(self.entries.len(), self.entries.weight())
    }

    pub(crate) fn find(&self, key: &Key, now: Now) -> Lookup {
        let found = self.find_uncounted(key, now);
        self.counters.lookup(found.is_ok());
        found
    }

    fn find_uncounted(&self, key: &Key, now: Now) -> Lookup {
        let found = self.entries.get(key).ok_or(Miss::Absent)?;
        if !found.has_expired(now) {
            return Ok(found.entry.clone());
        }
        self.entries.remove_if(key, |found| found.has_expired(now));
        Err(Miss::Expired)
    }

    /// Keeps an entry until it expires, but for no longer than `max_age` from `now` on.
    pub(crate) fn insert(&self, key: Key, entry: Entry, now: Now, max_age: Duration) {
        self.entries.insert(key, Arc::new(LocalEntry::new(entry, now, max_age)));
    }

    pub(crate) fn remove(&self, key: &Key) {
        self.entries.remove(key);
    }
}

impl fmt::Debug for LocalStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalStore").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Store for LocalStore {
    fn get<'a>(
        &'a self,
        keys: &'a [Key],
        _: Freshness,
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Lookup>, CacheError>> {
        ready(Ok(keys.iter().map(|key| self.find(key, now)).collect())).boxed()
    }

    fn set(
        &self,
        entries: Vec<(Key, Entry)>,
        now: Now,
    ) -> BoxFuture<'_, Result<Vec<Key>, CacheError>> {
        for (key, entry) in entries {
            self.insert(key, entry, now, Duration::MAX);
        }
        ready(Ok(Vec::new())).boxed()
    }

    fn delete<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Key>, CacheError>> {
        for key in keys {
            self.remove(key);
        }
        ready(Ok(Vec::new())).boxed()
    }

    fn add(
        &self,
        key: Key,
        entry: Entry,
        now: Now,
    ) -> BoxFuture<'_, Result<AddOutcome, CacheError>> {
        let new = Arc::new(LocalEntry::new(entry, now, Duration::MAX));
        self.entries.remove_if(&key, |found| found.has_expired(now));
        let Ok(kept) = self.entries.get_or_insert_with(&key, || Ok::<_, Infallible>(new.clone()));
        let is_new = Arc::ptr_eq(&kept, &new);
        ready(Ok(if is_new { AddOutcome::Added } else { AddOutcome::Exists })).boxed()
    }
}

/// Bytes that an entry takes of the capacity.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key, Arc<LocalEntry>> for Bytes {
    fn weight(&self, key: &Key, local: &Arc<LocalEntry>) -> u64 {
        ENTRY_BYTES + (key.id().len() + local.entry.value.len()) as u64
    }
}
