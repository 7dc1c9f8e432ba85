//! The cache: values of one type under keys of one namespace.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::warn;

use crate::builder::{CacheBuilder, at_least_a_second};
use crate::clock::Clock;
use crate::error::CacheError;
use crate::flight::Flights;
use crate::key::{Key, Namespace};
use crate::stats::{CacheStats, Counters};
use crate::store::{Entry, Freshness, Lookup, Miss, Store};
use crate::value::Cacheable;

/// Values of one type with a time-to-live, in a [`Store`]. Clones are the same cache.
pub struct Cache<V>(pub(crate) Arc<Inner<V>>);

pub(crate) struct Inner<V> {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) namespace: Namespace,
    pub(crate) time_to_live: Duration,
    pub(crate) refresh_ahead: Option<Duration>,
    pub(crate) lease: Option<Duration>,
    /// Who has the leases of this cache.
    pub(crate) owner: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
    pub(crate) lookups: Flights<Result<V, CacheError>>,
    pub(crate) refreshes: Flights<()>,
}

/// A value, and when it ends.
pub(crate) struct Found<V> {
    pub(crate) value: V,
    pub(crate) expires_at: SystemTime,
}

impl<V: Cacheable> Found<V> {
    pub(crate) fn read(lookup: Lookup) -> Result<Self, Miss> {
        let Entry { value, expires_at } = lookup?;
        Ok(Self { value: V::from_value(value).map_err(Miss::Unreadable)?, expires_at })
    }
}

impl<V> Cache<V> {
    /// Settings of a cache over `store`.
    pub fn builder(store: impl Store + 'static) -> CacheBuilder<V> {
        CacheBuilder::new(store)
    }

