//! Batches, their order, and when they are given up. Each test names the page that has its rule.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::fixture::{STREAM_ARN, fails_at, numbers, push, run, script, shard};
use aws_lambda_events::event::kinesis::KinesisEvent;
use event_source::{
    Condition, EventSourceMapping, FunctionError, Settings, Shard, StartingPosition,
};
use serde_json::json;
use tokio::time::{Instant, advance, sleep, timeout};

const MINUTE: Duration = Duration::from_secs(60);

// "Lambda parameters for Amazon Kinesis Data Streams event source mappings", and
// CreateEventSourceMapping in the API reference.
#[test]
fn settings_have_the_limits_of_lambda() {
    let error = |settings| EventSourceMapping::new(settings).err().map(|error| error.to_string());
    let batch_size = |batch_size| error(Settings { batch_size, ..Settings::default() });
    let retries =
        |retries| error(Settings { maximum_retry_attempts: Some(retries), ..Settings::default() });
    let age = |milliseconds| {
        let age = Some(Duration::from_millis(milliseconds));
        error(Settings { maximum_record_age: age, ..Settings::default() })
    };
    let refused = |text: &str| Some(text.to_owned());
    assert_eq!(batch_size(0), refused("BatchSize is 0; it has to be from 1 to 10000"));
    assert_eq!([batch_size(1), batch_size(10_000)], [None, None]);
    assert_eq!(batch_size(10_001), refused("BatchSize is 10001; it has to be from 1 to 10000"));
    assert_eq!([retries(0), retries(10_000)], [None, None]);
    assert_eq!(
        retries(10_001),
        refused("MaximumRetryAttempts is 10001; it has to be from 0 to 10000")
    );
    let age_error = "MaximumRecordAgeInSeconds is 59.999; it has to be from 60 to 604800";
    assert_eq!(age(59_999), refused(age_error));
    assert_eq!([age(60_000), age(604_800_000)], [None, None]);
    assert!(age(604_800_001).is_some());
}

// "Lambda parameters for Amazon Kinesis Data Streams event source mappings".
#[tokio::test(start_paused = true)]
async fn by_default_a_batch_has_100_records_and_is_retried_whole_until_it_succeeds() {
    let failures = vec![Err(FunctionError); 200];
    let run = run(Settings::default(), &mut shard(150), script(failures)).await;
    let (whole, rest) = (Vec::from_iter(1..=100), Vec::from_iter(101..=150));
    assert_eq!(run.deliveries[..201], vec![whole; 201]);
    assert_eq!(run.deliveries[201..], [rest]);
    assert_eq!((run.report.invocations, run.report.delivered), (202, 150));
    assert!(run.report.discarded.is_empty());
}

// "How Lambda processes records from stream and queue-based event sources", batching behavior.
#[tokio::test(start_paused = true)]
async fn a_batch_ends_at_the_batch_size() {
    let settings = Settings { batch_size: 2, ..Settings::default() };
    let run = run(settings, &mut shard(5), script([])).await;
    assert_eq!(run.deliveries, [vec![1, 2], vec![3, 4], vec![5]]);
}

// "How Lambda processes records from stream and queue-based event sources", batching behavior.
#[tokio::test(start_paused = true)]
async fn a_batch_ends_at_a_payload_of_6_mb() {
    let mut shard = Shard::new(STREAM_ARN, 0);
    for _ in 0..5_000 {
        shard.push("key", vec![0; 1_000]);
    }
    let mapping =
        EventSourceMapping::new(Settings { batch_size: 10_000, ..Settings::default() }).unwrap();
    let mut sizes = Vec::new();
    let function = |event: KinesisEvent| {
        sizes.push((serde_json::to_string(&event).unwrap().len(), event.records.len()));
        ready(Ok(None))
    };
    mapping.drain(&mut shard, function).await;
    let (json, records) = sizes[0];
    let limit = 6 * 1024 * 1024;
    assert!(json <= limit && json + json / records > limit, "{json} bytes, {records} records");
}

// No page: README.md says what this crate does with such a record.
#[tokio::test(start_paused = true)]
async fn a_record_over_6_mb_is_a_batch_of_its_own() {
    let mut shard = shard(1);
    shard.push("key", vec![0; 6 * 1024 * 1024]);
    push(&mut shard, [3]);
    let run = run(Settings::default(), &mut shard, script([])).await;
    assert_eq!(run.deliveries, [[1], [2], [3]]);
}

// "Lambda parameters for Amazon Kinesis Data Streams event source mappings", StartingPosition.
#[tokio::test(start_paused = true)]
async fn reading_starts_at_the_starting_position() {
    assert_eq!(delivered_from(|_| StartingPosition::TrimHorizon).await, [1, 2, 3]);
    assert_eq!(delivered_from(StartingPosition::AtTimestamp).await, [2, 3]);
    assert_eq!(delivered_from(|_| StartingPosition::Latest).await, [3]);
}

