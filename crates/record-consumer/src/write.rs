//! Writing items in batches until they are written or time is up.

use std::collections::HashMap;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, sleep, timeout_at};

use crate::failure::RecordFailure;
use crate::item::{ItemKey, key_of};
use crate::table::{Item, KeyAttribute, Table, WriteError};

/// DynamoDB's limit on the puts of one request.
const MAX_PUTS: usize = 25;
/// Requests on their way at once.
const REQUESTS_AT_ONCE: usize = 4;

/// Writes items of different keys.
pub(crate) struct Writer<'a> {
    pub(crate) table: &'a dyn Table,
    pub(crate) schema: &'a [KeyAttribute],
    /// When to stop.
    pub(crate) stop: Instant,
}

/// The keys of the items that were not written, with the reason.
pub(crate) type Unwritten = HashMap<ItemKey, RecordFailure>;

impl Writer<'_> {
    pub(crate) async fn write(&self, items: HashMap<ItemKey, Item>) -> Unwritten {
        let mut items = items.into_iter();
        let chunks = std::iter::from_fn(|| {
            let chunk: HashMap<_, _> = items.by_ref().take(MAX_PUTS).collect();
            (!chunk.is_empty()).then_some(chunk)
        });
        let unwritten: Vec<Unwritten> = stream::iter(chunks)
            .map(|chunk| self.write_chunk(chunk))
            .buffer_unordered(REQUESTS_AT_ONCE)
            .collect()
            .await;
        unwritten.into_iter().flatten().collect()
    }

    /// Repeats what DynamoDB does not process.
    fn write_chunk(&self, mut pending: HashMap<ItemKey, Item>) -> BoxFuture<'_, Unwritten> {
        async move {
            let mut delays = back_off();
            loop {
                let put = self.table.put(pending.values().cloned().collect());
                let reason = match timeout_at(self.stop, put).await {
                    Ok(Ok(unprocessed)) => {
                        pending = self.by_key(unprocessed);
                        "it left the item unprocessed".to_owned()
                    }
                    Ok(Err(WriteError::Unavailable(code))) => code,
                    Ok(Err(WriteError::Denied(code))) => {
                        return all(pending, &RecordFailure::NotTaken(code));
                    }
                    Ok(Err(WriteError::Invalid(code))) if pending.len() == 1 => {
                        return all(pending, &RecordFailure::Refused(code));
                    }
                    Ok(Err(WriteError::Invalid(_))) => return self.write_halves(pending).await,
                    Err(_) => return all(pending, &RecordFailure::OutOfTime),
                };
                if pending.is_empty() {
                    return Unwritten::new();
                }
                let delay = delays.next().unwrap_or_default();
                if Instant::now() + delay >= self.stop {
                    return all(pending, &RecordFailure::NotTaken(reason));
                }
                sleep(delay).await;
            }
        }
        .boxed()
    }

    /// Finds the items that make a request invalid, so that the others are written.
    async fn write_halves(&self, mut items: HashMap<ItemKey, Item>) -> Unwritten {
        let keys: Vec<_> = items.keys().take(items.len() / 2).cloned().collect();
        let half = keys.into_iter().filter_map(|key| items.remove_entry(&key)).collect();
        let mut unwritten = self.write_chunk(half).await;
        unwritten.extend(self.write_chunk(items).await);
        unwritten
    }

    fn by_key(&self, items: Vec<Item>) -> HashMap<ItemKey, Item> {
        let with_key = |item| {
            let key = key_of(&item, self.schema).expect("an item that was sent has a key");
            (key, item)
        };
        items.into_iter().map(with_key).collect()
    }
}

fn all(items: HashMap<ItemKey, Item>, failure: &RecordFailure) -> Unwritten {
    items.into_keys().map(|key| (key, failure.clone())).collect()
}

/// Without end: the deadline ends the tries.
fn back_off() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(2))
        .without_max_times()
        .with_jitter()
        .build()
}
