//! Entries in a DynamoDB table.

mod item;
mod table;
mod trouble;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::Client;
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use tokio::task::spawn_blocking;
use tracing::debug;

use self::item::Item;
use self::table::{Answer, Table, Write};
pub use self::trouble::OnTrouble;
use self::trouble::Trouble;
use crate::error::CacheError;
use crate::key::Key;
use crate::stats::DynamoDbStats;
use crate::store::{Entry, Freshness, Lease, Lookup, Miss, Store};
use crate::table_name::TableName;

/// DynamoDB's limits on the entries of a BatchGetItem and of a BatchWriteItem:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const MAX_READS: usize = 100;
const MAX_WRITES: usize = 25;
/// Requests of one call on their way at once.
const REQUESTS_AT_ONCE: usize = 4;

/// Entries in a DynamoDB table whose partition key is the string `id`. Clones share their counts.
///
/// Requests are repeated as [`OnTrouble`] says, and not by the client of the AWS SDK besides.
#[derive(Debug, Clone)]
pub struct DynamoDbStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    table: Table,
    on_trouble: OnTrouble,
    compress_above: Option<usize>,
}

/// Settings of a [`DynamoDbStore`].
#[derive(Debug, Clone)]
#[must_use]
pub struct DynamoDbStoreBuilder {
    client: Client,
    table: TableName,
    on_trouble: OnTrouble,
    timeout: Duration,
    compress_above: Option<usize>,
}

impl DynamoDbStoreBuilder {
    /// What to do when DynamoDB is in trouble. Unless set, two more tries and then a miss.
    pub fn on_trouble(mut self, on_trouble: OnTrouble) -> Self {
        self.on_trouble = on_trouble;
        self
    }

    /// How long each try may take. A second unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Compresses values of more than so many bytes, with gzip. None unless set.
    ///
    /// Other programs see a compressed text as base64. What does not fit into an item of 400 KB
    /// even so is refused, and what has more than 16 MiB before.
    pub fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = Some(bytes);
        self
    }

    /// The store.
    #[must_use]
    pub fn build(self) -> DynamoDbStore {
        DynamoDbStore(Arc::new(Inner {
            table: Table::new(&self.client, self.table, self.timeout),
            on_trouble: self.on_trouble,
            compress_above: self.compress_above,
        }))
    }
}

impl DynamoDbStore {
    /// A store with the default settings.
    #[must_use]
    pub fn new(client: &Client, table: TableName) -> Self {
        Self::builder(client, table).build()
    }

    /// A store with settings of its own. Region, credentials and endpoint are the client's.
    pub fn builder(client: &Client, table: TableName) -> DynamoDbStoreBuilder {
        DynamoDbStoreBuilder {
            client: client.clone(),
            table,
            on_trouble: OnTrouble::default(),
            timeout: Duration::from_secs(1),
            compress_above: None,
        }
    }

    /// What it has asked of DynamoDB so far.
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
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Vec<Lookup>, CacheError>> {
        self.0.get(keys, freshness == Freshness::Latest, now).boxed()
    }

    fn set(
        &self,
        entries: Vec<(Key, Entry)>,
        _: SystemTime,
    ) -> BoxFuture<'_, Result<Vec<Key>, CacheError>> {
        async move { self.0.write(self.0.encode(entries).await?).await }.boxed()
    }

    fn delete<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Key>, CacheError>> {
        self.0.write(keys.iter().cloned().map(Write::Delete).collect()).boxed()
    }

    fn acquire<'a>(
        &'a self,
        lease: &'a Lease,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, CacheError>> {
        self.0.acquire(lease, now).boxed()
    }

    fn release<'a>(&'a self, lease: &'a Lease) -> BoxFuture<'a, ()> {
        // It ends by itself, so one try is enough.
        self.0.table.release(lease).map(drop).boxed()
    }
}

impl Inner {
    async fn get(
        &self,
        keys: &[Key],
        consistent: bool,
        now: SystemTime,
    ) -> Result<Vec<Lookup>, CacheError> {
        let read = move |keys| self.table.read(keys, consistent).boxed();
        let Sent { items, left, .. } = self.send_all(keys.to_vec(), MAX_READS, read).await?;
        let mut by_id: HashMap<_, _> = decode(items).await.into_iter().collect();
        by_id.extend(left.iter().map(|key| (key.id().to_owned(), Err(Miss::Unavailable))));
        let lookup = |key: &Key| {
            let entry = by_id.remove(key.id()).unwrap_or(Err(Miss::Absent))?;
            if entry.expires_at > now { Ok(entry) } else { Err(Miss::Expired) }
        };
        Ok(keys.iter().map(lookup).collect())
    }