/// What is delivered of a record before a time, one at that time, and one after the first call.
async fn delivered_from(position: impl Fn(Instant) -> StartingPosition) -> Vec<u64> {
    let mut shard = shard(1);
    advance(MINUTE).await;
    let starting_position = position(Instant::now());
    let settings = Settings { starting_position, ..Settings::default() };
    push(&mut shard, [2]);
    let first = run(settings.clone(), &mut shard, script([])).await;
    push(&mut shard, [3]);
    let second = run(settings, &mut shard, script([])).await;
    [first.deliveries, second.deliveries].concat().concat()
}

// "Using Lambda to process records from Amazon Kinesis Data Streams", polling and batching streams.
#[tokio::test(start_paused = true)]
async fn one_batch_of_a_shard_is_processed_at_a_time() {
    let mapping =
        EventSourceMapping::new(Settings { batch_size: 1, ..Settings::default() }).unwrap();
    let under_way = AtomicU64::new(0);
    let function = |_| async {
        let others = under_way.fetch_add(1, Ordering::Relaxed);
        sleep(MINUTE).await;
        under_way.fetch_sub(1, Ordering::Relaxed);
        if others == 0 { Ok(None) } else { Err(FunctionError) }
    };
    assert_eq!(mapping.drain(&mut shard(3), function).await.invocations, 3);
}

// "How Lambda processes records from stream and queue-based event sources": only the affected shard
// is paused.
#[tokio::test(start_paused = true)]
async fn a_failing_shard_does_not_hold_up_another() {
    let mapping = EventSourceMapping::new(Settings::default()).unwrap();
    let invocations = Arc::new(AtomicU64::new(0));
    let failing = tokio::spawn({
        let (mapping, invocations) = (mapping.clone(), invocations.clone());
        async move {
            let fail = |_| async {
                invocations.fetch_add(1, Ordering::Relaxed);
                Err(FunctionError)
            };
            mapping.drain(&mut shard(1), fail).await
        }
    });
    sleep(MINUTE).await;
    let other = mapping.drain(&mut shard(3), |_| ready(Ok(None))).await;
    assert_eq!(other.delivered, 3);
    assert!(invocations.load(Ordering::Relaxed) > 1 && !failing.is_finished());
    failing.abort();
}

// "Retain discarded batch records for a Kinesis Data Streams event source in Lambda".
#[tokio::test(start_paused = true)]
async fn a_batch_is_discarded_when_its_retries_are_used_up_and_the_next_one_is_read() {
    let settings =
        Settings { batch_size: 2, maximum_retry_attempts: Some(2), ..Settings::default() };
    let mut shard = Shard::new(STREAM_ARN, 7);
    push(&mut shard, [1]);
    advance(Duration::from_millis(1_250)).await;
    push(&mut shard, [2, 3]);
    let run = run(settings, &mut shard, fails_at(2)).await;
    assert_eq!(run.deliveries, [vec![1, 2], vec![1, 2], vec![1, 2], vec![3]]);
    assert_eq!((run.report.delivered, run.report.discarded.len()), (1, 1));
    let discarded = &run.report.discarded[0];
    assert_eq!(discarded.condition, Condition::RetryAttemptsExhausted);
    assert_eq!((discarded.approximate_invoke_count, discarded.batch_size), (3, 2));
    assert_eq!(discarded.shard_id, "shardId-000000000007");
    assert_eq!(discarded.stream_arn, STREAM_ARN);
    assert_eq!((&*discarded.start_sequence_number, &*discarded.end_sequence_number), ("1", "2"));
    assert_eq!(numbers(&discarded.event), [1, 2]);
    let (first, last) = (
        discarded.approximate_arrival_of_first_record.timestamp_millis(),
        discarded.approximate_arrival_of_last_record.timestamp_millis(),
    );
    assert_eq!(last - first, 1_250);
}

// "Lambda parameters for Amazon Kinesis Data Streams event source mappings": attempts are retries,
// which the first delivery is not.
#[tokio::test(start_paused = true)]
async fn without_retries_a_batch_is_delivered_once() {
    let settings = Settings { maximum_retry_attempts: Some(0), ..Settings::default() };
    let mut shard = shard(2);
    let first = run(settings.clone(), &mut shard, fails_at(1)).await;
    assert_eq!(first.deliveries, [[1, 2]]);
    assert_eq!(first.report.discarded.len(), 1);
    let second = run(settings, &mut shard, script([])).await;
    assert_eq!(second.report.invocations, 0);
}

// "Lambda parameters for Amazon Kinesis Data Streams event source mappings",
// MaximumRecordAgeInSeconds.
#[tokio::test(start_paused = true)]
async fn records_over_the_maximum_age_are_discarded_and_not_delivered() {
    let settings = Settings { maximum_record_age: Some(MINUTE), ..Settings::default() };
    let mut shard = shard(2);
    advance(Duration::from_millis(1)).await;
    push(&mut shard, [3]);
    advance(MINUTE).await;
    let run = run(settings, &mut shard, script([])).await;
    assert_eq!(run.deliveries, [[3]]);
    let discarded = &run.report.discarded[0];
    assert_eq!(discarded.condition, Condition::RecordAgeExceeded);
    assert_eq!((discarded.batch_size, discarded.approximate_invoke_count), (2, 0));
}

