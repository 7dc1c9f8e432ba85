//! What a cache asks of the place where its entries are.

use std::fmt;
use std::time::SystemTime;

use futures::future::{BoxFuture, FutureExt};

use crate::error::CacheError;
use crate::key::Key;
use crate::value::{Unreadable, Value};

/// Where entries are kept: [`DynamoDbStore`](crate::DynamoDbStore), in this process
/// ([`LocalStore`](crate::LocalStore)), or both ([`TieredStore`](crate::TieredStore)).
///
/// Keys in one call are different. A store has no clock: it is told the present moment.
pub trait Store: Send + Sync + fmt::Debug {
    /// What there is for each key, in the same order.
    ///
    /// # Errors
    /// The store was in trouble, and is set to fail then.
    fn get<'a>(
        &'a self,
        keys: &'a [Key],
        freshness: Freshness,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Vec<Lookup>, CacheError>>;

    /// Stores entries in place of those there are, and returns the keys of those that, because of
    /// trouble, it did not.
    ///
    /// # Errors
    /// An entry does not fit, and none was stored; or the store was in trouble, and is set to fail
    /// then.
    fn set(
        &self,
        entries: Vec<(Key, Entry)>,
        now: SystemTime,
    ) -> BoxFuture<'_, Result<Vec<Key>, CacheError>>;

    /// Removes entries, and returns the keys of those that, because of trouble, it did not.
    ///
    /// # Errors
    /// The store was in trouble, and is set to fail then.
    fn delete<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Key>, CacheError>>;

    /// Takes a lease, and says whether that was possible: it was free, had ended, or was this
    /// owner's already. A store that only this process has gives every lease, because a cache
    /// itself loads an entry once at a time.
    ///
    /// # Errors
    /// The store was in trouble, and is set to fail then. One that is not gives the lease.
    fn acquire<'a>(
        &'a self,
        _lease: &'a Lease,
        _now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, CacheError>> {
        std::future::ready(Ok(true)).boxed()
    }

    /// Ends a lease early, if it is still this owner's. If that fails, it ends by itself.
    fn release<'a>(&'a self, _lease: &'a Lease) -> BoxFuture<'a, ()> {
        std::future::ready(()).boxed()
    }
}

/// A value, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// From this moment on the entry is never returned.
    pub expires_at: SystemTime,
}

/// What a store has for a key.
pub type Lookup = Result<Entry, Miss>;

/// Why a store has nothing for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Miss {
    /// There is no entry.
    Absent,
    /// There is an entry that has ended.
    Expired,
    /// There is something that is no entry.
    Unreadable(Unreadable),
    /// The store could not be asked.
    Unavailable,
}

/// How fresh an answer has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Another process's last write may be missing.
    Eventual,
    /// All writes that have ended are there.
    Latest,
}

/// The right to load an entry, which one process has at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What the lease is stored under.
    pub key: Key,
    /// Who has it.
    pub owner: String,
    /// When it ends by itself.
    pub until: SystemTime,
}
