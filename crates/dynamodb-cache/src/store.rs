//! The interface between a cache and the place that keeps its entries.

use std::fmt;
use std::future::ready;
use std::time::SystemTime;

use futures::future::{BoxFuture, FutureExt};

use crate::clock::Now;
use crate::error::CacheError;
use crate::key::Key;
use crate::value::{Unreadable, Value};

/// A place that keeps entries: a table ([`DynamoDbStore`](crate::DynamoDbStore)), this process
/// ([`LocalStore`](crate::LocalStore)), or both ([`TieredStore`](crate::TieredStore)).
///
/// The keys in one call differ. A store has no clock of its own; each call passes the present
/// moment.
pub trait Store: Send + Sync + fmt::Debug {
    /// Looks up each key, and returns the results in the same order.
    ///
    /// # Errors
    /// The store failed, and its policy is to return errors.
    fn get<'a>(
        &'a self,
        keys: &'a [Key],
        freshness: Freshness,
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Lookup>, CacheError>>;

    /// Stores entries in place of existing ones, and returns the keys that it failed to write.
    ///
    /// # Errors
    /// An entry does not fit, and nothing was stored; or the store failed, and its policy is to
    /// return errors.
    fn set(
        &self,
        entries: Vec<(Key, Entry)>,
        now: Now,
    ) -> BoxFuture<'_, Result<Vec<Key>, CacheError>>;

    /// Removes entries, and returns the keys that it failed to remove.
    ///
    /// # Errors
    /// The store failed, and its policy is to return errors.
    fn delete<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Key>, CacheError>>;

    /// Takes a lease, and returns `true` if that succeeded: it was free, it had expired, or this
    /// owner has it already. A store that only this process uses grants every lease, because a
    /// cache loads each key once at a time by itself.
    ///
    /// # Errors
    /// The store failed, and its policy is to return errors. Otherwise a store that fails grants
    /// the lease.
    fn acquire<'a>(
        &'a self,
        _lease: &'a Lease,
        _now: Now,
    ) -> BoxFuture<'a, Result<bool, CacheError>> {
        ready(Ok(true)).boxed()
    }

    /// Ends a lease early if this owner still has it. If that fails, the lease expires by itself.
    fn release<'a>(&'a self, _lease: &'a Lease) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }
}

/// A value and its expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// The moment from which the entry is never returned.
    pub expires_at: SystemTime,
}

impl Entry {
    /// Creates an entry that is never returned from `expires_at` on.
    #[must_use]
    pub fn new(value: Value, expires_at: SystemTime) -> Self {
        Self { value, expires_at }
    }
}

/// What a store has for a key.
pub type Lookup = Result<Entry, Miss>;

/// Why a store has nothing for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Miss {
    /// There is no entry.
    Absent,
    /// The entry has expired.
    Expired,
    /// The item is not an entry.
    Unreadable(Unreadable),
    /// The store failed.
    Unavailable,
}

/// How fresh an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// The last write of another process may be missing.
    Eventual,
    /// All completed writes are visible.
    Latest,
}

/// The right to load an entry, which one process has at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The key under which the lease is stored.
    pub key: Key,
    /// The owner's identifier.
    pub owner: String,
    /// The moment at which the lease expires by itself.
    pub until: SystemTime,
}
