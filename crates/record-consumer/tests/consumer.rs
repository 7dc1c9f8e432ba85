//! What the consumer writes and reports, with real encryption and a table that misbehaves.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_lambda_events::encodings::Base64Data;
use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::BoxFuture;
use record_cipher::{Keys, RecordCipher, Suite};
use record_consumer::{Consumer, Item, KeyAttribute, KeyType, Table, WriteError};
use serde_json::json;
use tokio::time::Instant;

/// Answers a put by a script, and then takes everything.
type Script = VecDeque<Box<dyn Fn(&[Item]) -> Result<Vec<Item>, WriteError> + Send>>;

#[derive(Clone, Default)]
struct FakeTable {
    items: Arc<Mutex<Vec<Item>>>,
    requests: Arc<Mutex<Vec<usize>>>,
    script: Arc<Mutex<Script>>,
}

impl std::fmt::Debug for FakeTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeTable")
    }
}

impl FakeTable {
    fn then(
        self,
        answer: impl Fn(&[Item]) -> Result<Vec<Item>, WriteError> + Send + 'static,
    ) -> Self {
        self.script.lock().unwrap().push_back(Box::new(answer));
        self
    }

    /// The `id` and the `v` of each item in the table, in order.
    fn contents(&self) -> Vec<(String, String)> {
        let text = |item: &Item, name: &str| match item.get(name) {
            Some(AttributeValue::S(text) | AttributeValue::N(text)) => text.clone(),
            _ => String::new(),
        };
        let items = self.items.lock().unwrap();
        let mut contents: Vec<_> =
            items.iter().map(|item| (text(item, "id"), text(item, "v"))).collect();
        contents.sort();
        contents
    }
}

impl Table for FakeTable {
    fn put(&self, items: Vec<Item>) -> BoxFuture<'_, Result<Vec<Item>, WriteError>> {
        self.requests.lock().unwrap().push(items.len());
        let answer = self.script.lock().unwrap().pop_front();
        let unprocessed = answer.map_or_else(|| Ok(Vec::new()), |answer| answer(&items));
        if let Ok(unprocessed) = &unprocessed {
            let taken = items.into_iter().filter(|item| !unprocessed.contains(item));
            self.items.lock().unwrap().extend(taken);
        }
        Box::pin(async { unprocessed })
    }
}

struct Fixture {
    cipher: RecordCipher,
    consumer: Consumer,
    table: FakeTable,
}

async fn fixture(table: FakeTable) -> Fixture {
    let config = SdkConfig::builder().build();
    let builder = RecordCipher::builder(Keys::RawAes([1; 32]), &config).suite(Suite::Unsigned);
    let cipher = builder.build().await.unwrap();
    let schema = vec![KeyAttribute { name: "id".to_owned(), key_type: KeyType::Text }];
    let consumer = Consumer::with_table(cipher.clone(), Box::new(table.clone()), schema);
    Fixture { cipher, consumer, table }
}

impl Fixture {
    async fn message(&self, stream: &str, plaintext: &str) -> Vec<u8> {
        self.cipher.encrypt(&stream.parse().unwrap(), plaintext.into()).await.unwrap()
    }

    /// Handles records in this order, with sequence numbers from 1, and returns those reported.
    async fn handle(&self, messages: Vec<Vec<u8>>) -> Vec<String> {
        self.handle_until(messages, Instant::now() + Duration::from_secs(60)).await
    }

    async fn handle_until(&self, messages: Vec<Vec<u8>>, deadline: Instant) -> Vec<String> {
        let numbered = messages.into_iter().enumerate().map(|(at, data)| (at + 1, data));
        let response = self.consumer.handle(event(numbered), deadline).await;
        let failures = response.batch_item_failures.into_iter();
        failures.map(|failure| failure.item_identifier.unwrap()).collect()
    }

    async fn records(&self, plaintexts: &[&str]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        for plaintext in plaintexts {
            messages.push(self.message("records", plaintext).await);
        }
        messages
    }
}

