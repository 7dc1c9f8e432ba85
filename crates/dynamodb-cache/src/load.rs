//! Loading what is missing: once at a time.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::FutureExt;
use tracing::warn;

use crate::builder::MIN_DURATION;
use crate::cache::{Cache, Cached};
use crate::error::CacheError;
use crate::flight::{Lead, Next};
use crate::in_progress;
use crate::key::Key;
use crate::lease::Turn;
use crate::store::{Entry, Freshness, LeaseOutcome, Miss};
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

/// Whether a caller waits until its loaded value is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storing {
    Awaited,
    /// The store has just failed, and nobody waits for it again.
    InBackground,
}

/// A loader's error, which all waiting callers get.
pub(crate) type SharedError = Arc<dyn Error + Send + Sync>;

impl<V: Cacheable + Clone> Cache<V> {
    /// Returns the value of a key from the store. If it is missing, loads it with `loader`, which
    /// returns a value or a [`Loaded`] one, and stores it.
    ///
    /// Of concurrent calls for a key in this process, one looks it up and loads it. All of them get
    /// its result, be it an error; the next call tries again. If that one call is cancelled or
    /// panics, another takes over. With a [`lease`](crate::CacheBuilder::lease), other processes
    /// wait too. With [`refresh_ahead`](crate::CacheBuilder::refresh_ahead), callers rarely wait.
    ///
    /// A loaded value is returned even if it could not be stored, which is counted and logged. If
    /// the lookup failed, the value is loaded without a lease and stored in the background. A cache
    /// does not limit the time of its loader. A loader must not ask for its own key.
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
        Ok(self.get_or_load_with_expiry(key, loader).await?.value)
    }

    /// As [`get_or_load`](Self::get_or_load), with the value's expiry, for callers who hand the value
    /// on.
    ///
    /// # Errors
    /// As [`get_or_load`](Self::get_or_load).
    pub async fn get_or_load_with_expiry<F, Fut, L, E>(
        &self,
        key: &str,
        loader: F,
    ) -> Result<Cached<V>, CacheError>
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
        lead: Lead<Result<Cached<V>, CacheError>>,
        key: &Key,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
    ) -> Result<Cached<V>, CacheError> {
        let result = match self.look_up(key, Freshness::Eventual).await {
            Ok(Ok(found)) if self.is_stale(&found) => {
                lead.finish(Ok(found.clone()));
                return Ok(self.refresh(key, found, load).await);
            }
            Ok(Ok(found)) => Ok(found),
            Ok(Err(Miss::Unavailable)) => self.load(key, load, Storing::InBackground).await,
            Ok(Err(_)) => self.load_once(key, load).await,
            Err(error) => Err(error),
        };
        lead.finish(result.clone());
        result
    }

    /// Reloads a value, unless another caller does or the loader fails.
    async fn refresh(
        &self,
        key: &Key,
        stale: Cached<V>,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
    ) -> Cached<V> {
        let Next::Lead(_refreshing) = self.0.refreshes.next(key) else { return stale };
        let loaded = match self.0.lease {
            None => self.load(key, load, Storing::Awaited).await,
            Some(length) => {
                let lease = self.lease(key, length);
                match self.0.store.acquire(&lease, self.now()).await {
                    Ok(LeaseOutcome::Acquired) => self.load_with_lease(&lease, key, load).await,
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
    ) -> Result<Cached<V>, CacheError> {
        let Some(length) = self.0.lease else {
            return self.load(key, load, Storing::Awaited).await;
        };
        match self.wait_for_turn(key, length).await? {
            Turn::Found(found) => {
                self.0.counters.joined();
                Ok(found)
            }
            Turn::Lease(lease) => self.load_with_lease(&lease, key, load).await,
            Turn::Unavailable => self.load(key, load, Storing::InBackground).await,
        }
    }

    pub(crate) async fn load(
        &self,
        key: &Key,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
        storing: Storing,
    ) -> Result<Cached<V>, CacheError> {
        self.0.counters.load();
        let in_progress = self.0.in_progress.begin(key).await;
        match load.await {
            Ok(loaded) => Ok(self.keep(key, loaded, in_progress, storing).await),
            Err(source) => {
                self.0.counters.failed_load();
                Err(CacheError::Load { key: key.id().to_owned(), source })
            }
        }
    }

    async fn keep(
        &self,
        key: &Key,
        loaded: Loaded<V>,
        in_progress: in_progress::Load,
        storing: Storing,
    ) -> Cached<V> {
        let time_to_live = loaded.time_to_live.unwrap_or(self.0.time_to_live);
        match self.entry(key, &loaded.value, time_to_live) {
            Ok(entry) => {
                let Entry { expires_at, written_at, .. } = entry;
                self.store(key, entry, in_progress, storing).await;
                Cached { value: loaded.value, expires_at, written_at }
            }
            Err(error) => {
                if time_to_live >= MIN_DURATION {
                    self.0.counters.writes(0, 1);
                    warn!(key = key.id(), %error, "loaded value not stored");
                }
                let now = self.now().wall;
                let expires_at = now.checked_add(time_to_live).unwrap_or(now);
                Cached { value: loaded.value, expires_at, written_at: Some(now) }
            }
        }
    }

    async fn store(
        &self,
        key: &Key,
        entry: Entry,
        in_progress: in_progress::Load,
        storing: Storing,
    ) {
        let (store, counters) = (Arc::clone(&self.0.store), Arc::clone(&self.0.counters));
        let (key, now) = (key.clone(), self.now());
        let mut write = async move {
            let write = || store.set(vec![(key.clone(), entry)], now);
            let Some(unwritten) = in_progress.store(write).await else {
                counters.superseded();
                return;
            };
            counters.outcome(1, &unwritten);
            if let Err(error) = unwritten {
                warn!(key = key.id(), %error, "loaded value not stored");
            }
        }
        .boxed();
        match storing {
            Storing::Awaited => write.await,
            // Its first part puts the value where this process finds it.
            Storing::InBackground if futures::poll!(&mut write).is_pending() => {
                tokio::spawn(write);
            }
            Storing::InBackground => {}
        }
    }

    /// Returns `true` in the time before an entry expires, at most the second half of its life.
    pub(crate) fn is_stale(&self, found: &Cached<V>) -> bool {
        let until_expiry =
            |from: SystemTime| found.expires_at.duration_since(from).unwrap_or_default();
        let half = found.written_at.map_or(Duration::MAX, |at| until_expiry(at) / 2);
        let left = until_expiry(self.now().wall);
        self.0.refresh_ahead.is_some_and(|refresh_ahead| left <= refresh_ahead.min(half))
    }
}
