//! Loading what is missing: once at a time.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::builder::MIN_DURATION;
use crate::cache::{Cache, Found, entry};
use crate::error::CacheError;
use crate::flight::{Lead, Next};
use crate::key::Key;
use crate::store::{Freshness, Lease};
use crate::value::Cacheable;

/// What a loader returns: a value, and how long it lives if not for the cache's time-to-live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded<V> {
    value: V,
    time_to_live: Option<Duration>,
}

impl<V> Loaded<V> {
    /// A value that lives for so long. One that lives for less than a second is not stored.
    pub fn for_time(value: V, time_to_live: Duration) -> Self {
        Self { value, time_to_live: Some(time_to_live) }
    }
}

/// A value that lives for the cache's time-to-live.
impl<V> From<V> for Loaded<V> {
    fn from(value: V) -> Self {
        Self { value, time_to_live: None }
    }
}

/// A loader's error, which all who wait get.
type SharedError = Arc<dyn Error + Send + Sync>;

impl<V: Cacheable + Clone> Cache<V> {
    /// The value of a key, from the store or, if it is not there, from `loader`, which returns a
    /// value or a [`Loaded`] one.
    ///
    /// Of the calls for a key that come together in this process, clones of the cache included,
    /// one looks it up and loads it, and all get what that gave, an error too; the next call tries
    /// again. If that one call is cancelled or panics, another of them takes over. With a
    /// [`lease`](crate::CacheBuilder::lease) other processes wait too, and with
    /// [`refresh_ahead`](crate::CacheBuilder::refresh_ahead) hardly anyone waits.
    ///
    /// What was loaded is returned even if it could not be stored; that is counted and logged. A
    /// cache has no time limit for its loader, and a loader that asks for its own key waits for
    /// itself.
    ///
    /// # Errors
    /// The key cannot be, the loader failed, or the store was in trouble when it was asked, and is
    /// set to fail then.
    pub async fn get_or_load<F, Fut, L, E>(&self, key: &str, loader: F) -> Result<V, CacheError>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<L, E>>,
        L: Into<Loaded<V>>,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let key = self.key(key)?;
        // It begins when it is first polled.
        let load = async { loader().await.map(L::into).map_err(|error| Arc::from(error.into())) };
        loop {
            match self.0.lookups.next(&key) {
                Next::Lead(lead) => return self.lead(lead, &key, load).await,
                Next::Join(flight) => {
                    if let Some(landed) = flight.landed().await {
                        self.0.counters.joined();
                        return landed;
                    }
                }
            }
        }
    }

    /// Looks up, and loads if need be, for all who wait.
    async fn lead(
        &self,
        lead: Lead<Result<V, CacheError>>,
        key: &Key,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
    ) -> Result<V, CacheError> {
        let landed = match self.look_up(key, Freshness::Eventual).await {
            Ok(Some(found)) if self.is_stale(&found) => {
                lead.land(Ok(found.value.clone()));
                return Ok(self.refresh(key, found.value, load).await);
            }
            Ok(Some(found)) => Ok(found.value),
            Ok(None) => self.load_once(key, load).await,
            Err(error) => Err(error),
        };
        lead.land(landed.clone());
        landed
    }

    /// A new value, unless someone else is loading it or it cannot be had.
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

    /// Loads in one process at a time, if there are leases.
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
            // Who has it has had it for longer than a load takes.
            Ok(Ok(None)) | Err(_) => {
                self.load_with_lease(&self.lease(key, length), key, load).await
            }
        }
    }

    /// Ends when this process has the lease, or with the entry that another has loaded.
    async fn wait_for_lease(
        &self,
        key: &Key,
        length: Duration,
    ) -> Result<Option<Found<V>>, CacheError> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(1))
            .without_max_times()
            .with_jitter()
            .build();
        loop {
            let lease = self.lease(key, length);
            if self.0.store.acquire(&lease, self.now()).await? {
                return Ok(None);
            }
            let mut is_free = false;
            while !is_free {
                sleep(pauses.next().unwrap_or_default()).await;
                let found;
                (found, is_free) = self.peek(key, &lease).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
    }

    /// Loads, unless the lease's last owner has, and ends the lease.
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

    /// The latest entry, if there is one, and whether nobody has the lease.
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
            let entry = entry(key, &loaded.value, self.end(time_to_live)?)?;
            self.0.store.set(vec![(key.clone(), entry)], self.now()).await
        };
        if let Err(error) = self.names_of_unwritten(1, stored.await) {
            warn!(key = key.id(), %error, "what was loaded is not stored");
        }
    }

    fn is_stale(&self, found: &Found<V>) -> bool {
        let left = found.expires_at.duration_since(self.now()).unwrap_or_default();
        self.0.refresh_ahead.is_some_and(|refresh_ahead| left <= refresh_ahead)
    }

    fn lease(&self, key: &Key, length: Duration) -> Lease {
        let until = self.now().checked_add(length).unwrap_or(SystemTime::UNIX_EPOCH);
        Lease { key: key.lease(), owner: self.0.owner.clone(), until }
    }
}
