//! A store in this process in front of another.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tracing::warn;

use crate::clock::Now;
use crate::error::CacheError;
use crate::key::Key;
use crate::local_store::LocalStore;
use crate::store::{AddOutcome, Entry, Freshness, Lease, LeaseOutcome, Lookup, Store};

const STRIPES: usize = 64;
const DEFAULT_MAX_AGE: Duration = Duration::from_mins(1);

/// A [`LocalStore`] in front of another store, with copies of the latter's entries.
///
/// - This process sees its own completed writes and removals. A lookup that began earlier never
///   brings an old entry back; for that, the store behind is asked for the latest entry.
/// - It sees the writes of other processes when its copy is [`max_age`](Self::max_age) old.
/// - A value that the store behind failed to write is kept in front all the same, and so is one that
///   is too large for it.
#[derive(Debug, Clone)]
pub struct TieredStore {
    front: LocalStore,
    back: Arc<dyn Store>,
    max_age: Duration,
    writes: Arc<Writes>,
}

impl TieredStore {
    /// Puts `front` in front of `back`.
    #[must_use]
    pub fn new(front: LocalStore, back: impl Store + 'static) -> Self {
        Self { front, back: Arc::new(back), max_age: DEFAULT_MAX_AGE, writes: Arc::default() }
    }

    /// Sets how long a copy is used, and so how long this process may miss the writes and removals
    /// of others. Default: 1 minute.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// Looks up the keys that are not in front in the store behind.
    async fn get_both(&self, keys: &[Key], now: Now) -> Result<Vec<Lookup>, CacheError> {
        let mut lookups = Vec::with_capacity(keys.len());
        let (mut missing, mut asked) = (Vec::new(), Vec::new());
        for (index, key) in keys.iter().enumerate() {
            let writes = self.writes.count(key);
            let found = self.front.find(key, now);
            if found.is_err() {
                missing.push((index, writes));
                asked.push(key.clone());
            }
            lookups.push(found);
        }
        if !asked.is_empty() {
            let answers = self.back.get(&asked, Freshness::Latest, now).await?;
            for (((index, writes), key), answer) in missing.into_iter().zip(asked).zip(answers) {
                if let Ok(entry) = &answer {
                    self.copy(key, entry, writes, now);
                }
                lookups[index] = answer;
            }
        }
        Ok(lookups)
    }

    /// Writes to the store behind. Values that are too large for it are removed from it, so that no
    /// older ones appear later.
    async fn set_behind(
        &self,
        mut entries: Vec<(Key, Entry)>,
        now: Now,
    ) -> Result<Vec<Key>, CacheError> {
        let mut too_large = Vec::new();
        let mut unwritten = loop {
            match self.back.set(entries.clone(), now).await {
                Err(error @ CacheError::TooLarge { .. }) => {
                    too_large.push(take_named(&error, &mut entries)?);
                    warn!(%error, "value not stored in the table, kept in this process only");
                }
                result => break result?,
            }
        };
        if !too_large.is_empty() {
            self.back.delete(&too_large).await?;
        }
        unwritten.append(&mut too_large);
        Ok(unwritten)
    }

    /// Keeps an entry that was looked up, unless the key may have been written meanwhile.
    fn copy(&self, key: Key, entry: &Entry, writes_before: u64, now: Now) {
        let writes = self.writes.lock(&key);
        if *writes == writes_before {
            self.insert(key, entry.clone(), now);
        }
    }

    fn keep(&self, key: Key, entry: Entry, now: Now) {
        let mut writes = self.writes.lock(&key);
        *writes += 1;
        self.insert(key, entry, now);
    }

    fn insert(&self, key: Key, entry: Entry, now: Now) {
        self.front.insert(key, entry, now, self.max_age);
    }

    fn forget(&self, key: &Key) {
        let mut writes = self.writes.lock(key);
        *writes += 1;
        self.front.remove(key);
    }
}

impl Store for TieredStore {
    fn get<'a>(
        &'a self,
        keys: &'a [Key],
        freshness: Freshness,
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Lookup>, CacheError>> {
        match freshness {
            Freshness::Eventual => self.get_both(keys, now).boxed(),
            Freshness::Latest => self.back.get(keys, freshness, now),
        }
    }

    fn set(
        &self,
        entries: Vec<(Key, Entry)>,
        now: Now,
    ) -> BoxFuture<'_, Result<Vec<Key>, CacheError>> {
        async move {
            for (key, entry) in &entries {
                self.keep(key.clone(), entry.clone(), now);
            }
            let stored = self.set_behind(entries.clone(), now).await;
            for (key, entry) in entries {
                match stored {
                    Ok(_) => self.keep(key, entry, now),
                    // It may or may not have been written.
                    Err(_) => self.forget(&key),
                }
            }
            stored
        }
        .boxed()
    }

    fn delete<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Key>, CacheError>> {
        async move {
            let deleted = self.back.delete(keys).await;
            keys.iter().for_each(|key| self.forget(key));
            deleted
        }
        .boxed()
    }

    fn add(
        &self,
        key: Key,
        entry: Entry,
        now: Now,
    ) -> BoxFuture<'_, Result<AddOutcome, CacheError>> {
        async move {
            let added = self.back.add(key.clone(), entry.clone(), now).await;
            match added {
                Ok(AddOutcome::Added) => self.keep(key, entry, now),
                _ => self.forget(&key),
            }
            added
        }
        .boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), CacheError>> {
        self.back.check()
    }

    fn acquire<'a>(
        &'a self,
        lease: &'a Lease,
        now: Now,
    ) -> BoxFuture<'a, Result<LeaseOutcome, CacheError>> {
        self.back.acquire(lease, now)
    }

    fn release<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, ()> {
        self.back.release(lease)
    }
}

/// Takes the entry that an error names out of `entries`, and returns its key.
fn take_named(error: &CacheError, entries: &mut Vec<(Key, Entry)>) -> Result<Key, CacheError> {
    let CacheError::TooLarge { key: id, .. } = error else { return Err(error.clone()) };
    let index = entries.iter().position(|(key, _)| key.id() == id);
    index.map(|index| entries.swap_remove(index).0).ok_or_else(|| error.clone())
}

/// Counts of the writes to keys; some keys share a count.
#[derive(Debug)]
struct Writes([Mutex<u64>; STRIPES]);

impl Default for Writes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Writes {
    fn count(&self, key: &Key) -> u64 {
        *self.lock(key)
    }

    fn lock(&self, key: &Key) -> MutexGuard<'_, u64> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        let stripe = usize::try_from(hash % STRIPES as u64).expect("it is less than 64");
        self.0[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
