//! Entries in this process.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::SystemTime;

use futures::future::{BoxFuture, FutureExt, ready};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::error::CacheError;
use crate::key::Key;
use crate::stats::{LocalCounters, LocalStats};
use crate::store::{Entry, Freshness, Lookup, Miss, Store};
use crate::tiered_store::TieredStore;

/// What an entry takes beside its key and its value, roughly.
const ENTRY_BYTES: u64 = 256;
/// No entry is larger than a shard, and few are larger than this.
const SHARD_BYTES: u64 = 1 << 20;

/// Entries in this process, up to so many bytes. The ones that are asked for least go first. Clones
/// share them.
///
/// Alone it is a cache for one process. In front of another store
/// ([`in_front_of`](Self::in_front_of)) it saves calls.
#[derive(Clone)]
pub struct LocalStore {
    entries: Arc<Cache<Key, Arc<Held>, Bytes>>,
    counters: Arc<LocalCounters>,
}

struct Held {
    entry: Entry,
    /// The entry's end or that of the time for which it may be held here.
    until: SystemTime,
}

impl LocalStore {
    /// An empty store for `max_bytes` bytes, of keys, values and 256 more for each entry.
    ///
    /// An entry that would take nearly all of it is not kept, and in a store of more than a MiB
    /// one of nearly a MiB or more may not be.
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

    /// Puts this store in front of another.
    #[must_use]
    pub fn in_front_of(self, back: impl Store + 'static) -> TieredStore {
        TieredStore::new(self, back)
    }

    /// What it has done so far, and what it holds.
    #[must_use]
    pub fn stats(&self) -> LocalStats {
        self.counters.read(self.entries.len(), self.entries.weight())
    }

    pub(crate) fn find(&self, key: &Key, now: SystemTime) -> Lookup {
        let found = self.find_uncounted(key, now);
        self.counters.lookup(found.is_ok());
        found
    }

    fn find_uncounted(&self, key: &Key, now: SystemTime) -> Lookup {
        let held = self.entries.get(key).ok_or(Miss::Absent)?;
        if held.until > now {
            return Ok(held.entry.clone());
        }
        self.entries.remove_if(key, |held| held.until <= now);
        Err(Miss::Expired)
    }

    /// Holds an entry until its end, or until `until` if that is before.
    pub(crate) fn insert(&self, key: Key, entry: Entry, until: SystemTime) {
        let until = until.min(entry.expires_at);
        self.entries.insert(key, Arc::new(Held { entry, until }));
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
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Vec<Lookup>, CacheError>> {
        ready(Ok(keys.iter().map(|key| self.find(key, now)).collect())).boxed()
    }

    fn set(
        &self,
        entries: Vec<(Key, Entry)>,
        _: SystemTime,
    ) -> BoxFuture<'_, Result<Vec<Key>, CacheError>> {
        for (key, entry) in entries {
            let end = entry.expires_at;
            self.insert(key, entry, end);
        }
        ready(Ok(Vec::new())).boxed()
    }

    fn delete<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Key>, CacheError>> {
        for key in keys {
            self.remove(key);
        }
        ready(Ok(Vec::new())).boxed()
    }
}

/// How much an entry counts against the capacity.
#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Key, Arc<Held>> for Bytes {
    fn weight(&self, key: &Key, held: &Arc<Held>) -> u64 {
        ENTRY_BYTES + (key.id().len() + held.entry.value.len()) as u64
    }
}
