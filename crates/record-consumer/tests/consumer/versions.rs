//! Records whose versions are compared.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_outcome::Failure;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::BoxFuture;
use proptest::prelude::*;
use record_consumer::{Consumer, Item, PutOutcome, Table};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::fixture::{
    FakeTable, builder, cipher, deliver, error, event, fixture, pairs, put_if_newer,
};

#[tokio::test(start_paused = true)]
async fn an_older_or_equal_record_counts_as_written_and_changes_nothing() {
    let fixture = fixture(FakeTable::default()).with_versions();
    let records = [
        r#"{"id":"a","v":10}"#,
        r#"{"id":"a","v":9}"#,
        r#"{"id":"a","v":10.0}"#,
        r#"{"id":"a","v":-11}"#,
    ];
    for record in records {
        assert!(fixture.handle_texts(&[record]).await.is_empty());
        assert_eq!(fixture.table.contents(), pairs(&[("a", "10")]));
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_the_highest_version_is_written() {
    let fixture = fixture(FakeTable::default()).with_versions();
    let times =
        ["2026-01-05T08:01:26.500Z", "2026-01-05T08:01:27.000Z", "2026-01-05T08:01:26.999Z"];
    let records: Vec<_> = times.map(|time| format!(r#"{{"id":"a","v":"{time}"}}"#)).to_vec();
    let mut records: Vec<_> = records.iter().map(String::as_str).collect();
    records.extend([r#"{"id":"b","v":10}"#, r#"[{"id":"b","v":9},{"id":"c","v":1}]"#]);
    assert!(fixture.handle_texts(&records).await.is_empty());
    assert_eq!(fixture.table.contents(), pairs(&[("a", times[1]), ("b", "10"), ("c", "1")]));
    assert_eq!(fixture.table.requests(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_record_without_a_version_is_refused_with_the_attribute_named() {
    let fixture = fixture(FakeTable::default()).with_versions().with_quarantine();
    let records = [
        r#"{"id":"a"}"#,
        r#"{"id":"a","v":"2026-01-05"}"#,
        r#"[{"id":"a","v":1},{"id":"b","v":null}]"#,
    ];
    assert!(fixture.handle_texts(&records).await.is_empty());
    assert_eq!(fixture.table.contents(), pairs(&[("a", "1")]));
    let expected = [
        "attribute v: the version attribute is missing",
        "attribute v: the version attribute must be a number, or a time",
        "element [1] of the aggregate: attribute v: the version attribute must be a number, or a time",
    ];
    for (reason, expected) in fixture.quarantined.reasons().iter().zip(expected) {
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_put_is_repeated() {
    let throttled = |_: &[Item]| Err(error("ThrottlingException"));
    let fixture = fixture(FakeTable::default().then(throttled).then(throttled)).with_versions();
    assert!(fixture.handle_texts(&[r#"{"id":"a","v":1}"#]).await.is_empty());
    assert_eq!(fixture.table.requests(), [1, 1, 1]);
    assert_eq!(fixture.table.contents(), pairs(&[("a", "1")]));
}

#[tokio::test(start_paused = true)]
async fn puts_that_are_throttled_until_the_deadline_are_reported_before_it() {
    let throttled = error("ThrottlingException");
    let fixture = fixture(FakeTable::default().failing(&throttled)).with_versions();
    let messages = fixture.records(&[r#"{"id":"a","v":1}"#, r#"{"id":"a","v":2}"#]).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    assert_eq!(fixture.handle_until(messages, deadline).await, ["1", "2"]);
    assert!(deadline - Instant::now() >= Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn if_the_highest_version_is_refused_the_next_one_is_written() {
    let table = FakeTable::default().rejecting("3");
    let fixture = fixture(table).with_versions().with_quarantine();
    let records = [r#"{"id":"a","v":2}"#, r#"{"id":"a","v":3}"#, r#"{"id":"a","v":1}"#];
    assert!(fixture.handle_texts(&records).await.is_empty());
    assert_eq!(fixture.table.contents(), pairs(&[("a", "2")]));
    assert_eq!(fixture.quarantined.sequence_numbers(), ["2"]);
}

/// A table whose answers come late, or get lost before or after the put is done.
#[derive(Clone)]
struct UnreliableTable {
    items: Arc<Mutex<Vec<Item>>>,
    mishaps: Arc<Mutex<std::vec::IntoIter<Mishap>>>,
}

#[derive(Clone, Copy, Debug)]
struct Mishap {
    /// How often others come first.
    late: u8,
    lost: Option<Lost>,
}

#[derive(Clone, Copy, Debug)]
enum Lost {
    Request,
    Answer,
}

impl fmt::Debug for UnreliableTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnreliableTable")
    }
}

impl Table for UnreliableTable {
    fn put(&self, _: Vec<Item>) -> BoxFuture<'_, Result<Vec<Item>, Failure>> {
        unreachable!("versions are compared item by item")
    }

    fn put_if_newer<'a>(
        &'a self,
        item: Item,
        version: &'a str,
    ) -> BoxFuture<'a, Result<PutOutcome, Failure>> {
        let mishap = self.mishaps.lock().unwrap().next();
        let Mishap { late, lost } = mishap.unwrap_or(Mishap { late: 0, lost: None });
        Box::pin(async move {
            for _ in 0..late {
                yield_now().await;
            }
            let unavailable = Err(error("InternalServerError"));
            if let Some(Lost::Request) = lost {
                return unavailable;
            }
            let put = put_if_newer(&mut self.items.lock().unwrap(), item, version);
            if lost.is_none() { Ok(put) } else { unavailable }
        })
    }
}

/// A record's key and version: a time if the number is odd, and then not near to others.
type Versioned = (u8, u8);

fn plaintext((key, version): Versioned) -> String {
    match version {
        time if time % 2 == 1 => {
            format!(r#"{{"id":"{key}","v":"2026-01-05T08:01:26.{time:03}Z"}}"#)
        }
        number => format!(r#"{{"id":"{key}","v":{number}}}"#),
    }
}

/// Times are higher than numbers.
fn highest(records: &[Versioned]) -> BTreeMap<String, AttributeValue> {
    let mut highest = HashMap::<u8, (bool, u8)>::new();
    for &(key, version) in records {
        let version = (version % 2 == 1, version);
        let entry = highest.entry(key).or_insert(version);
        *entry = version.max(*entry);
    }
    let value = |(is_time, version): (bool, u8)| match is_time {
        true => AttributeValue::S(format!("2026-01-05T08:01:26.{version:03}Z")),
        false => AttributeValue::N(version.to_string()),
    };
    highest.into_iter().map(|(key, version)| (key.to_string(), value(version))).collect()
}

/// Every record at least once, in any order, and a shard for each delivery.
fn deliveries() -> impl Strategy<Value = (Vec<Versioned>, Vec<(usize, bool)>)> {
    proptest::collection::vec((0..3_u8, 0..24_u8), 1..12).prop_flat_map(|records| {
        let count = records.len();
        let again = proptest::collection::vec(0..count, 0..12);
        let order = again.prop_map(move |again| (0..count).chain(again).collect::<Vec<_>>());
        let order = order.prop_shuffle().prop_flat_map(|order| {
            let shards = proptest::collection::vec(any::<bool>(), order.len());
            shards.prop_map(move |shards| order.iter().copied().zip(shards).collect())
        });
        (Just(records), order)
    })
}

fn mishaps() -> impl Strategy<Value = Vec<Mishap>> {
    let lost = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Lost::Request)),
        1 => Just(Some(Lost::Answer)),
    ];
    let mishap = (0..4_u8, lost).prop_map(|(late, lost)| Mishap { late, lost });
    proptest::collection::vec(mishap, 0..40)
}

/// Delivers a shard's records in batches of this many.
async fn drain(consumer: &Consumer, records: Vec<Vec<u8>>, batch: usize) {
    for batch in records.chunks(batch) {
        let numbered = batch.iter().cloned().enumerate();
        let deadline = Instant::now() + Duration::from_secs(3600);
        assert!(deliver(consumer, event(numbered), deadline).await.is_empty());
    }
}

proptest! {
    #[test]
    fn the_table_ends_with_the_highest_version_of_each_key(
        (records, deliveries) in deliveries(),
        batch in 1..5_usize,
        mishaps in mishaps(),
    ) {
        static CIPHER: std::sync::LazyLock<record_cipher::RecordCipher> = std::sync::LazyLock::new(cipher);
        let items = Arc::<Mutex<Vec<Item>>>::default();
        let mishaps = Arc::new(Mutex::new(mishaps.into_iter()));
        let table = UnreliableTable { items: items.clone(), mishaps };
        let consumer = builder(&CIPHER, table).version_attribute("v").build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut shards = [Vec::new(), Vec::new()];
            for (at, shard) in deliveries {
                let text = plaintext(records[at]);
                let stream = "records".parse().unwrap();
                let message = CIPHER.encrypt(&stream, text.into_bytes()).await.unwrap().message;
                shards[usize::from(shard)].push(message);
            }
            let [one, other] = shards;
            tokio::join!(drain(&consumer, one, batch), drain(&consumer, other, batch));
        });
        let items = items.lock().unwrap();
        let id = |item: &Item| item["id"].as_s().unwrap().clone();
        let found: BTreeMap<_, _> =
            items.iter().map(|item| (id(item), item["v"].clone())).collect();
        prop_assert_eq!(found, highest(&records));
    }
}
