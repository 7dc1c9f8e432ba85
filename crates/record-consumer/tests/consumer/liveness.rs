//! Progress: if each invocation lets through the calls that its oldest unfinished record needs, the
//! checkpoint advances by at least one record per invocation, whatever happens to all other calls.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_outcome::{Failure, Service};
use event_source::{EventSourceMapping, FirstRecordReported, Settings, Shard};
use futures::future::{BoxFuture, FutureExt, pending, ready};
use proptest::prelude::*;
use record_cipher::{CipherError, CipherStats, StreamName};
use record_consumer::{Consumer, Decrypt, Item, PutOutcome, Quarantine, Table};
use record_telemetry::Deadline;

use crate::fixture::error;

const STREAM: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/records";

/// A record of the shard. Its items have these ids.
#[derive(Debug, Clone)]
enum Record {
    Good(u8),
    Aggregate(Vec<u8>),
    BadAggregate(Vec<u8>),
    NotJson,
    Rejected(u8),
}

impl Record {
    fn plaintext(&self, number: usize) -> String {
        let object = |id: &u8| format!(r#"{{"id":"{id}","v":{number}}}"#);
        match self {
            Self::Good(id) => object(id),
            Self::Aggregate(ids) => {
                format!("[{}]", ids.iter().map(object).collect::<Vec<_>>().join(","))
            }
            Self::BadAggregate(ids) => {
                format!("[7,{}]", ids.iter().map(object).collect::<Vec<_>>().join(","))
            }
            Self::NotJson => "no JSON".to_owned(),
            Self::Rejected(id) => format!(r#"{{"id":"{id}","v":{number},"bad":true}}"#),
        }
    }

    fn ids(&self) -> BTreeSet<String> {
        let ids = match self {
            Self::Good(id) | Self::Rejected(id) => std::slice::from_ref(id),
            Self::Aggregate(ids) | Self::BadAggregate(ids) => ids,
            Self::NotJson => &[],
        };
        ids.iter().map(u8::to_string).collect()
    }
}

fn record() -> impl Strategy<Value = Record> {
    let ids = || prop::collection::vec(0..40_u8, 1..30);
    prop_oneof![
        4 => (0..40_u8).prop_map(Record::Good),
        1 => ids().prop_map(Record::Aggregate),
        1 => ids().prop_map(Record::BadAggregate),
        1 => Just(Record::NotJson),
        1 => (0..40_u8).prop_map(Record::Rejected),
    ]
}

/// What happens to a call that the oldest record does not need.
#[derive(Debug, Clone, Copy)]
enum Mishap {
    None,
    Throttle,
    Deny,
    Unknown,
    Break,
    Hang,
    /// Only the oldest record's items are processed.
    Partial,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        Just(Mishap::None),
        Just(Mishap::Throttle),
        Just(Mishap::Deny),
        Just(Mishap::Unknown),
        Just(Mishap::Break),
        Just(Mishap::Hang),
        Just(Mishap::Partial),
    ]
}

/// AWS, which lets through only what the oldest record needs.
#[derive(Clone)]
struct World(Arc<Mutex<State>>);

struct State {
    records: Vec<Record>,
    /// Index of the oldest unfinished record.
    oldest: usize,
    mishaps: std::iter::Cycle<std::vec::IntoIter<Mishap>>,
    failed_kms_calls: u64,
}

impl State {
    fn mishap(&mut self) -> Mishap {
        self.mishaps.next().unwrap_or(Mishap::None)
    }

    fn oldest_needs(&self, item: &Item) -> bool {
        self.records[self.oldest].ids().contains(item["id"].as_s().unwrap())
    }
}

impl World {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The failure of a call that the oldest record does not need; none if the call succeeds.
    fn fail<T: Send + 'static>(
        mishap: Mishap,
        service: Service,
    ) -> Option<BoxFuture<'static, Result<T, Failure>>> {
        let code = match mishap {
            Mishap::None | Mishap::Partial => return None,
            Mishap::Hang => return Some(pending().boxed()),
            Mishap::Throttle => "ThrottlingException",
            Mishap::Deny => "AccessDeniedException",
            Mishap::Unknown => "NobodyKnowsThisException",
            Mishap::Break => "InternalServerError",
        };
        Some(ready(Err(Failure::from_code(service, code))).boxed())
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// The message is the record's number and its plaintext.
impl Decrypt for World {
    fn decrypt<'a>(
        &'a self,
        _: &'a StreamName,
        message: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, CipherError>> {
        let text = String::from_utf8(message).unwrap();
        let (number, plaintext) = text.split_once('|').unwrap();
        let plaintext = Ok(plaintext.as_bytes().to_vec());
        let mut state = self.state();
        if number.parse::<usize>().unwrap() == state.oldest {
            return ready(plaintext).boxed();
        }
        match state.mishap() {
            Mishap::None | Mishap::Partial => ready(plaintext).boxed(),
            Mishap::Hang => pending().boxed(),
            _ => {
                state.failed_kms_calls += 3;
                ready(Err(CipherError::Internal("not the oldest"))).boxed()
            }
        }
    }