fn event(records: impl Iterator<Item = (usize, Vec<u8>)>) -> KinesisEvent {
    let base64 = |bytes| {
        let mut data = Base64Data::default();
        data.0 = bytes;
        serde_json::to_value(data).unwrap()
    };
    let record = |(number, data): (usize, Vec<u8>)| {
        json!({
            "eventID": format!("shardId-000000000000:{number}"),
            "eventSourceARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/records",
            "kinesis": {
                "data": base64(data),
                "partitionKey": "key",
                "sequenceNumber": number.to_string(),
                "approximateArrivalTimestamp": 1_545_084_650.987,
            },
        })
    };
    let json = json!({ "Records": records.map(record).collect::<Vec<_>>() }).to_string();
    serde_json::from_str(&json).unwrap()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, v)| ((*id).to_owned(), (*v).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn good_records_of_a_bad_batch_are_written() {
    let fixture = fixture(FakeTable::default()).await;
    let mut flipped = fixture.message("records", r#"{"id":"flipped"}"#).await;
    *flipped.last_mut().unwrap() ^= 1;
    let failed = fixture
        .handle(vec![
            fixture.message("records", r#"{"id":"a","v":"1"}"#).await,
            fixture.message("other", r#"{"id":"of another stream"}"#).await,
            flipped,
            br#"{"id":"plain text"}"#.to_vec(),
            fixture.message("records", "no JSON").await,
            fixture.message("records", "[]").await,
            fixture.message("records", r#"{"v":"without a key"}"#).await,
            fixture.message("records", r#"{"id":"b","v":12345678901234567890.5}"#).await,
        ])
        .await;
    assert_eq!(failed, ["2", "3", "4", "5", "6", "7"]);
    assert_eq!(fixture.table.contents(), pairs(&[("a", "1"), ("b", "12345678901234567890.5")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_record_of_a_key_wins_by_sequence_number() {
    let fixture = fixture(FakeTable::default()).await;
    let messages = fixture.records(&[r#"{"id":"a","v":"old"}"#, r#"{"id":"a","v":"new"}"#]).await;
    // Delivered in reverse; 10 is a later number than 9, though not a later text.
    let numbered = [(10, messages[1].clone()), (9, messages[0].clone())];
    let deadline = Instant::now() + Duration::from_secs(60);
    let response = fixture.consumer.handle(event(numbered.into_iter()), deadline).await;
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(fixture.table.contents(), pairs(&[("a", "new")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregate_is_written_whole_or_reported() {
    let fixture = fixture(FakeTable::default()).await;
    let messages = fixture
        .records(&[
            r#"[{"id":"a","v":"1"},{"id":"b","v":"2"}]"#,
            r#"[{"id":"c","v":"3"},{"v":"bad"}]"#,
            r#"[{"id":"d"},7]"#,
        ])
        .await;
    assert_eq!(fixture.handle(messages).await, ["2", "3"]);
    assert_eq!(fixture.table.contents(), pairs(&[("a", "1"), ("b", "2")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_hold_25_items_at_most() {
    let fixture = fixture(FakeTable::default()).await;
    let plaintexts: Vec<_> = (0..60).map(|n| format!(r#"{{"id":"{n}"}}"#)).collect();
    let plaintexts: Vec<_> = plaintexts.iter().map(String::as_str).collect();
    assert!(fixture.handle(fixture.records(&plaintexts).await).await.is_empty());
    let mut requests = fixture.table.requests.lock().unwrap().clone();
    requests.sort_unstable();
    assert_eq!(requests, [10, 25, 25]);
    assert_eq!(fixture.table.contents().len(), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_unprocessed_or_throttled_is_sent_again() {
    let table = FakeTable::default()
        .then(|items| Ok(items[1..].to_vec()))
        .then(|_| Err(WriteError::Unavailable("ThrottlingException".to_owned())));
    let fixture = fixture(table).await;
    let messages = fixture.records(&[r#"{"id":"a"}"#, r#"{"id":"b"}"#, r#"{"id":"c"}"#]).await;
    assert!(fixture.handle(messages).await.is_empty());
    assert_eq!(fixture.table.contents().len(), 3);
    assert_eq!(*fixture.table.requests.lock().unwrap(), [3, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_dynamodb_refuses_is_found_and_the_others_are_written() {
    let refuse = |items: &[Item]| {
        let bad = |item: &Item| item["id"] == AttributeValue::S("bad".to_owned());
        match items.iter().any(bad) {
            true => Err(WriteError::Invalid("ValidationException".to_owned())),
            false => Ok(Vec::new()),
        }
    };
    let table = (0..10).fold(FakeTable::default(), |table, _| table.then(refuse));
    let fixture = fixture(table).await;
    let messages = fixture
        .records(&[r#"{"id":"a"}"#, r#"{"id":"bad"}"#, r#"{"id":"c"}"#, r#"{"id":"d"}"#])
        .await;
    assert_eq!(fixture.handle(messages).await, ["2"]);
    assert_eq!(fixture.table.contents(), pairs(&[("a", ""), ("c", ""), ("d", "")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_written_reports_every_record_of_it() {
    let denied = |_: &[Item]| Err(WriteError::Denied("AccessDeniedException".to_owned()));
    let fixture = fixture(FakeTable::default().then(denied)).await;
    let messages = fixture.records(&[r#"{"id":"a","v":"old"}"#, r#"{"id":"a","v":"new"}"#]).await;
    assert_eq!(fixture.handle(messages).await, ["1", "2"]);
    assert_eq!(*fixture.table.requests.lock().unwrap(), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unwritten_records_are_reported_before_the_deadline() {
    let all = |items: &[Item]| Ok(items.to_vec());
    let table = (0..100).fold(FakeTable::default(), |table, _| table.then(all));
    let fixture = fixture(table).await;
    let messages = fixture.records(&[r#"{"id":"a"}"#]).await;
    let deadline = Instant::now() + Duration::from_millis(700);
    assert_eq!(fixture.handle_until(messages, deadline).await, ["1"]);
    assert!(Instant::now() < deadline);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_time_nothing_is_tried() {
    let fixture = fixture(FakeTable::default()).await;
    let messages = fixture.records(&[r#"{"id":"a"}"#]).await;
    assert_eq!(fixture.handle_until(messages, Instant::now()).await, ["1"]);
    assert!(fixture.table.requests.lock().unwrap().is_empty());
}
