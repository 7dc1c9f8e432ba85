//! Loading what is missing: once at a time.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_outcome::Pauses;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::builder::MIN_DURATION;
use crate::cache::{Cache, Found, entry};
use crate::error::CacheError;
use crate::flight::{Lead, Next};
use crate::key::Key;
use crate::store::{Freshness, Lease};
use crate::value::Cacheable;

/// A loader's result: a value, optionally with a time-to-live of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded<V> {
    value: V,
    time_to_live: Option<Duration>,
}

impl<V> Loaded<V> {
    /// Gives the value a time-to-live of its own. A value that lives for less than 1 s is returned
    /// and not stored.
    pub fn for_time(value: V, time_to_live: Duration) -> Self {
        Self { value, time_to_live: Some(time_to_live) }
    }
}

/// The value lives for the cache's time-to-live.
impl<V> From<V> for Loaded<V> {
    fn from(value: V) -> Self {
        Self { value, time_to_live: None }
    }
}

/// A loader's error, which all waiting callers get.
type SharedError = Arc<dyn Error + Send + Sync>;

impl<V: Cacheable + Clone> Cache<V> {
    /// Returns the value of a key from the store. If it is missing, loads it with `loader`, which
    /// returns a value or a [`Loaded`] one, and stores it.
    ///
    /// Of concurrent calls for a key in this process, one looks it up and loads it. All of them get
    /// its result, be it an error; the next call tries again. If that one call is cancelled or
    /// panics, another takes over. With a [`lease`](crate::CacheBuilder::lease), other processes
    /// wait too. With [`refresh_ahead`](crate::CacheBuilder::refresh_ahead), callers rarely wait.
    ///
    /// A loaded value is returned even if it could not be stored, which is counted and logged. A
    /// cache does not limit the time of its loader. A loader must not ask for its own key.
    ///
    /// # Errors
    /// The key is invalid; the loader failed; or the store failed, and its policy is to return
    /// errors.
    pub async fn get_or_load<F, Fut, L, E>(&self, key: &str, loader: F) -> Result<V, CacheError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<L, E>>,
        L: Into<Loaded<V>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let key = self.key(key)?;
        // Starts when it is first polled.
        let load = async { loader().await.map(L::into).map_err(|error| Arc::from(error.into())) };
        loop {
            match self.0.lookups.next(&key) {
                Next::Lead(lead) => return self.lead(lead, &key, load).await,
                Next::Join(flight) => {
                    if let Some(result) = flight.result().await {
                        self.0.counters.joined();
                        return result;
                    }
                }
            }
        }
    }

    /// Looks up and, if necessary, loads for all waiting callers.
    async fn lead(
        &self,
        lead: Lead<Result<V, CacheError>>,
        key: &Key,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
    ) -> Result<V, CacheError> {
        let result = match self.look_up(key, Freshness::Eventual).await {
            Ok(Some(found)) if self.is_stale(&found) => {
                lead.finish(Ok(found.value.clone()));
                return Ok(self.refresh(key, found.value, load).await);
            }
            Ok(Some(found)) => Ok(found.value),
            Ok(None) => self.load_once(key, load).await,
            Err(error) => Err(error),
        };
        lead.finish(result.clone());
        result
    }

    /// Reloads a value, unless another caller does or the loader fails.
    async fn refresh(
        &self,
        key: &Key,
        stale: V,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
    ) -> V {
        let Next::Lead(_refreshing) = self.0.refreshes.next(key) else { return stale };
        let loaded = match self.0.lease {
            None => self.load(key, load).await,
            Some(length) => {
                let lease = self.lease(key, length);
                match self.0.store.acquire(&lease, self.now()).await {
                    Ok(true) => self.load_with_lease(&lease, key, load).await,
                    _ => return stale,
                }
            }
        };
        loaded.unwrap_or(stale)
    }

    /// Loads in one process at a time if the cache uses leases.
    async fn load_once(
        &self,
        key: &Key,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
    ) -> Result<V, CacheError> {
        let Some(length) = self.0.lease else { return self.load(key, load).await };
        match timeout(length, self.wait_for_lease(key, length)).await {
            Ok(Ok(Some(found))) => {
                self.0.counters.joined();
                Ok(found.value)
            }
            Ok(Err(error)) => Err(error),
            // The owner has had it for longer than a load should take.
            Ok(Ok(None)) | Err(_) => {
                self.load_with_lease(&self.lease(key, length), key, load).await
            }
        }
    }

    /// Waits for the lease, or for the entry that another process loads.
    async fn wait_for_lease(
        &self,
        key: &Key,
        length: Duration,
    ) -> Result<Option<Found<V>>, CacheError> {
        let mut pauses = Pauses::new(Duration::from_millis(150), Duration::from_secs(2));
        loop {
            let lease = self.lease(key, length);
            if self.0.store.acquire(&lease, self.now()).await? {
                return Ok(None);
            }
            let mut is_free = false;
            while !is_free {
                sleep(pauses.next_pause()).await;
                let found;
                (found, is_free) = self.peek(key, &lease).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
    }

    /// Loads, unless the lease's last owner has done so, and releases the lease.
    async fn load_with_lease(
        &self,
        lease: &Lease,
        key: &Key,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
    ) -> Result<V, CacheError> {
        let loaded = match self.peek(key, lease).await? {
            (Some(found), _) if !self.is_stale(&found) => Ok(found.value),
            _ => self.load(key, load).await,
        };
        self.0.store.release(lease).await;
        loaded
    }

    /// Returns the latest entry, and whether the lease is free.
    async fn peek(&self, key: &Key, lease: &Lease) -> Result<(Option<Found<V>>, bool), CacheError> {
        let keys = [key.clone(), lease.key.clone()];
        let mut lookups = self.0.store.get(&keys, Freshness::Latest, self.now()).await?.into_iter();
        let found = lookups.next().and_then(|lookup| Found::read(lookup).ok());
        Ok((found, lookups.next().is_none_or(|lease| lease.is_err())))
    }

    async fn load(
        &self,
        key: &Key,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
    ) -> Result<V, CacheError> {
        self.0.counters.load();
        match load.await {
            Ok(loaded) => {
                self.keep(key, &loaded).await;
                Ok(loaded.value)
            }
            Err(source) => {
                self.0.counters.failed_load();
                Err(CacheError::Load { key: key.id().to_owned(), source })
            }
        }
    }

    async fn keep(&self, key: &Key, loaded: &Loaded<V>) {
        let time_to_live = loaded.time_to_live.unwrap_or(self.0.time_to_live);
        if time_to_live < MIN_DURATION {
            return;
        }
        let stored = async {
            let entry = entry(key, &loaded.value, self.expiry(time_to_live)?)?;
            self.0.store.set(vec![(key.clone(), entry)], self.now()).await
        };
        if let Err(error) = self.count_writes(1, stored.await) {
            warn!(key = key.id(), %error, "loaded value not stored");
        }
    }

    fn is_stale(&self, found: &Found<V>) -> bool {
        let left = found.expires_at.duration_since(self.now().wall).unwrap_or_default();
        self.0.refresh_ahead.is_some_and(|refresh_ahead| left <= refresh_ahead)
    }

    fn lease(&self, key: &Key, length: Duration) -> Lease {
        let until = self.now().wall.checked_add(length).unwrap_or(SystemTime::UNIX_EPOCH);
        Lease { key: key.lease(), owner: self.0.owner.clone(), until }
    }
}
