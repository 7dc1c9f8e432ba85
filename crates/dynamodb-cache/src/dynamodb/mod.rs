//! Entries in a DynamoDB table.

mod breaker;
mod check;
mod failure_policy;
mod item;
mod names;
mod table;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_outcome::{Cause, Failure};
use aws_sdk_dynamodb::Client;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, warn};
use uuid::Uuid;

use self::breaker::Breaker;
use self::failure_policy::Attempts;
pub use self::failure_policy::FailurePolicy;
use self::item::Item;
pub use self::names::{AttributeNames, InvalidAttributeNames};
use self::table::{Answer, Table, Write};
use crate::clock::Now;
use crate::error::CacheError;
use crate::key::Key;
use crate::stats::DynamoDbStats;
use crate::store::{AddOutcome, Entry, Freshness, Lease, LeaseOutcome, Lookup, Miss, Store};
use crate::table_name::TableName;

/// DynamoDB's limits on the entries of a BatchGetItem and of a BatchWriteItem:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const MAX_READS: usize = 100;
const MAX_WRITES: usize = 25;
/// Concurrent requests of one call.
const REQUESTS_AT_ONCE: usize = 4;

/// Entries in a DynamoDB table whose partition key is a string, `id` unless
/// [named](DynamoDbStoreBuilder::attribute_names) otherwise. Clones share their counters.
///
/// Requests are retried as the [`FailurePolicy`] says, within the
/// [time limit](DynamoDbStoreBuilder::timeout) of an operation. After an operation that timed out, or
/// three in a row that failed for a reason that may pass, operations fail at once for five seconds;
/// then one of them retries. The SDK client's own retries are off.
#[derive(Debug, Clone)]
pub struct DynamoDbStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    table: Table,
    failure_policy: FailurePolicy,
    timeout: Duration,
    compress_above: Option<usize>,
    breaker: Breaker,
    /// What was logged, because it does not work until somebody acts.
    warned: Mutex<HashSet<(&'static str, Cause)>>,
}

/// Settings of a [`DynamoDbStore`].
#[derive(Debug, Clone)]
#[must_use]
pub struct DynamoDbStoreBuilder {
    client: Client,
    table: TableName,
    attribute_names: AttributeNames,
    failure_policy: FailurePolicy,
    timeout: Duration,
    compress_above: Option<usize>,
}

impl DynamoDbStoreBuilder {
    /// Sets the names of the attributes, for a table that exists already. Default: `id`,
    /// `cached_value` and `expires_at`.
    pub fn attribute_names(mut self, names: AttributeNames) -> Self {
        self.attribute_names = names;
        self
    }

    /// Sets what to do when a request fails. Default: two retries, and then a miss.
    pub fn failure_policy(mut self, failure_policy: FailurePolicy) -> Self {
        self.failure_policy = failure_policy;
        self
    }

    /// Sets the time limit of an operation with its retries. One of several requests, as for more
    /// than 100 keys, has it for each request, and again after each answer that leaves a part
    /// unprocessed. Default: 1 s.
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
            table: Table::new(&self.client, self.table, self.attribute_names),
            failure_policy: self.failure_policy,
            timeout: self.timeout,
            compress_above: self.compress_above,
            breaker: <_>::default(),
            warned: <_>::default(),
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
            attribute_names: AttributeNames::default(),
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

