//! The cache: values of one type under keys of one namespace.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::builder::{CacheBuilder, MIN_DURATION, at_least};
use crate::clock::{Clock, Now, Timestamp};
use crate::error::CacheError;
use crate::flight::Flights;
use crate::in_progress::InProgress;
use crate::key::{Key, Namespace};
use crate::stats::{CacheStats, Counters};
use crate::store::{AddOutcome, Entry, Freshness, Lookup, Miss, Store};
use crate::value::Cacheable;

/// Values of one type with a time-to-live, in a [`Store`]. Clones share the cache.
pub struct Cache<V>(pub(crate) Arc<Inner<V>>);

pub(crate) struct Inner<V> {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) namespace: Namespace,
    pub(crate) time_to_live: Duration,
    pub(crate) refresh_ahead: Option<Duration>,
    pub(crate) lease: Option<Duration>,
    /// Identifies this cache as the owner of leases.
    pub(crate) owner: String,
    pub(crate) started: Timestamp,
    pub(crate) clock: Arc<dyn Clock>,
    /// Number of lease tokens so far.
    pub(crate) tokens: AtomicU64,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lookups: Flights<Result<Cached<V>, CacheError>>,
    pub(crate) refreshes: Flights<()>,
    pub(crate) in_progress: InProgress,
}

/// A value and its expiry. `Debug` does not show the value.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cached<V> {
    /// The value.
    pub value: V,
    /// The moment from which the cache does not return the value.
    pub expires_at: SystemTime,
    /// When it was written, if its life is not the cache's time-to-live.
    pub(crate) written_at: Option<SystemTime>,
}

impl<V: Cacheable> Cached<V> {
    pub(crate) fn read(lookup: Lookup) -> Result<Self, Miss> {
        let Entry { value, expires_at, written_at } = lookup?;
        let value = V::from_value(value).map_err(Miss::Unreadable)?;
        Ok(Self { value, expires_at, written_at })
    }
}

impl<V> fmt::Debug for Cached<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

impl<V> Cache<V> {
    /// Starts building a cache over `store`.
    pub fn builder(store: impl Store + 'static) -> CacheBuilder<V> {
        CacheBuilder::new(store)
    }

