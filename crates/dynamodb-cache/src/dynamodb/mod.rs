//! Entries in a DynamoDB table.

mod failure_policy;
mod item;
mod table;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_outcome::{Cause, Failure};
use aws_sdk_dynamodb::Client;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use tokio::task::spawn_blocking;
use tracing::debug;

pub use self::failure_policy::FailurePolicy;
use self::item::Item;
use self::table::{Answer, Table, Write};
use crate::clock::Now;
use crate::error::CacheError;
use crate::key::Key;
use crate::stats::DynamoDbStats;
use crate::store::{Entry, Freshness, Lease, Lookup, Miss, Store};
use crate::table_name::TableName;

/// DynamoDB's limits on the entries of a BatchGetItem and of a BatchWriteItem:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const MAX_READS: usize = 100;
const MAX_WRITES: usize = 25;
/// Concurrent requests of one call.
const REQUESTS_AT_ONCE: usize = 4;

/// Entries in a DynamoDB table whose partition key is the string `id`. Clones share their counters.
///
/// Requests are retried as the [`FailurePolicy`] says. The SDK client's own retries are off.
#[derive(Debug, Clone)]
pub struct DynamoDbStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    table: Table,
    failure_policy: FailurePolicy,
    compress_above: Option<usize>,
}

/// Settings of a [`DynamoDbStore`].
#[derive(Debug, Clone)]
#[must_use]
pub struct DynamoDbStoreBuilder {
    client: Client,
    table: TableName,
    failure_policy: FailurePolicy,
    timeout: Duration,
    compress_above: Option<usize>,
}

impl DynamoDbStoreBuilder {
    /// Sets what to do when a request fails. Default: two retries, and then a miss.
    pub fn failure_policy(mut self, failure_policy: FailurePolicy) -> Self {
        self.failure_policy = failure_policy;
        self
    }

    /// Sets the time limit of each attempt. Default: 1 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Compresses values of more than this many bytes with gzip. Off by default.
    ///
    /// Other programs see a compressed text as base64. A value is rejected if it has more than
    /// 16 MiB, or does not fit into an item of 400 KB after compression.
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = Some(bytes);
        self
    }

    /// Creates the store. Makes no requests.
    #[must_use]
    pub fn build(self) -> DynamoDbStore {
        DynamoDbStore(Arc::new(Inner {
            table: Table::new(&self.client, self.table, self.timeout),
            failure_policy: self.failure_policy,
            compress_above: self.compress_above,
        }))
    }
}

impl DynamoDbStore {
    /// Creates a store with the default settings.
    #[must_use]
    pub fn new(client: &Client, table: TableName) -> Self {
        Self::builder(client, table).build()
    }

    /// Starts building a store. Region, credentials and endpoint are the client's.
    pub fn builder(client: &Client, table: TableName) -> DynamoDbStoreBuilder {
        DynamoDbStoreBuilder {
            client: client.clone(),
            table,
            failure_policy: FailurePolicy::default(),
            timeout: Duration::from_secs(1),
            compress_above: None,
        }
    }

    /// Returns counters accumulated by this store and its clones.
    #[must_use]
    pub fn stats(&self) -> DynamoDbStats {
        self.0.table.counters.read()
    }
}

impl Store for DynamoDbStore {
    fn get<'a>(
        &'a self,
        keys: &'a [Key],
        freshness: Freshness,
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Lookup>, CacheError>> {
        self.0.get(keys, freshness == Freshness::Latest, now).boxed()
    }

    fn set(
        &self,
        entries: Vec<(Key, Entry)>,
        _: Now,
    ) -> BoxFuture<'_, Result<Vec<Key>, CacheError>> {
        async move { self.0.write(self.0.encode(entries).await?).await }.boxed()
    }

    fn delete<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Key>, CacheError>> {
        self.0.write(keys.iter().cloned().map(Write::Delete).collect()).boxed()
    }

    fn acquire<'a>(
        &'a self,
        lease: &'a Lease,
        now: Now,
    ) -> BoxFuture<'a, Result<bool, CacheError>> {
        self.0.acquire(lease, now).boxed()
    }

    fn release<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, ()> {
        // It expires by itself, so one attempt is enough.
        self.0.table.release(lease).map(drop).boxed()
    }
}

impl Inner {
    async fn get(
        &self,
        keys: &[Key],
        consistent: bool,
        now: Now,
    ) -> Result<Vec<Lookup>, CacheError> {
        let read = move |keys| self.table.read(keys, consistent).boxed();
        let Sent { items, unprocessed, .. } = self.send_all(keys.to_vec(), MAX_READS, read).await?;
        let mut by_id: HashMap<_, _> = decode(items).await.into_iter().collect();
        by_id.extend(unprocessed.iter().map(|key| (key.id().to_owned(), Err(Miss::Unavailable))));
        let lookup = |key: &Key| {
            let entry = by_id.remove(key.id()).unwrap_or(Err(Miss::Absent))?;
            if entry.expires_at > now.wall { Ok(entry) } else { Err(Miss::Expired) }
        };
        Ok(keys.iter().map(lookup).collect())
    }