    /// The keys of those that were not carried out.
    async fn write(&self, writes: Vec<Write>) -> Result<Vec<Key>, CacheError> {
        let write = move |writes| self.table.write(writes).boxed();
        let sent = self.send_all(writes, MAX_WRITES, write).await?;
        Ok(sent.left.iter().map(|write| write.key().clone()).collect())
    }

    /// Sends entries in requests of at most so many each.
    async fn send_all<'a, T: Clone + Send>(
        &'a self,
        entries: Vec<T>,
        at_most: usize,
        try_once: impl Fn(Vec<T>) -> BoxFuture<'a, Answer<T>> + Copy + Send,
    ) -> Result<Sent<T>, CacheError> {
        let chunks: Vec<_> = entries.chunks(at_most).map(<[T]>::to_vec).collect();
        let requests = stream::iter(chunks).map(|chunk| self.send(chunk, try_once));
        let mut ended = pin!(requests.buffer_unordered(REQUESTS_AT_ONCE));
        let mut all = Sent::default();
        while let Some(sent) = ended.next().await {
            all.add(sent);
        }
        all.trouble.as_ref().map_or(Ok(()), |trouble| self.judge(trouble))?;
        Ok(all)
    }

    /// Sends a request, and repeats it with the entries that are left as long as that helps or the
    /// tries last.
    async fn send<'a, T: Clone + Send>(
        &'a self,
        entries: Vec<T>,
        try_once: impl Fn(Vec<T>) -> BoxFuture<'a, Answer<T>> + Send,
    ) -> Sent<T> {
        let mut sent = Sent { items: Vec::new(), left: entries, trouble: None };
        let mut tries = self.on_trouble.tries();
        loop {
            let trouble = match try_once(sent.left.clone()).await {
                Ok((items, left)) => {
                    sent.items.extend(items);
                    if left.is_empty() {
                        return Sent { left, ..sent };
                    }
                    if left.len() < sent.left.len() {
                        tries = self.on_trouble.tries();
                    }
                    sent.left = left;
                    Trouble::unprocessed()
                }
                Err(trouble) => trouble,
            };
            if !tries.again(&trouble).await {
                return Sent { trouble: Some(trouble), ..sent };
            }
        }
    }

    async fn acquire(&self, lease: &Lease, now: SystemTime) -> Result<bool, CacheError> {
        let mut tries = self.on_trouble.tries();
        loop {
            match self.table.acquire(lease, item::seconds(now)).await {
                Ok(acquired) => return Ok(acquired),
                Err(trouble) if tries.again(&trouble).await => {}
                Err(trouble) => return self.judge(&trouble).map(|()| true),
            }
        }
    }

    /// An error, if that is what trouble leads to.
    fn judge(&self, trouble: &Trouble) -> Result<(), CacheError> {
        let (table, reason) = (self.table.name(), trouble.reason.as_str());
        match self.on_trouble {
            OnTrouble::Miss { .. } => {
                debug!(table, reason, "the cache goes on without its table");
                Ok(())
            }
            OnTrouble::Fail { .. } => {
                Err(CacheError::Unavailable { table: table.to_owned(), reason: reason.to_owned() })
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

/// What became of entries that were sent.
struct Sent<T> {
    items: Vec<Item>,
    /// What was not carried out.
    left: Vec<T>,
    /// Why not.
    trouble: Option<Trouble>,
}

impl<T> Default for Sent<T> {
    fn default() -> Self {
        Self { items: Vec::new(), left: Vec::new(), trouble: None }
    }
}

impl<T> Sent<T> {
    fn add(&mut self, other: Self) {
        self.items.extend(other.items);
        self.left.extend(other.left);
        self.trouble = other.trouble.or(self.trouble.take());
    }
}

/// Items that answer a request have ids.
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

/// Runs slow work where it is in nobody's way.
async fn run<T: Send + 'static>(is_slow: bool, work: impl FnOnce() -> T + Send + 'static) -> T {
    if !is_slow {
        return work();
    }
    spawn_blocking(work).await.expect("it does not panic, and nobody aborts it")
}
