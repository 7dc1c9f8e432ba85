//! Leases, which let one process at a time load an entry.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use aws_outcome::Pauses;
use tokio::time::{Instant, sleep};

use crate::cache::{Cache, Cached};
use crate::error::CacheError;
use crate::key::Key;
use crate::load::{Loaded, SharedError, Storing};
use crate::store::{Freshness, Lease, LeaseOutcome, Lookup};
use crate::value::{Cacheable, Value};

/// How a process stops waiting for a lease.
pub(crate) enum Turn<V> {
    /// Another process loaded the entry.
    Found(Cached<V>),
    /// This process loads it.
    Lease(Lease),
    /// The store failed, and leases mean nothing.
    Unavailable,
}

/// A token of another owner, and since when this process sees it.
struct Seen {
    token: String,
    since: Instant,
}

impl<V: Cacheable + Clone> Cache<V> {
    /// Waits for the lease, or for the entry that another process loads.
    ///
    /// An owner that is alive changes its token before each third of `length` is over. One whose
    /// token stays the same for all of it is dead, whatever the clocks of the two machines say, and
    /// of those that wait one takes its place.
    pub(crate) async fn wait_for_turn(
        &self,
        key: &Key,
        length: Duration,
    ) -> Result<Turn<V>, CacheError> {
        let first = Duration::from_millis(150).min(length / 4);
        let mut pauses = Pauses::new(first, Duration::from_secs(2).min(length / 2));
        let mut seen: Option<Seen> = None;
        let mut abandoned = None;
        loop {
            let lease = Lease { abandoned, ..self.lease(key, length) };
            match self.0.store.acquire(&lease, self.now()).await? {
                LeaseOutcome::Acquired => return Ok(Turn::Lease(lease)),
                LeaseOutcome::Unavailable => return Ok(Turn::Unavailable),
                LeaseOutcome::Held => {}
            }
            abandoned = loop {
                sleep(pauses.next_pause()).await;
                let (found, token) = self.peek(key, &lease.key).await?;
                if let Some(found) = found {
                    return Ok(Turn::Found(found));
                }
                let Some(token) = token else { break None };
                match &seen {
                    Some(seen) if seen.token == token && seen.since.elapsed() >= length => {
                        break Some(token);
                    }
                    Some(seen) if seen.token == token => {}
                    _ => seen = Some(Seen { token, since: Instant::now() }),
                }
            };
        }
    }

    /// Loads, unless the lease's last owner has done so, and releases the lease.
    pub(crate) async fn load_with_lease(
        &self,
        lease: &Lease,
        key: &Key,
        load: impl Future<Output = Result<Loaded<V>, SharedError>>,
    ) -> Result<Cached<V>, CacheError> {
        let loaded = match self.peek(key, &lease.key).await? {
            (Some(found), _) if !self.is_stale(&found) => Ok(found),
            _ => self.keep_lease(key, self.load(key, load, Storing::Awaited)).await,
        };
        self.0.store.release(lease).await;
        loaded
    }

    /// Renews the lease while `work` goes on.
    async fn keep_lease<T>(&self, key: &Key, work: impl Future<Output = T>) -> T {
        let Some(length) = self.0.lease else { return work.await };
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep(length / 3) => {}
            }
            let lease = self.lease(key, length);
            tokio::select! {
                biased;
                done = &mut work => return done,
                renewed = self.0.store.acquire(&lease, self.now()) => match renewed {
                    // This process stood still for longer than the lease, and another loads as well.
                    Ok(LeaseOutcome::Held) => return work.await,
                    Ok(LeaseOutcome::Acquired | LeaseOutcome::Unavailable) | Err(_) => {}
                },
            }
        }
    }

    /// Returns the latest entry, and the token of the lease unless it is free.
    async fn peek(
        &self,
        key: &Key,
        lease: &Key,
    ) -> Result<(Option<Cached<V>>, Option<String>), CacheError> {
        let keys = [key.clone(), lease.clone()];
        let mut lookups = self.0.store.get(&keys, Freshness::Latest, self.now()).await?.into_iter();
        let found = lookups.next().and_then(|lookup| Cached::read(lookup).ok());
        Ok((found, lookups.next().and_then(token)))
    }

    pub(crate) fn lease(&self, key: &Key, length: Duration) -> Lease {
        let (owner, number) = (self.0.owner.clone(), self.0.tokens.fetch_add(1, Relaxed));
        let until = self.now().wall.checked_add(length).unwrap_or(SystemTime::UNIX_EPOCH);
        let token = format!("{owner} {number}");
        Lease { key: key.lease(), owner, token, until, abandoned: None }
    }
}

fn token(lookup: Lookup) -> Option<String> {
    match lookup.ok()?.value {
        Value::Text(token) => Some(token),
        _ => None,
    }
}