    /// Returns counters accumulated by this cache and its clones.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.0.counters.read()
    }

    /// Makes each kind of request to the store once, to find at the start of a program what does not
    /// work until somebody acts: a missing table, a missing permission, a table with another key.
    /// Without this call a store whose policy is a miss goes on, logs the reason once at `WARN` and
    /// counts it.
    ///
    /// # Errors
    /// A request failed, whatever the store's policy is.
    pub async fn check(&self) -> Result<(), CacheError> {
        self.0.store.check().await
    }

    /// Removes an entry. Returns `false` if the store failed.
    ///
    /// A load in this process that began earlier does not store its value, and later callers do not
    /// wait for it.
    ///
    /// # Errors
    /// The key is invalid; or the store failed, and its policy is to return errors.
    pub async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        Ok(self.delete_many([key]).await?.is_empty())
    }

    /// Removes entries, and returns the keys that the store failed to remove.
    ///
    /// # Errors
    /// As [`delete`](Self::delete). Nothing is removed if a key is invalid.
    pub async fn delete_many<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<String>, CacheError> {
        let keys = self.keys(keys)?;
        self.overtake(&keys).await;
        let unwritten = self.0.store.delete(&keys).await;
        self.count_writes(keys.len(), unwritten)
    }

    pub(crate) fn key(&self, name: &str) -> Result<Key, CacheError> {
        self.0.namespace.key(name)
    }

    /// Sorts the keys and removes duplicates.
    fn keys<K: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = K>,
    ) -> Result<Vec<Key>, CacheError> {
        let keys = names.into_iter().map(|name| self.key(name.as_ref()));
        let mut keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// Keeps loads that began earlier from storing what they find, and from being waited for.
    async fn overtake(&self, keys: &[Key]) {
        self.0.lookups.detach(keys);
        self.0.in_progress.overtake(keys).await;
    }

    /// Counts writes, and returns the application's names of the keys that were not written.
    pub(crate) fn count_writes(
        &self,
        all: usize,
        unwritten: Result<Vec<Key>, CacheError>,
    ) -> Result<Vec<String>, CacheError> {
        self.0.counters.outcome(all, &unwritten);
        Ok(unwritten?.iter().map(|key| key.name().to_owned()).collect())
    }

    pub(crate) fn now(&self) -> Now {
        Now::new(self.0.clock.now(), &self.0.started)
    }

    /// The expiry of an entry that is stored now: a whole second, up to 1 s early and never late.
    fn expiry(&self, time_to_live: Duration) -> Result<SystemTime, CacheError> {
        const SETTING: &str = "the time-to-live";
        at_least(MIN_DURATION, SETTING, time_to_live)?;
        let expiry = self.now().wall.checked_add(time_to_live);
        let expiry = expiry.ok_or(CacheError::InvalidDuration {
            setting: SETTING,
            value: time_to_live,
            least: MIN_DURATION,
        })?;
        let seconds = expiry.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

impl<V: Cacheable> Cache<V> {
    /// Creates a cache over `store` without a namespace. Entries live for 55 minutes.
    #[must_use]
    pub fn new(store: impl Store + 'static) -> Self {
        Self::builder(store).build().expect("the default settings are allowed")
    }

    /// Returns the value of a key, unless it is missing or has expired.
    ///
    /// An item that is not a value of this type counts as missing. [`stats`](Self::stats) counts
    /// such items, and the log names the reason.
    ///
    /// # Errors
    /// The key is invalid; or the store failed, and its policy is to return errors.
    pub async fn get(&self, key: &str) -> Result<Option<V>, CacheError> {
        Ok(self.get_with_expiry(key).await?.map(|found| found.value))
    }

    /// Returns the value of a key together with its expiry, for callers who hand the value on.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_with_expiry(&self, key: &str) -> Result<Option<Cached<V>>, CacheError> {
        Ok(self.look_up(&self.key(key)?, Freshness::Eventual).await?.ok())
    }

    /// Returns the values of the keys that have one.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_many<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<HashMap<String, V>, CacheError> {
        let keys = self.keys(keys)?;
        let lookups = self.0.store.get(&keys, Freshness::Eventual, self.now()).await?;
        let found = keys.iter().zip(lookups).filter_map(|(key, lookup)| {
            Some((key.name().to_owned(), self.read(key, lookup).ok()?.value))
        });
        Ok(found.collect())
    }

    /// Stores a value for the cache's time-to-live. Returns `false` if the store failed.
    ///
    /// # Errors
    /// The key is invalid; the value cannot be written or does not fit; or the store failed, and
    /// its policy is to return errors.
    pub async fn set(&self, key: &str, value: &V) -> Result<bool, CacheError> {
        self.set_for(key, value, self.0.time_to_live).await
    }

    /// Stores a value for another time-to-live, at least 1 s.
    ///
    /// # Errors
    /// As [`set`](Self::set); or the time-to-live is too short or too long.
    pub async fn set_for(
        &self,
        key: &str,
        value: &V,
        time_to_live: Duration,
    ) -> Result<bool, CacheError> {
        Ok(self.set_many_for([(key, value)], time_to_live).await?.is_empty())
    }

    /// Stores values for the cache's time-to-live, and returns the keys that the store failed to
    /// write. Of two values for one key, the last one is stored.
    ///
    /// # Errors
    /// As [`set`](Self::set). Nothing was stored unless the store failed.
    pub async fn set_many<'a, K: AsRef<str>>(
        &self,
        values: impl IntoIterator<Item = (K, &'a V)>,
    ) -> Result<Vec<String>, CacheError>
    where
        V: 'a,
    {
        self.set_many_for(values, self.0.time_to_live).await
    }

    /// Stores values for another time-to-live, at least 1 s.
    ///
    /// # Errors
    /// As [`set_many`](Self::set_many); or the time-to-live is too short or too long.
    pub async fn set_many_for<'a, K: AsRef<str>>(
        &self,
        values: impl IntoIterator<Item = (K, &'a V)>,
        time_to_live: Duration,
    ) -> Result<Vec<String>, CacheError>
    where
        V: 'a,
    {
        let entries = values.into_iter().map(|(name, value)| {
            let key = self.key(name.as_ref())?;
            let entry = self.entry(&key, value, time_to_live)?;
            Ok((key, entry))
        });
        let entries: HashMap<_, _> = entries.collect::<Result<_, CacheError>>()?;
        let all = entries.len();
        self.overtake(&entries.keys().cloned().collect::<Vec<_>>()).await;
        let unwritten = self.0.store.set(entries.into_iter().collect(), self.now()).await;
        self.count_writes(all, unwritten)
    }

    /// Stores a value for the cache's time-to-live unless the key has one, in one step: of several
    /// processes that add a key at once, one gets [`AddOutcome::Added`].
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn add(&self, key: &str, value: &V) -> Result<AddOutcome, CacheError> {
        self.add_for(key, value, self.0.time_to_live).await
    }

    /// Stores a value for another time-to-live, at least 1 s, unless the key has one.
    ///
    /// # Errors
    /// As [`set_for`](Self::set_for).
    pub async fn add_for(
        &self,
        key: &str,
        value: &V,
        time_to_live: Duration,
    ) -> Result<AddOutcome, CacheError> {
        let key = self.key(key)?;
        let entry = self.entry(&key, value, time_to_live)?;
        self.overtake(std::slice::from_ref(&key)).await;
        let outcome = self.0.store.add(key, entry, self.now()).await;
        match outcome {
            Ok(AddOutcome::Added) => self.0.counters.writes(1, 0),
            Ok(AddOutcome::Exists) => {}
            Ok(AddOutcome::Unavailable) | Err(_) => self.0.counters.writes(0, 1),
        }
        outcome
    }

    pub(crate) async fn look_up(
        &self,
        key: &Key,
        freshness: Freshness,
    ) -> Result<Result<Cached<V>, Miss>, CacheError> {
        let keys = std::slice::from_ref(key);
        let lookups = self.0.store.get(keys, freshness, self.now()).await?;
        let lookup = lookups.into_iter().next().unwrap_or(Err(Miss::Absent));
        Ok(self.read(key, lookup))
    }

    /// Counts a lookup, and reads the entry that it found.
    fn read(&self, key: &Key, lookup: Lookup) -> Result<Cached<V>, Miss> {
        let found = Cached::read(lookup);
        self.0.counters.lookup(&found);
        if let Err(Miss::Unreadable(reason)) = &found {
            warn!(key = key.id(), %reason, "unreadable item treated as missing");
        }
        found
    }

    /// Creates an entry. Only one with a life of its own says when it was written; the life of the
    /// others is the cache's time-to-live.
    pub(crate) fn entry(
        &self,
        key: &Key,
        value: &V,
        time_to_live: Duration,
    ) -> Result<Entry, CacheError> {
        let expires_at = self.expiry(time_to_live)?;
        let unwritable = |_| CacheError::Unwritable { key: key.id().to_owned() };
        let mut entry = Entry::new(value.to_value().map_err(unwritable)?, expires_at);
        if time_to_live != self.0.time_to_live {
            entry.written_at = Some(self.now().wall);
        }
        Ok(entry)
    }
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("store", &self.0.store)
            .field("namespace", &self.0.namespace)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