    /// Makes the writes, and returns the keys of those that failed.
    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Key>, CacheError> {
        let write = move |writes| self.table.write(writes).boxed();
        let sent = self.send_all(writes, MAX_WRITES, write).await?;
        Ok(sent.unprocessed.iter().map(|write| write.key().clone()).collect())
    }

    /// Sends entries in requests of at most `at_most` each.
    async fn send_all<'a, T: Clone + Send>(
        &'a self,
        entries: Vec<T>,
        at_most: usize,
        attempt: impl Fn(Vec<T>) -> BoxFuture<'a, Answer<T>> + Copy + Send,
    ) -> Result<Sent<T>, CacheError> {
        let chunks: Vec<_> = entries.chunks(at_most).map(<[T]>::to_vec).collect();
        let requests = stream::iter(chunks).map(|chunk| self.send(chunk, attempt));
        let mut finished = pin!(requests.buffer_unordered(REQUESTS_AT_ONCE));
        let mut all = Sent::default();
        while let Some(sent) = finished.next().await {
            all.add(sent);
        }
        all.failure.as_ref().map_or(Ok(()), |failure| self.apply_policy(failure))?;
        Ok(all)
    }

    /// Sends a request, and retries it with the unprocessed entries while that helps and attempts
    /// remain.
    async fn send<'a, T: Clone + Send>(
        &'a self,
        entries: Vec<T>,
        attempt: impl Fn(Vec<T>) -> BoxFuture<'a, Answer<T>> + Send,
    ) -> Sent<T> {
        let mut sent = Sent { items: Vec::new(), unprocessed: entries, failure: None };
        let mut attempts = self.failure_policy.attempts();
        loop {
            let failure = match attempt(sent.unprocessed.clone()).await {
                Ok((items, unprocessed)) => {
                    sent.items.extend(items);
                    if unprocessed.is_empty() {
                        return Sent { unprocessed, ..sent };
                    }
                    if unprocessed.len() < sent.unprocessed.len() {
                        attempts = self.failure_policy.attempts();
                    }
                    sent.unprocessed = unprocessed;
                    // DynamoDB's reason for leaving entries of a batch unprocessed.
                    Failure::from(Cause::Throttled)
                }
                Err(failure) => failure,
            };
            if !attempts.retry(&failure).await {
                return Sent { failure: Some(failure), ..sent };
            }
        }
    }

    async fn acquire(&self, lease: &Lease, now: Now) -> Result<bool, CacheError> {
        let mut attempts = self.failure_policy.attempts();
        loop {
            match self.table.acquire(lease, item::seconds(now.wall)).await {
                Ok(acquired) => return Ok(acquired),
                Err(failure) if attempts.retry(&failure).await => {}
                Err(failure) => return self.apply_policy(&failure).map(|()| true),
            }
        }
    }

    /// Turns a failure into an error if that is the policy.
    fn apply_policy(&self, failure: &Failure) -> Result<(), CacheError> {
        let table = self.table.name();
        match self.failure_policy {
            FailurePolicy::Miss { .. } => {
                debug!(table, %failure, "table request failed, going on without the table");
                Ok(())
            }
            FailurePolicy::Fail { .. } => {
                Err(CacheError::Table { table: table.to_owned(), failure: failure.clone() })
            }
        }
    }

    async fn encode(&self, entries: Vec<(Key, Entry)>) -> Result<Vec<Write>, CacheError> {
        let compress_above = self.compress_above;
        let is_slow = entries
            .iter()
            .any(|(_, entry)| compress_above.is_some_and(|above| entry.value.len() > above));
        let encode = move || {
            let items = entries.into_iter().map(|(key, entry)| {
                let item = item::encode(&key, &entry, compress_above)?;
                Ok(Write::Put(key, item))
            });
            items.collect()
        };
        run(is_slow, encode).await
    }
}

/// The outcome of sending entries.
struct Sent<T> {
    items: Vec<Item>,
    unprocessed: Vec<T>,
    /// Why entries are unprocessed.
    failure: Option<Failure>,
}

impl<T> Default for Sent<T> {
    fn default() -> Self {
        Self { items: Vec::new(), unprocessed: Vec::new(), failure: None }
    }
}

impl<T> Sent<T> {
    fn add(&mut self, other: Self) {
        self.items.extend(other.items);
        self.unprocessed.extend(other.unprocessed);
        self.failure = other.failure.or(self.failure.take());
    }
}

/// Decodes the items of an answer, all of which have ids.
async fn decode(items: Vec<Item>) -> Vec<(String, Lookup)> {
    let is_slow = items.iter().any(item::is_compressed);
    let decode = move || {
        let items = items.into_iter().filter_map(|item| {
            let id = table::id(&item)?.to_owned();
            Some((id, item::decode(item).map_err(Miss::Unreadable)))
        });
        items.collect()
    };
    run(is_slow, decode).await
}

/// Runs slow work on a thread where it blocks no other task.
async fn run<T: Send + 'static>(is_slow: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
    if !is_slow {
        return work();
    }
    spawn_blocking(work).await.expect("it does not panic, and nobody aborts it")
}