    /// What the cache has done so far.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        self.0.counters.read()
    }

    /// Removes an entry. False if that was not possible because of trouble.
    ///
    /// # Errors
    /// The key cannot be, or the store was in trouble and is set to fail then.
    pub async fn delete(&self, key: &str) -> Result<bool, CacheError> {
        Ok(self.delete_many([key]).await?.is_empty())
    }

    /// Removes entries, and returns the keys of those that, because of trouble, were not removed.
    ///
    /// # Errors
    /// As [`delete`](Self::delete), and nothing was removed if a key cannot be.
    pub async fn delete_many<K: AsRef<str>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Vec<String>, CacheError> {
        let keys = self.keys(keys)?;
        let left = self.0.store.delete(&keys).await;
        self.names_of_unwritten(keys.len(), left)
    }

    pub(crate) fn key(&self, name: &str) -> Result<Key, CacheError> {
        self.0.namespace.key(name)
    }

    /// Each key once.
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

    pub(crate) fn names_of_unwritten(
        &self,
        all: usize,
        left: Result<Vec<Key>, CacheError>,
    ) -> Result<Vec<String>, CacheError> {
        let unwritten = left.as_ref().map_or(all, Vec::len);
        self.0.counters.writes(all - unwritten, unwritten);
        Ok(left?.iter().map(|key| key.name().to_owned()).collect())
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.0.clock.now()
    }

    /// When what is stored now ends: in a whole second, at most a second early and never late.
    pub(crate) fn end(&self, time_to_live: Duration) -> Result<SystemTime, CacheError> {
        const SETTING: &str = "the time-to-live";
        at_least_a_second(SETTING, time_to_live)?;
        let end = self
            .now()
            .checked_add(time_to_live)
            .ok_or(CacheError::InvalidDuration { setting: SETTING, value: time_to_live })?;
        let seconds = end.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

impl<V: Cacheable> Cache<V> {
    /// A cache over `store`, without a namespace, whose entries live for 55 minutes.
    #[must_use]
    pub fn new(store: impl Store + 'static) -> Self {
        Self::builder(store).build().expect("the default settings are allowed")
    }

    /// The value of a key, if there is one that has not ended.
    ///
    /// What is no value of this type counts as missing; [`stats`](Self::stats) counts why, and the
    /// log says it.
    ///
    /// # Errors
    /// The key cannot be, or the store was in trouble and is set to fail then.
    pub async fn get(&self, key: &str) -> Result<Option<V>, CacheError> {
        let found = self.look_up(&self.key(key)?, Freshness::Eventual).await?;
        Ok(found.map(|found| found.value))
    }

    /// The values of those keys that have one.
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
            Some((key.name().to_owned(), self.read(key, lookup)?.value))
        });
        Ok(found.collect())
    }

    /// Stores a value for the cache's time-to-live. False if that was not possible because of
    /// trouble.
    ///
    /// # Errors
    /// The key cannot be, the value cannot be written or does not fit, or the store was in trouble
    /// and is set to fail then.
    pub async fn set(&self, key: &str, value: &V) -> Result<bool, CacheError> {
        self.set_for(key, value, self.0.time_to_live).await
    }

    /// Stores a value for another time, at least a second.
    ///
    /// # Errors
    /// As [`set`](Self::set), or the time is too short or too long.
    pub async fn set_for(
        &self,
        key: &str,
        value: &V,
        time_to_live: Duration,
    ) -> Result<bool, CacheError> {
        Ok(self.set_many_for([(key, value)], time_to_live).await?.is_empty())
    }

    /// Stores values for the cache's time-to-live, and returns the keys of those that, because of
    /// trouble, were not stored. Of two values for one key the last is stored.
    ///
    /// # Errors
    /// As [`set`](Self::set), and nothing was stored unless the store was in trouble.
    pub async fn set_many<'a, K: AsRef<str>>(
        &self,
        values: impl IntoIterator<Item = (K, &'a V)>,
    ) -> Result<Vec<String>, CacheError>
    where
        V: 'a,
    {
        self.set_many_for(values, self.0.time_to_live).await
    }

    /// Stores values for another time, at least a second.
    ///
    /// # Errors
    /// As [`set_many`](Self::set_many), or the time is too short or too long.
    pub async fn set_many_for<'a, K: AsRef<str>>(
        &self,
        values: impl IntoIterator<Item = (K, &'a V)>,
        time_to_live: Duration,
    ) -> Result<Vec<String>, CacheError>
    where
        V: 'a,
    {
        let expires_at = self.end(time_to_live)?;
        let entries = values.into_iter().map(|(name, value)| {
            let key = self.key(name.as_ref())?;
            let entry = entry(&key, value, expires_at)?;
            Ok((key, entry))
        });
        let entries: HashMap<_, _> = entries.collect::<Result<_, CacheError>>()?;
        let all = entries.len();
        let left = self.0.store.set(entries.into_iter().collect(), self.now()).await;
        self.names_of_unwritten(all, left)
    }

    pub(crate) async fn look_up(
        &self,
        key: &Key,
        freshness: Freshness,
    ) -> Result<Option<Found<V>>, CacheError> {
        let keys = std::slice::from_ref(key);
        let lookups = self.0.store.get(keys, freshness, self.now()).await?;
        Ok(lookups.into_iter().next().and_then(|lookup| self.read(key, lookup)))
    }

    /// Counts a lookup, and reads what it found.
    fn read(&self, key: &Key, lookup: Lookup) -> Option<Found<V>> {
        let found = Found::read(lookup);
        self.0.counters.lookup(&found);
        if let Err(Miss::Unreadable(reason)) = &found {
            warn!(key = key.id(), %reason, "an item counts as missing");
        }
        found.ok()
    }
}

pub(crate) fn entry<V: Cacheable>(
    key: &Key,
    value: &V,
    expires_at: SystemTime,
) -> Result<Entry, CacheError> {
    match value.to_value() {
        Ok(value) => Ok(Entry { value, expires_at }),
        Err(_) => Err(CacheError::Unwritable { key: key.id().to_owned() }),
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
