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

    /// Stores an entry unless the key has one that has not expired, in one step.
    ///
    /// # Errors
    /// The entry does not fit; or the store failed, and its policy is to return errors.
    fn add(
        &self,
        key: Key,
        entry: Entry,
        now: Now,
    ) -> BoxFuture<'_, Result<AddOutcome, CacheError>>;

    /// Makes each kind of request once, to find what does not work until somebody acts: a missing
    /// table, a missing permission, another key schema. A store that only this process uses has
    /// nothing to check.
    ///
    /// # Errors
    /// A request failed, whatever the policy is.
    fn check(&self) -> BoxFuture<'_, Result<(), CacheError>> {
        ready(Ok(())).boxed()
    }

    /// Takes or renews a lease: if it is free, has expired, is this owner's already, or still has
    /// the [`abandoned`](Lease::abandoned) token. A store that only this process uses grants every
    /// lease, because a cache loads each key once at a time by itself.
    ///
    /// A lease that was taken is looked up like an entry, with its token as the text.
    ///
    /// # Errors
    /// The store failed, and its policy is to return errors.
    fn acquire<'a>(
        &'a self,
        _lease: &'a Lease,
        _now: Now,
    ) -> BoxFuture<'a, Result<LeaseOutcome, CacheError>> {
        ready(Ok(LeaseOutcome::Acquired)).boxed()
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
    /// When the entry was written, if its life is not its cache's time-to-live.
    pub written_at: Option<SystemTime>,
}

impl Entry {
    /// Creates an entry that is never returned from `expires_at` on.
    #[must_use]
    pub fn new(value: Value, expires_at: SystemTime) -> Self {
        Self { value, expires_at, written_at: None }
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

/// The result of [`Store::add`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddOutcome {
    /// The entry was stored.
    Added,
    /// The key has an entry, and nothing was stored.
    Exists,
    /// The store failed, and the entry may or may not have been stored.
    Unavailable,
}

/// The result of [`Store::acquire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The lease is this owner's.
    Acquired,
    /// Another owner has it.
    Held,
    /// The store failed.
    Unavailable,
}

/// The right to load an entry, which one process has at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The key under which the lease is stored.
    pub key: Key,
    /// The owner's identifier.
    pub owner: String,
    /// The text that is stored. It begins with the owner, and each renewal has another one.
    pub token: String,
    /// The moment at which the lease expires by itself.
    pub until: SystemTime,
    /// The token of an owner who did not renew the lease for its whole length.
    pub abandoned: Option<String>,
}