    fn failed_kms_requests(&self) -> u64 {
        self.state().failed_kms_calls
    }

    fn stats(&self) -> CipherStats {
        CipherStats::default()
    }
}

impl Table for World {
    fn put(&self, items: Vec<Item>) -> BoxFuture<'_, Result<Vec<Item>, Failure>> {
        let mut state = self.state();
        let (needed, others): (Vec<_>, Vec<_>) =
            items.into_iter().partition(|item| state.oldest_needs(item));
        if !others.is_empty() {
            let mishap = state.mishap();
            if let Some(failure) = Self::fail(mishap, Service::DynamoDb) {
                return failure;
            }
            if matches!(mishap, Mishap::Partial)
                && needed.iter().all(|item| !item.contains_key("bad"))
            {
                return ready(Ok(others)).boxed();
            }
        }
        let is_bad = needed.iter().chain(&others).any(|item| item.contains_key("bad"));
        ready(if is_bad { Err(error("ValidationException")) } else { Ok(Vec::new()) }).boxed()
    }

    fn put_if_newer<'a>(
        &'a self,
        item: Item,
        _: &'a str,
    ) -> BoxFuture<'a, Result<PutOutcome, Failure>> {
        let mut state = self.state();
        if !state.oldest_needs(&item)
            && let Some(failure) = Self::fail(state.mishap(), Service::DynamoDb)
        {
            return failure;
        }
        let is_bad = item.contains_key("bad");
        let outcome =
            if is_bad { Err(error("ValidationException")) } else { Ok(PutOutcome::Written) };
        ready(outcome).boxed()
    }
}

impl Quarantine for World {
    fn store(&self, key: String, _: Vec<u8>) -> BoxFuture<'_, Result<(), Failure>> {
        let mut state = self.state();
        let is_oldest = key.ends_with(&format!("/{}.json", state.oldest));
        let failure =
            Self::fail(if is_oldest { Mishap::None } else { state.mishap() }, Service::S3);
        failure.unwrap_or_else(|| ready(Ok(())).boxed())
    }
}

fn consumer(world: &World, has_versions: bool) -> Consumer {
    let builder = Consumer::builder(world.clone(), world.clone(), "id:S".parse().unwrap());
    let builder = builder.quarantine(world.clone());
    let builder = if has_versions { builder.version_attribute("v") } else { builder };
    builder.build().unwrap()
}

/// Returns how many invocations it takes.
async fn drain(
    world: &World,
    consumer: &Consumer,
    timeout: Duration,
    settings: Settings,
) -> (usize, usize) {
    let mut shard = Shard::new(STREAM, 0);
    let records = world.state().records.clone();
    for (number, record) in records.iter().enumerate() {
        let message = format!("{number}|{}", record.plaintext(number)).into_bytes();
        shard.push_numbered(&number.to_string(), "key", message).unwrap();
    }
    let mapping = EventSourceMapping::new(settings).unwrap();
    let invoke = |event: KinesisEvent| {
        world.state().oldest = event.records[0].kinesis.sequence_number.parse().unwrap();
        async move { Ok(Some(consumer.handle(event.into(), Deadline::after(timeout)).await)) }
    };
    let report = tokio::time::timeout(Duration::from_hours(2), mapping.drain(&mut shard, invoke));
    let report = report.await.expect("the shard stands still");
    (report.invocations, report.delivered)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn every_invocation_finishes_its_oldest_record(
        records in prop::collection::vec(record(), 1..16),
        mishaps in prop::collection::vec(mishap(), 1..12),
        batch_size in 1..20_usize,
        seconds in 10..60_u64,
        has_versions: bool,
        is_retried_whole: bool,
    ) {
        let first_record_reported = match is_retried_whole {
            true => FirstRecordReported::Retry,
            false => FirstRecordReported::Halve,
        };
        let settings = Settings {
            batch_size,
            bisect_batch_on_function_error: true,
            first_record_reported,
            report_batch_item_failures: true,
            ..Settings::default()
        };
        let count = records.len();
        let world = World(Arc::new(Mutex::new(State {
            records,
            oldest: 0,
            mishaps: mishaps.into_iter().cycle(),
            failed_kms_calls: 0,
        })));
        let consumer = consumer(&world, has_versions);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let timeout = Duration::from_secs(seconds);
        let (invocations, delivered) =
            runtime.block_on(drain(&world, &consumer, timeout, settings));
        prop_assert_eq!(delivered, count);
        prop_assert!(invocations <= count, "{invocations} invocations for {count} records");
    }
}