    fn add(
        &self,
        key: Key,
        entry: Entry,
        now: Now,
    ) -> BoxFuture<'_, Result<AddOutcome, CacheError>> {
        self.0.add(key, entry, now).boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), CacheError>> {
        async { self.0.check().await.map_err(|failure| self.0.error(&failure)) }.boxed()
    }

    fn acquire<'a>(
        &'a self,
        lease: &'a Lease,
        now: Now,
    ) -> BoxFuture<'a, Result<LeaseOutcome, CacheError>> {
        let outcome = |acquired| match acquired {
            Some(true) => LeaseOutcome::Acquired,
            Some(false) => LeaseOutcome::Held,
            None => LeaseOutcome::Unavailable,
        };
        let attempt = move || self.0.table.acquire(lease, now.wall);
        async move { Ok(outcome(self.0.put_if("lease", attempt).await?)) }.boxed()
    }

    fn release<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, ()> {
        // It expires by itself, so one attempt is enough.
        async move {
            if self.0.breaker.permit().is_ok() {
                let attempts = self.0.attempts();
                drop(self.0.attempt(&attempts, self.0.table.release(lease)).await);
            }
        }
        .boxed()
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
        let Sent { items, unprocessed, .. } =
            self.send_all("lookup", keys.to_vec(), MAX_READS, read).await?;
        let mut by_id: HashMap<_, _> = self.decode(items).await.into_iter().collect();
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
        let sent = self.send_all("write", writes, MAX_WRITES, write).await?;
        Ok(sent.unprocessed.iter().map(|write| write.key().clone()).collect())
    }

    /// Sends entries in requests of at most `at_most` each.
    async fn send_all<'a, T: Clone + Send>(
        &'a self,
        operation: &'static str,
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
        all.failure.as_ref().map_or(Ok(()), |failure| self.apply_policy(operation, failure))?;
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
        if let Err(failure) = self.permit() {
            return Sent { failure: Some(failure), ..sent };
        }
        let mut attempts = self.attempts();
        loop {
            let answer = self.attempt(&attempts, attempt(sent.unprocessed.clone())).await;
            let is_answer = answer.is_ok();
            let failure = match answer {
                Ok((items, unprocessed)) => {
                    self.breaker.succeeded();
                    sent.items.extend(items);
                    if unprocessed.is_empty() {
                        return Sent { unprocessed, ..sent };
                    }
                    if unprocessed.len() < sent.unprocessed.len() {
                        attempts = self.attempts();
                    }
                    sent.unprocessed = unprocessed;
                    // DynamoDB's reason for leaving entries of a batch unprocessed.
                    Failure::from(Cause::Throttled)
                }
                Err(failure) => failure,
            };
            if !attempts.retry(&failure).await {
                if !is_answer {
                    self.breaker.failed(&failure);
                }
                return Sent { failure: Some(failure), ..sent };
            }
        }
    }

    /// Makes a conditional write. Returns whether the condition was met, or `None` if the table
    /// failed.
    async fn put_if<F: Future<Output = Result<bool, Failure>>>(
        &self,
        operation: &'static str,
        attempt: impl Fn() -> F,
    ) -> Result<Option<bool>, CacheError> {
        match self.request(attempt).await {
            Ok(is_met) => Ok(Some(is_met)),
            Err(failure) => self.apply_policy(operation, &failure).map(|()| None),
        }
    }

    /// Makes a request, and retries it while that helps and attempts remain.
    async fn request<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        attempt: impl Fn() -> F,
    ) -> Result<T, Failure> {
        self.permit()?;
        let mut attempts = self.attempts();
        loop {
            match self.attempt(&attempts, attempt()).await {
                Ok(answer) => {
                    self.breaker.succeeded();
                    return Ok(answer);
                }
                Err(failure) if attempts.retry(&failure).await => {}
                Err(failure) => {
                    self.breaker.failed(&failure);
                    return Err(failure);
                }
            }
        }
    }

    async fn add(&self, key: Key, entry: Entry, now: Now) -> Result<AddOutcome, CacheError> {
        let Some(Write::Put(_, item)) = self.encode(vec![(key, entry)]).await?.pop() else {
            unreachable!("an entry is written as an item")
        };
        let call = Uuid::new_v4().simple().to_string();
        let attempt = || self.table.add(item.clone(), &call, now.wall);
        Ok(match self.put_if("write", attempt).await? {
            Some(true) => AddOutcome::Added,
            Some(false) => AddOutcome::Exists,
            None => AddOutcome::Unavailable,
        })
    }

    fn attempts(&self) -> Attempts {
        self.failure_policy.attempts(self.timeout)
    }

    /// Makes one attempt within its time limit.
    async fn attempt<T>(
        &self,
        attempts: &Attempts,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let limit = attempts.limit();
        timeout(limit, request).await.unwrap_or_else(|_| {
            let failure = Failure::timed_out(limit);
            self.table.counters.failure(failure.cause());
            Err(failure)
        })
    }

    fn permit(&self) -> Result<(), Failure> {
        self.breaker.permit().inspect_err(|_| self.table.counters.skipped())
    }

    /// Turns a failure into an error if that is the policy.
    fn apply_policy(&self, operation: &'static str, failure: &Failure) -> Result<(), CacheError> {
        match self.failure_policy {
            FailurePolicy::Miss { .. } => {
                self.log(operation, failure);
                Ok(())
            }
            FailurePolicy::Fail { .. } => Err(self.error(failure)),
        }
    }

    fn error(&self, failure: &Failure) -> CacheError {
        CacheError::Table { table: self.table.name().to_owned(), failure: failure.clone() }
    }

    /// Logs what does not work until somebody acts, once.
    fn log(&self, operation: &'static str, failure: &Failure) {
        let table = self.table.name();
        let is_new = || {
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            warned.insert((operation, failure.cause()))
        };
        if !failure.is_retryable() && is_new() {
            warn!(table, operation, %failure, "table not usable until this is fixed");
        } else {
            debug!(table, operation, %failure, "table request failed, going on without the table");
        }
    }

    async fn encode(&self, entries: Vec<(Key, Entry)>) -> Result<Vec<Write>, CacheError> {
        let compress_above = self.compress_above;
        let is_slow = entries
            .iter()
            .any(|(_, entry)| compress_above.is_some_and(|above| entry.value.len() > above));
        let names = self.table.names.clone();
        let encode = move || {
            let items = entries.into_iter().map(|(key, entry)| {
                let item = item::encode(&names, &key, &entry, compress_above)?;
                Ok(Write::Put(key, item))
            });
            items.collect()
        };
        run(is_slow, encode).await
    }

    /// Decodes the items of an answer, all of which have ids.
    async fn decode(&self, items: Vec<Item>) -> Vec<(String, Lookup)> {
        let is_slow = items.iter().any(item::is_compressed);
        let names = self.table.names.clone();
        let decode = move || {
            let items = items.into_iter().filter_map(|item| {
                let id = item.get(&names.key)?.as_s().ok()?.clone();
                Some((id, item::decode(&names, item).map_err(Miss::Unreadable)))
            });
            items.collect()
        };
        run(is_slow, decode).await
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

/// Runs slow work on a thread where it blocks no other task.
async fn run<T: Send + 'static>(is_slow: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
    if !is_slow {
        return work();
    }
    spawn_blocking(work).await.expect("it does not panic, and nobody aborts it")
}
