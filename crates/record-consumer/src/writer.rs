//! Writing items until they are written or time is up.

use std::collections::HashMap;
use std::future::ready;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, sleep};

use crate::deadline::run_until;
use crate::failure::RecordFailure;
use crate::item::{ItemKey, key_of};
use crate::schema::Schema;
use crate::table::{Item, PutOutcome, Table, WriteError};

/// DynamoDB's limit on the puts of one request.
const MAX_PUTS: usize = 25;
/// Requests for several items on their way at once.
const BATCHES_AT_ONCE: usize = 4;
/// Requests for one item on their way at once.
const PUTS_AT_ONCE: usize = 32;

/// Writes items of different keys.
pub(crate) struct Writer<'a> {
    pub(crate) table: &'a dyn Table,
    pub(crate) schema: &'a Schema,
    /// When to stop.
    pub(crate) stop: Instant,
}

/// Why an item was not written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// The table's item is as new or newer.
    Superseded,
    Failed(RecordFailure),
}

/// The keys of the items that were not written, with the reason.
type NotWritten = HashMap<ItemKey, Unwritten>;

impl Writer<'_> {
    /// Writes all items, in batches or, where versions are to be compared, one by one.
    pub(crate) async fn write(&self, items: HashMap<ItemKey, Item>) -> NotWritten {
        match &self.schema.version {
            None => self.write_batches(items).await,
            Some(version) => self.write_newer(items, version).await,
        }
    }

    async fn write_batches(&self, items: HashMap<ItemKey, Item>) -> NotWritten {
        let mut items = items.into_iter();
        let chunks = std::iter::from_fn(|| {
            let chunk: HashMap<_, _> = items.by_ref().take(MAX_PUTS).collect();
            (!chunk.is_empty()).then_some(chunk)
        });
        let unwritten: Vec<NotWritten> = stream::iter(chunks)
            .map(|chunk| self.write_chunk(chunk))
            .buffer_unordered(BATCHES_AT_ONCE)
            .collect()
            .await;
        unwritten.into_iter().flatten().collect()
    }

    /// Repeats what DynamoDB does not process.
    fn write_chunk(&self, mut pending: HashMap<ItemKey, Item>) -> BoxFuture<'_, NotWritten> {
        async move {
            let mut pauses = self.pauses();
            loop {
                let put = self.table.put(pending.values().cloned().collect());
                let reason = match run_until(self.stop, put).await {
                    Some(Ok(unprocessed)) => {
                        pending = self.by_key(unprocessed);
                        "it left the item unprocessed".to_owned()
                    }
                    Some(Err(WriteError::Unavailable(code))) => code,
                    Some(Err(WriteError::Invalid(_))) if pending.len() > 1 => {
                        return self.write_halves(pending).await;
                    }
                    Some(Err(error)) => return all(pending, &error.into()),
                    None => return all(pending, &RecordFailure::OutOfTime),
                };
                if pending.is_empty() {
                    return NotWritten::new();
                }
                if !pauses.pause().await {
                    return all(pending, &RecordFailure::NotTaken(reason));
                }
            }
        }
        .boxed()
    }

    /// Finds the items that make a request invalid, so that the others are written.
    async fn write_halves(&self, mut items: HashMap<ItemKey, Item>) -> NotWritten {
        let keys: Vec<_> = items.keys().take(items.len() / 2).cloned().collect();
        let half = keys.into_iter().filter_map(|key| items.remove_entry(&key)).collect();
        let mut unwritten = self.write_chunk(half).await;
        unwritten.extend(self.write_chunk(items).await);
        unwritten
    }

    fn by_key(&self, items: Vec<Item>) -> HashMap<ItemKey, Item> {
        let with_key = |item| {
            let key = key_of(&item, &self.schema.key).expect("an item that was sent has a key");
            (key, item)
        };
        items.into_iter().map(with_key).collect()
    }

    async fn write_newer(&self, items: HashMap<ItemKey, Item>, version: &str) -> NotWritten {
        stream::iter(items)
            .map(|(key, item)| self.put_if_newer(item, version).map(|unwritten| (key, unwritten)))
            .buffer_unordered(PUTS_AT_ONCE)
            .filter_map(|(key, unwritten)| ready(unwritten.map(|unwritten| (key, unwritten))))
            .collect()
            .await
    }

    /// None once the item is written. A try whose answer was lost is found superseded by itself,
    /// which comes to the same.
    async fn put_if_newer(&self, item: Item, version: &str) -> Option<Unwritten> {
        let mut pauses = self.pauses();
        loop {
            let put = self.table.put_if_newer(item.clone(), version);
            let code = match run_until(self.stop, put).await {
                Some(Ok(PutOutcome::Written)) => return None,
                Some(Ok(PutOutcome::Superseded)) => return Some(Unwritten::Superseded),
                Some(Err(WriteError::Unavailable(code))) => code,
                Some(Err(error)) => return Some(Unwritten::Failed(error.into())),
                None => return Some(Unwritten::Failed(RecordFailure::OutOfTime)),
            };
            if !pauses.pause().await {
                return Some(Unwritten::Failed(RecordFailure::NotTaken(code)));
            }
        }
    }

    fn pauses(&self) -> Pauses {
        // Without end: the deadline ends the tries.
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(2))
            .without_max_times()
            .with_jitter()
            .build();
        Pauses { delays, stop: self.stop }
    }
}

fn all(items: HashMap<ItemKey, Item>, failure: &RecordFailure) -> NotWritten {
    items.into_keys().map(|key| (key, Unwritten::Failed(failure.clone()))).collect()
}

/// The pauses between the tries of a request.
struct Pauses {
    delays: ExponentialBackoff,
    stop: Instant,
}

impl Pauses {
    /// Waits for the next try. False, at once, if there is no time for one.
    async fn pause(&mut self) -> bool {
        let delay = self.delays.next().unwrap_or_default();
        let in_time = Instant::now() + delay < self.stop;
        if in_time {
            sleep(delay).await;
        }
        in_time
    }
}