// "Retain discarded batch records for a Kinesis Data Streams event source in Lambda".
#[tokio::test(start_paused = true)]
async fn retries_end_when_the_records_are_too_old() {
    let settings = Settings { maximum_record_age: Some(MINUTE), ..Settings::default() };
    let start = Instant::now();
    let run = run(settings, &mut shard(1), fails_at(1)).await;
    assert!(start.elapsed() > MINUTE);
    assert_eq!(run.report.discarded[0].condition, Condition::RecordAgeExceeded);
    let invoked = run.report.discarded[0].approximate_invoke_count;
    assert_eq!(usize::try_from(invoked).unwrap(), run.report.invocations);
}

// No page: README.md has the pauses of this crate.
#[tokio::test(start_paused = true)]
async fn pauses_between_retries_double_up_to_a_minute() {
    let mut last = Instant::now();
    let mut pauses = Vec::new();
    let mut answers = script(vec![Err(FunctionError); 40]);
    run(Settings::default(), &mut shard(1), |numbers| {
        pauses.push(last.elapsed().as_millis());
        last = Instant::now();
        answers(numbers)
    })
    .await;
    assert_eq!(pauses[..4], [0, 100, 200, 400]);
    assert_eq!(pauses[10..], [[51_200].as_slice(), &[60_000; 30]].concat());
}

// "Using Lambda to process records from Amazon Kinesis Data Streams", the example event.
#[tokio::test(start_paused = true)]
async fn the_function_gets_the_event_that_lambda_makes() {
    let mut shard = Shard::new(STREAM_ARN, 6);
    shard.push("1", b"Hello, this is a test.".to_vec());
    advance(Duration::from_millis(987)).await;
    let number = shard.push("2", Vec::new());
    let mut records = serde_json::Value::Null;
    let mapping = EventSourceMapping::new(Settings::default()).unwrap();
    let function = |event: KinesisEvent| {
        records = serde_json::to_value(event.records).unwrap();
        ready(Ok(None))
    };
    mapping.drain(&mut shard, function).await;
    assert_eq!(number, "49590338271490256608559692538361571095921575989136588899");
    assert_eq!(
        records,
        json!([
            record("1", "SGVsbG8sIHRoaXMgaXMgYSB0ZXN0Lg==", "1767225600", "898"),
            record("2", "", "1767225600.987", "899"),
        ])
    );
}

fn record(key: &str, data: &str, arrived: &str, number_ends: &str) -> serde_json::Value {
    let number = format!("49590338271490256608559692538361571095921575989136588{number_ends}");
    json!({
        "awsRegion": "eu-west-1",
        "eventID": format!("shardId-000000000006:{number}"),
        "eventName": "aws:kinesis:record",
        "eventSource": "aws:kinesis",
        "eventSourceARN": STREAM_ARN,
        "eventVersion": "1.0",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/lambda-role",
        "kinesis": {
            "approximateArrivalTimestamp": arrived,
            "data": data,
            "encryptionType": "NONE",
            "kinesisSchemaVersion": "1.0",
            "partitionKey": key,
            "sequenceNumber": number,
        },
    })
}

// "Configuring partial batch response with Kinesis Data Streams and Lambda": the checkpoint.
#[tokio::test(start_paused = true)]
async fn another_call_goes_on_from_the_checkpoint() {
    let settings = Settings { batch_size: 2, ..Settings::default() };
    let mut shard = shard(5);
    let interrupted = run(settings.clone(), &mut shard, fails_at(4));
    assert!(timeout(MINUTE, interrupted).await.is_err());
    push(&mut shard, [6]);
    let resumed = run(settings.clone(), &mut shard, script([])).await;
    assert_eq!(resumed.deliveries, [[3, 4], [5, 6]]);
    let nothing_left = run(settings, &mut shard, script([])).await;
    assert_eq!(nothing_left.report.invocations, 0);
}

// Kinesis API reference, Record: a sequence number is unique in its shard; they grow over time.
#[tokio::test]
async fn a_shard_takes_growing_sequence_numbers() {
    let mut shard = Shard::new(STREAM_ARN, 0);
    push(&mut shard, [9, 10]);
    for number in ["10", "9", "011", "", "x"] {
        assert!(shard.push_numbered(number, "key", Vec::new()).is_err(), "{number:?}");
    }
    assert_eq!(shard.push("key", Vec::new()), "11");
}

#[tokio::test(start_paused = true)]
async fn debug_output_has_no_content_of_records() {
    let settings = Settings { maximum_retry_attempts: Some(0), ..Settings::default() };
    let mut shard = Shard::new(STREAM_ARN, 0);
    shard.push("the key", vec![201; 3]);
    let mapping = EventSourceMapping::new(settings).unwrap();
    let report = mapping.drain(&mut shard, |_| ready(Err(FunctionError))).await;
    let text = format!("{report:?}");
    assert!(text.contains("RetryAttemptsExhausted"), "{text}");
    assert!(!text.contains("the key") && !text.contains("201"), "{text}");
}
