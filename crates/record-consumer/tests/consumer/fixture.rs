//! A consumer with real encryption, and a table and a quarantine that misbehave as told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_lambda_events::encodings::Base64Data;
use aws_outcome::{Failure, Service};
use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::{BoxFuture, FutureExt, pending, ready};
use record_cipher::{Keys, RecordCipher, Suite};
use record_consumer::{Consumer, ConsumerBuilder, Event, Item, PutOutcome, Quarantine, Table};
use record_telemetry::Deadline;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Answers a request by a script, and then takes everything.
type Script = VecDeque<Box<dyn Fn(&[Item]) -> Result<Vec<Item>, Failure> + Send>>;

#[derive(Clone, Default)]
pub(crate) struct FakeTable {
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
    pub(crate) fn then(
        self,
        answer: impl Fn(&[Item]) -> Result<Vec<Item>, Failure> + Send + 'static,
    ) -> Self {
        self.script.lock().unwrap().push_back(Box::new(answer));
        self
    }

    /// Rejects every request that has an item with this `v`.
    pub(crate) fn rejecting(self, v: &'static str) -> Self {
        self.failing_on(v, "ValidationException")
    }

    /// Answers this code to every request that has an item with this `v`.
    pub(crate) fn failing_on(self, v: &'static str, code: &'static str) -> Self {
        let answer = move |items: &[Item]| match items.iter().any(|item| text(item, "v") == v) {
            true => Err(error(code)),
            false => Ok(Vec::new()),
        };
        (0..1000).fold(self, |table, _| table.then(answer))
    }

    /// Answers every request with this error.
    pub(crate) fn failing(self, error: &Failure) -> Self {
        (0..1000).fold(self, |table, _| {
            let error = error.clone();
            table.then(move |_| Err(error.clone()))
        })
    }

    /// The `id` and the `v` of each item in the table, in order.
    pub(crate) fn contents(&self) -> Vec<(String, String)> {
        let items = self.items.lock().unwrap();
        let mut contents: Vec<_> =
            items.iter().map(|item| (text(item, "id"), text(item, "v"))).collect();
        contents.sort();
        contents
    }

    /// How many items each request so far had.
    pub(crate) fn requests(&self) -> Vec<usize> {
        self.requests.lock().unwrap().clone()
    }

    fn answer(&self, items: &[Item]) -> Result<Vec<Item>, Failure> {
        self.requests.lock().unwrap().push(items.len());
        let answer = self.script.lock().unwrap().pop_front();
        answer.map_or_else(|| Ok(Vec::new()), |answer| answer(items))
    }
}

fn text(item: &Item, name: &str) -> String {
    match item.get(name) {
        Some(AttributeValue::S(text) | AttributeValue::N(text)) => text.clone(),
        _ => String::new(),
    }
}

impl Table for FakeTable {
    fn put(&self, items: Vec<Item>) -> BoxFuture<'_, Result<Vec<Item>, Failure>> {
        let unprocessed = self.answer(&items);
        if let Ok(unprocessed) = &unprocessed {
            let taken = items.into_iter().filter(|item| !unprocessed.contains(item));
            let mut items = self.items.lock().unwrap();
            for item in taken {
                items.retain(|found| found["id"] != item["id"]);
                items.push(item);
            }
        }
        ready(unprocessed).boxed()
    }

    fn put_if_newer<'a>(
        &'a self,
        item: Item,
        version: &'a str,
    ) -> BoxFuture<'a, Result<PutOutcome, Failure>> {
        let answer = self.answer(std::slice::from_ref(&item));
        let put = answer.map(|_| put_if_newer(&mut self.items.lock().unwrap(), item, version));
        ready(put).boxed()
    }
}

/// What DynamoDB does with a conditional put.
pub(crate) fn put_if_newer(items: &mut Vec<Item>, item: Item, version: &str) -> PutOutcome {
    let Some(at) = items.iter().position(|found| found["id"] == item["id"]) else {
        items.push(item);
        return PutOutcome::Written;
    };
    if !is_newer(&item[version], items[at].get(version)) {
        return PutOutcome::Superseded;
    }
    items[at] = item;
    PutOutcome::Written
}

fn is_newer(version: &AttributeValue, old: Option<&AttributeValue>) -> bool {
    match (version, old) {
        (AttributeValue::N(new), Some(AttributeValue::N(old))) => {
            new.parse::<f64>().unwrap() > old.parse::<f64>().unwrap()
        }
        (AttributeValue::S(new), Some(AttributeValue::S(old))) => new > old,
        (AttributeValue::S(_), Some(AttributeValue::N(_))) | (_, None) => true,
        _ => false,
    }
}

/// An error that DynamoDB answers to a request.
pub(crate) fn error(code: &str) -> Failure {
    Failure::from_code(Service::DynamoDb, code)
}

/// What a quarantine does with a document.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Take,
    Refuse,
    Hang,
}

/// Does what it is told, and then stores everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeQuarantine {
    documents: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
}

impl FakeQuarantine {
    pub(crate) fn that(answers: impl IntoIterator<Item = Answer>) -> Self {
        let quarantine = Self::default();
        quarantine.script.lock().unwrap().extend(answers);
        quarantine
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        let documents = self.documents.lock().unwrap();
        documents.values().map(|document| String::from_utf8(document.clone()).unwrap()).collect()
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.documents.lock().unwrap().keys().cloned().collect()
    }

