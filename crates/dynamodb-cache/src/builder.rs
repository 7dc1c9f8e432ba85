//! Settings of a cache.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::cache::{Cache, Inner};
use crate::clock::{Clock, SystemClock};
use crate::error::CacheError;
use crate::key::Namespace;
use crate::store::Store;

/// The default time-to-live of entries: 55 minutes.
pub const DEFAULT_TIME_TO_LIVE: Duration = Duration::from_mins(55);
/// Expiry is in whole seconds.
pub(crate) const MIN_DURATION: Duration = Duration::from_secs(1);
/// A lease is renewed several times in its length.
const MIN_LEASE: Duration = Duration::from_millis(100);

/// Settings of a [`Cache`].
#[derive(Debug, Clone)]
#[must_use]
pub struct CacheBuilder<V> {
    store: Arc<dyn Store>,
    namespace: Option<String>,
    time_to_live: Duration,
    refresh_ahead: Option<Duration>,
    lease: Option<Duration>,
    clock: Arc<dyn Clock>,
    values: PhantomData<fn() -> V>,
}

impl<V> CacheBuilder<V> {
    pub(crate) fn new(store: impl Store + 'static) -> Self {
        Self {
            store: Arc::new(store),
            namespace: None,
            time_to_live: DEFAULT_TIME_TO_LIVE,
            refresh_ahead: None,
            lease: None,
            clock: Arc::new(SystemClock),
            values: PhantomData,
        }
    }

    /// Keeps the keys apart from other namespaces of the table. Without a namespace, keys are the
    /// table's partition keys as they are.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Sets how long entries live unless [`Cache::set_for`] or [`Loaded`](crate::Loaded) says
    /// otherwise: at least 1 s. Default: 55 minutes.
    pub fn time_to_live(mut self, time_to_live: Duration) -> Self {
        self.time_to_live = time_to_live;
        self
    }

    /// Lets [`Cache::get_or_load`] reload an entry during this time before it expires. One caller
    /// reloads it and meanwhile the others get the present value. If the loader fails, that caller
    /// gets the present value too.
    ///
    /// It is shorter than the time-to-live. An entry with a shorter life of its own, such as a token
    /// that expires soon, is reloaded in the second half of that life, and never earlier.
    ///
    /// Off by default: an expired entry is loaded while its callers wait.
    pub fn refresh_ahead(mut self, refresh_ahead: Duration) -> Self {
        self.refresh_ahead = Some(refresh_ahead);
        self
    }

    /// Lets [`Cache::get_or_load`] load an entry in one process at a time, of all processes that
    /// share the table. The others wait for the entry, and if the load fails, the next one loads.
    ///
    /// The process that loads renews its lease until the load ends, however long it takes. If it
    /// dies, one of the others takes over after `length`, at least 100 ms. All processes need the
    /// same length. Each load costs a conditional write and a removal more, and a conditional write
    /// in each third of the length. Off by default: each process loads.
    pub fn lease(mut self, length: Duration) -> Self {
        self.lease = Some(length);
        self
    }

    /// Replaces the system clock, for tests.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Creates the cache. Makes no requests.
    ///
    /// # Errors
    /// The namespace is empty or contains `#`, a duration is too short, or
    /// [`refresh_ahead`](Self::refresh_ahead) is not shorter than the time-to-live.
    pub fn build(self) -> Result<Cache<V>, CacheError> {
        at_least(MIN_DURATION, "the time-to-live", self.time_to_live)?;
        at_least(MIN_LEASE, "the lease", self.lease.unwrap_or(MIN_LEASE))?;
        self.check_refresh_ahead()?;
        let namespace = self.namespace.as_deref().map(Namespace::new).transpose()?;
        Ok(Cache(Arc::new(Inner {
            store: self.store,
            namespace: namespace.unwrap_or_default(),
            time_to_live: self.time_to_live,
            refresh_ahead: self.refresh_ahead,
            lease: self.lease,
            owner: Uuid::new_v4().simple().to_string(),
            tokens: <_>::default(),
            started: self.clock.now(),
            clock: self.clock,
            counters: <_>::default(),
            lookups: <_>::default(),
            refreshes: <_>::default(),
            in_progress: <_>::default(),
        })))
    }

    fn check_refresh_ahead(&self) -> Result<(), CacheError> {
        match self.refresh_ahead {
            Some(refresh_ahead) if refresh_ahead >= self.time_to_live => {
                let time_to_live = self.time_to_live;
                Err(CacheError::RefreshAheadTooLong { refresh_ahead, time_to_live })
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn at_least(
    least: Duration,
    setting: &'static str,
    value: Duration,
) -> Result<(), CacheError> {
    if value < least {
        return Err(CacheError::InvalidDuration { setting, value, least });
    }
    Ok(())
}
