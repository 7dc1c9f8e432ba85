//! What becomes of records behind an event source mapping with Lambda's semantics.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_outcome::Failure;
use event_source::{EventSourceMapping, Report, Settings, Shard};
use proptest::prelude::*;
use record_cipher::RecordCipher;
use record_consumer::Consumer;
use record_telemetry::Deadline;

use crate::fixture::{Answer, FakeQuarantine, FakeTable, builder, cipher, error, fixture, pairs};

const STREAM: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/records";

async fn drain(consumer: &Consumer, messages: Vec<Vec<u8>>, settings: Settings) -> Report {
    let mapping = EventSourceMapping::new(settings).unwrap();
    let mut shard = Shard::new(STREAM, 0);
    for message in messages {
        shard.push("key", message);
    }
    let handle = |event: KinesisEvent| async move {
        let deadline = Deadline::after(Duration::from_secs(10));
        Ok(Some(consumer.handle(event.into(), deadline).await))
    };
    mapping.drain(&mut shard, handle).await
}

/// As in the template, but for the limit on retries.
fn settings(maximum_retry_attempts: Option<u32>) -> Settings {
    Settings {
        bisect_batch_on_function_error: true,
        maximum_retry_attempts,
        report_batch_item_failures: true,
        ..Settings::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_does_not_hold_up_its_shard() {
    let fixture = fixture(FakeTable::default()).with_quarantine();
    let messages = fixture.records(&[r#"{"id":"a"}"#, "no JSON", r#"{"id":"b"}"#]).await;
    let report = drain(&fixture.consumer, messages, settings(None)).await;
    assert_eq!((report.invocations, report.delivered, report.discarded.len()), (1, 3, 0));
    assert_eq!(fixture.quarantined.keys().len(), 1);
    assert_eq!(fixture.table.contents(), pairs(&[("a", ""), ("b", "")]));
}

#[tokio::test(start_paused = true)]
async fn without_a_quarantine_the_mapping_gives_it_up_after_its_retries() {
    let fixture = fixture(FakeTable::default());
    let messages = fixture.records(&[r#"{"id":"a"}"#, "no JSON", r#"{"id":"b"}"#]).await;
    let report = drain(&fixture.consumer, messages, settings(Some(2))).await;
    assert!(report.invocations > 1);
    assert_eq!((report.delivered, report.discarded.len()), (2, 1));
    assert_eq!(fixture.table.contents(), pairs(&[("a", ""), ("b", "")]));
}

/// A record, with keys from a few.
#[derive(Debug, Clone)]
enum Record {
    Good(u8),
    Aggregate(u8, u8),
    BadAggregate(u8),
    NotJson,
    WithoutKey,
}

impl Record {
    /// Whether it goes to the quarantine, with all of its records or some.
    fn is_bad(&self) -> bool {
        matches!(self, Self::BadAggregate(_) | Self::NotJson | Self::WithoutKey)
    }

    /// The items that it is to become.
    fn items(&self, number: usize) -> Vec<(String, String)> {
        let item = |id: &u8| (id.to_string(), number.to_string());
        match self {
            Self::Good(id) | Self::BadAggregate(id) => vec![item(id)],
            Self::Aggregate(a, b) => vec![item(a), item(b)],
            Self::NotJson | Self::WithoutKey => Vec::new(),
        }
    }

    fn plaintext(&self, number: usize) -> String {
        let object = |id: &u8| format!(r#"{{"id":"{id}","v":"{number}"}}"#);
        match self {
            Self::Good(id) => object(id),
            Self::Aggregate(a, b) => format!("[{},{}]", object(a), object(b)),
            Self::BadAggregate(id) => format!("[{},7]", object(id)),
            Self::NotJson => "no JSON".to_owned(),
            Self::WithoutKey => "{}".to_owned(),
        }
    }
}

fn record() -> impl Strategy<Value = Record> {
    let id = 0..5_u8;
    prop_oneof![
        4 => id.clone().prop_map(Record::Good),
        1 => (id.clone(), id.clone()).prop_map(|(a, b)| Record::Aggregate(a, b)),
        1 => id.prop_map(Record::BadAggregate),
        1 => Just(Record::NotJson),
        1 => Just(Record::WithoutKey),
    ]
}

fn write_error() -> impl Strategy<Value = Option<Failure>> {
    prop_oneof![
        Just(None),
        Just(Some(error("ThrottlingException"))),
        Just(Some(error("AccessDeniedException"))),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![Just(Answer::Take), Just(Answer::Refuse), Just(Answer::Hang)]
}

async fn encrypt(cipher: &RecordCipher, records: &[Record]) -> Vec<Vec<u8>> {
    let stream = "records".parse().unwrap();
    let mut messages = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let plaintext = record.plaintext(number);
        messages.push(cipher.encrypt(&stream, plaintext.into_bytes()).await.unwrap().message);
    }
    messages
}

proptest! {
    #[test]
    fn every_record_ends_written_or_quarantined(
        records in proptest::collection::vec(record(), 1..20),
        batch_size in 1..10_usize,
        write_errors in proptest::collection::vec(write_error(), 0..10),
        answers in proptest::collection::vec(answer(), 0..10),
    ) {
        static CIPHER: LazyLock<RecordCipher> = LazyLock::new(cipher);
        let table = write_errors.into_iter().fold(FakeTable::default(), |table, error| {
            table.then(move |_| error.clone().map_or_else(|| Ok(Vec::new()), Err))
        });
        let quarantined = FakeQuarantine::that(answers);
        let consumer =
            builder(&CIPHER, table.clone()).quarantine(quarantined.clone()).build().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let report = runtime.block_on(async {
            let messages = encrypt(&CIPHER, &records).await;
            drain(&consumer, messages, Settings { batch_size, ..settings(None) }).await
        });
        prop_assert_eq!((report.delivered, report.discarded.len()), (records.len(), 0));
        let good = records.iter().enumerate().map(|(at, record)| record.items(at));
        let bad = records.iter().filter(|record| record.is_bad()).count();
        prop_assert_eq!(quarantined.keys().len(), bad);
        // The last record of each key.
        let expected: BTreeMap<_, _> = good.flatten().collect();
        prop_assert_eq!(table.contents(), expected.into_iter().collect::<Vec<_>>());
    }
}