    /// The documents, in the order of their keys.
    pub(crate) fn documents(&self) -> Vec<Value> {
        self.texts().iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    pub(crate) fn reasons(&self) -> Vec<String> {
        let reason = |document: Value| document["reason"].as_str().unwrap().to_owned();
        self.documents().into_iter().map(reason).collect()
    }

    /// The sequence numbers of the records that are stored, in order.
    pub(crate) fn sequence_numbers(&self) -> Vec<String> {
        let file = |key: String| key.rsplit_once('/').unwrap().1.replace(".json", "");
        self.keys().into_iter().map(file).collect()
    }
}

impl Quarantine for FakeQuarantine {
    fn store(&self, key: String, document: Vec<u8>) -> BoxFuture<'_, Result<(), Failure>> {
        match self.script.lock().unwrap().pop_front() {
            Some(Answer::Refuse) => {
                ready(Err(Failure::from_code(Service::S3, "AccessDenied"))).boxed()
            }
            Some(Answer::Hang) => pending().boxed(),
            Some(Answer::Take) | None => {
                self.documents.lock().unwrap().insert(key, document);
                ready(Ok(())).boxed()
            }
        }
    }
}

/// What the quarantine's clock says.
pub(crate) const NOW: &str = "2026-01-05T08:01:26.25Z";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_600_086_250)
}

pub(crate) struct Fixture {
    cipher: RecordCipher,
    pub(crate) consumer: Consumer,
    pub(crate) table: FakeTable,
    pub(crate) quarantined: FakeQuarantine,
    configure: fn(ConsumerBuilder) -> ConsumerBuilder,
}

/// A consumer without a quarantine and without versions.
pub(crate) fn fixture(table: FakeTable) -> Fixture {
    let cipher = cipher();
    let consumer = builder(&cipher, table.clone()).build().unwrap();
    let quarantined = FakeQuarantine::default();
    Fixture { cipher, consumer, table, quarantined, configure: |builder| builder }
}

pub(crate) fn builder(cipher: &RecordCipher, table: impl Table + 'static) -> ConsumerBuilder {
    Consumer::builder(cipher.clone(), table, "id:S".parse().unwrap()).clock(now)
}

/// Made on a runtime of its own: it wants more than one thread, and a clock that can be paused
/// wants no more than one.
pub(crate) fn cipher() -> RecordCipher {
    let make = || {
        let config = SdkConfig::builder().build();
        let builder = RecordCipher::builder(Keys::RawAes([1; 32]), &config).suite(Suite::Unsigned);
        tokio::runtime::Runtime::new().unwrap().block_on(builder.build()).unwrap()
    };
    std::thread::spawn(make).join().unwrap()
}

impl Fixture {
    pub(crate) fn with_quarantine(self) -> Self {
        self.with(FakeQuarantine::default())
    }

    pub(crate) fn with(self, quarantined: FakeQuarantine) -> Self {
        let builder = builder(&self.cipher, self.table.clone()).quarantine(quarantined.clone());
        Self { consumer: (self.configure)(builder).build().unwrap(), quarantined, ..self }
    }

    pub(crate) fn with_versions(self) -> Self {
        let configure = |builder: ConsumerBuilder| builder.version_attribute("v");
        let builder = configure(builder(&self.cipher, self.table.clone()));
        Self { consumer: builder.build().unwrap(), configure, ..self }
    }

    pub(crate) async fn message(&self, stream: &str, plaintext: &str) -> Vec<u8> {
        self.cipher.encrypt(&stream.parse().unwrap(), plaintext.to_owned()).await.unwrap().message
    }

    pub(crate) async fn records(&self, plaintexts: &[&str]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        for plaintext in plaintexts {
            messages.push(self.message("records", plaintext).await);
        }
        messages
    }

    /// Handles records in this order, with sequence numbers from 1, and returns those reported.
    pub(crate) async fn handle(&self, messages: Vec<Vec<u8>>) -> Vec<String> {
        self.handle_until(messages, Instant::now() + Duration::from_secs(60)).await
    }

    pub(crate) async fn handle_until(
        &self,
        messages: Vec<Vec<u8>>,
        deadline: Instant,
    ) -> Vec<String> {
        let numbered = messages.into_iter().enumerate().map(|(at, data)| (at + 1, data));
        deliver(&self.consumer, event(numbered), deadline).await
    }

    /// Encrypts and handles records in this order, with sequence numbers from 1.
    pub(crate) async fn handle_texts(&self, plaintexts: &[&str]) -> Vec<String> {
        self.handle(self.records(plaintexts).await).await
    }
}

/// The sequence numbers that the consumer reports.
pub(crate) async fn deliver(consumer: &Consumer, event: Event, deadline: Instant) -> Vec<String> {
    let deadline = Deadline::after(deadline.saturating_duration_since(Instant::now()));
    let failures = consumer.handle(event, deadline).await.batch_item_failures.into_iter();
    failures.map(|failure| failure.item_identifier.unwrap()).collect()
}

pub(crate) fn event(records: impl IntoIterator<Item = (usize, Vec<u8>)>) -> Event {
    let records: Vec<_> =
        records.into_iter().map(|(number, data)| json_record(number, data)).collect();
    serde_json::from_str(&json!({ "Records": records }).to_string()).unwrap()
}

/// A record as Lambda delivers it.
pub(crate) fn json_record(number: usize, data: Vec<u8>) -> Value {
    let mut base64 = Base64Data::default();
    base64.0 = data;
    json!({
        "awsRegion": "eu-west-1",
        "eventID": format!("shardId-000000000000:{number}"),
        "eventName": "aws:kinesis:record",
        "eventSource": "aws:kinesis",
        "eventSourceARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/records",
        "eventVersion": "1.0",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/record-consumer",
        "kinesis": {
            "approximateArrivalTimestamp": 1_545_084_650.987,
            "data": base64,
            "encryptionType": "NONE",
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "key",
            "sequenceNumber": number.to_string(),
        },
    })
}

pub(crate) fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, v)| ((*id).to_owned(), (*v).to_owned())).collect()
}
