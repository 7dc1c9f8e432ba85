//! Progress on a table that takes fewer items than a batch has.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_outcome::Failure;
use event_source::{EventSourceMapping, FirstRecordReported, FunctionError, Settings, Shard};
use futures::future::{BoxFuture, FutureExt, ready};
use record_cipher::{CipherError, CipherStats, StreamName};
use record_consumer::{Consumer, Decrypt, Item, PutOutcome, Table};
use record_telemetry::Deadline;
use tokio::time::{Instant, sleep};

use crate::fixture::error;

const STREAM: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/records";
/// Items that the table takes in a second.
const CAPACITY: f64 = 100.0;
const LATENCY: Duration = Duration::from_millis(5);

/// The message is the plaintext.
#[derive(Debug, Clone, Copy)]
struct Plain;

impl Decrypt for Plain {
    fn decrypt<'a>(
        &'a self,
        _: &'a StreamName,
        message: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CipherError>> {
        ready(Ok(message)).boxed()
    }

    fn failed_kms_requests(&self) -> u64 {
        0
    }

    fn stats(&self) -> CipherStats {
        CipherStats::default()
    }
}

/// A table with a fixed capacity, of which a second's worth can be saved up.
#[derive(Clone)]
struct ThrottledTable(Arc<Mutex<Capacity>>);

struct Capacity {
    available: f64,
    at: Instant,
    puts: usize,
}

impl ThrottledTable {
    fn new() -> Self {
        let capacity = Capacity { available: CAPACITY, at: Instant::now(), puts: 0 };
        Self(Arc::new(Mutex::new(capacity)))
    }

    /// Takes this many items, or fewer.
    fn take(&self, items: usize) -> usize {
        let mut capacity = self.0.lock().unwrap();
        let new = capacity.at.elapsed().as_secs_f64() * CAPACITY;
        capacity.available = (capacity.available + new).min(CAPACITY);
        capacity.at = Instant::now();
        let taken = items.min(capacity.available as usize);
        capacity.available -= taken as f64;
        capacity.puts += taken;
        taken
    }
}

impl fmt::Debug for ThrottledTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ThrottledTable")
    }
}

impl Table for ThrottledTable {
    fn put(&self, mut items: Vec<Item>) -> BoxFuture<'_, Result<Vec<Item>, Failure>> {
        Box::pin(async move {
            sleep(LATENCY).await;
            match self.take(items.len()) {
                0 => Err(error("ProvisionedThroughputExceededException")),
                taken => Ok(items.split_off(taken)),
            }
        })
    }

    fn put_if_newer<'a>(
        &'a self,
        _: Item,
        _: &'a str,
    ) -> BoxFuture<'a, Result<PutOutcome, Failure>> {
        Box::pin(async move {
            sleep(LATENCY).await;
            match self.take(1) {
                0 => Err(error("ProvisionedThroughputExceededException")),
                _ => Ok(PutOutcome::Written),
            }
        })
    }
}

/// Drains a shard of so many messages with so many records each, and returns how many invocations
/// that takes and how many items are written, repetitions included.
async fn drain(
    messages: usize,
    records: usize,
    has_versions: bool,
    first_record_reported: FirstRecordReported,
) -> (usize, usize) {
    let table = ThrottledTable::new();
    let builder = Consumer::builder(Plain, table.clone(), "id:S".parse().unwrap());
    let builder = if has_versions { builder.version_attribute("v") } else { builder };
    let consumer = builder.build().unwrap();
    let mut shard = Shard::new(STREAM, 0);
    for message in 0..messages {
        let object = |record| format!(r#"{{"id":"{message}-{record}","v":1}}"#);
        let objects: Vec<_> = (0..records).map(object).collect();
        shard.push("key", format!("[{}]", objects.join(",")).into_bytes());
    }
    let settings = Settings {
        batch_size: messages,
        bisect_batch_on_function_error: true,
        first_record_reported,
        report_batch_item_failures: true,
        ..Settings::default()
    };
    let mapping = EventSourceMapping::new(settings).unwrap();
    let invoke = |event: KinesisEvent| async {
        let handled = consumer.handle(event.into(), Deadline::after(Duration::from_secs(5)));
        let handled = tokio::time::timeout(Duration::from_secs(5), handled).await;
        handled.map(Some).map_err(|_| FunctionError)
    };
    let report = mapping.drain(&mut shard, invoke).await;
    assert_eq!((report.delivered, report.discarded.len()), (messages, 0));
    let puts = table.0.lock().unwrap().puts;
    (report.invocations, puts)
}

#[tokio::test(start_paused = true)]
async fn a_throttled_table_gets_each_item_about_once() {
    for (messages, records, has_versions, expected) in
        [(2000, 1, false, 6), (2000, 1, true, 6), (100, 23, false, 7), (100, 23, true, 7)]
    {
        for reading in [FirstRecordReported::Halve, FirstRecordReported::Retry] {
            let (invocations, puts) = drain(messages, records, has_versions, reading).await;
            let items = messages * records;
            eprintln!(
                "{messages} messages of {records}, versions {has_versions}, {reading:?}: \
                 {invocations} invocations, {puts} puts for {items} items"
            );
            assert!(invocations <= expected, "{invocations}");
            assert!(puts <= items + items / 20, "{puts}");
        }
    }
}
