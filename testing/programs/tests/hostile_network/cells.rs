//! What each program does on a hostile network. The first half of the work is done before the network
//! turns hostile, so that connections are open and caches filled, where a program lasts so long.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use fake_aws::{Fault, Operation, Rule};
use program_tests::{
    Ended, Extension, Fixture, Process, REGION, STREAM, TABLE, TTL, consumer_event, messages,
    pusher_event, records, until,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::hazard::Hazard;

const HALF: usize = 30;
const ALL: usize = 60;
const PUSH: [Operation; 4] = [
    Operation::GenerateDataKey,
    Operation::DescribeKey,
    Operation::DescribeStreamSummary,
    Operation::PutRecords,
];

pub(crate) async fn push(fixture: &Fixture, hazard: Hazard) {
    let mut command = fixture.sealstream(&["push", "--spool", "spool"]);
    // The second half needs another data key.
    command.env("SEALSTREAM_CACHE_MAX_MESSAGES", HALF.to_string());
    let mut push = fixture.start(command);
    let mut input = push.take_input();
    input.write_all(lines(0..HALF).as_bytes()).unwrap();
    until("the first half arrives", async || arrived(fixture) >= HALF).await;
    hazard.strike(&fixture.aws, &PUSH);
    input.write_all(lines(HALF..ALL).as_bytes()).unwrap();
    hazard.pass(&fixture.aws).await;
    drop(input);
    succeeded(&push.wait().await);
    assert_delivered(fixture).await;
}

pub(crate) async fn resume(fixture: &Fixture, hazard: Hazard) {
    let outage = Rule::new(Fault::Unavailable).operation(Operation::PutRecords);
    let outage = fixture.aws.faults().inject(outage);
    fs::write(fixture.folder.join("input"), lines(0..ALL)).unwrap();
    let mut command = fixture.sealstream(&["push", "--spool", "spool", "input"]);
    command.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "1");
    assert_eq!(fixture.start(command).wait().await.code, Some(1));
    fixture.aws.faults().lift(outage);
    hazard.strike(&fixture.aws, &PUSH);
    let resume = fixture.start(fixture.sealstream(&["resume", "--spool", "spool"]));
    hazard.pass(&fixture.aws).await;
    succeeded(&resume.wait().await);
    assert_delivered(fixture).await;
}

pub(crate) async fn tail(fixture: &Fixture, hazard: Hazard) {
    put(fixture, 0..HALF).await;
    let tail = fixture.start(fixture.sealstream(&["tail", "--since", "trim-horizon"]));
    until("the first half is printed", async || printed(&tail).len() >= HALF).await;
    hazard.strike(
        &fixture.aws,
        &[Operation::Decrypt, Operation::GetRecords, Operation::GetShardIterator],
    );
    put(fixture, HALF..ALL).await;
    hazard.pass(&fixture.aws).await;
    until("all is printed", async || printed(&tail).len() >= ALL).await;
    tail.signal(Signal::TERM);
    let ended = tail.wait().await;
    succeeded(&ended);
    assert_eq!(ended.output.lines().count(), ALL, "each record is printed once");
}

pub(crate) async fn redrive(fixture: &Fixture, hazard: Hazard) {
    const BUCKET: &str = "quarantine";
    for id in 0..ALL {
        let document = json!({
            "time": "2026-01-05T08:01:26Z",
            "reason": "bad",
            "record": { "eventID": format!("shardId-000000000000:{id}"), "kinesis": {
                "data": "x".repeat(200), "sequenceNumber": id.to_string(),
            } },
        });
        let key = format!("{STREAM}/shardId-000000000000/{id}.json");
        fixture.aws.s3().put(REGION, BUCKET, &key, document.to_string().as_bytes());
    }
    // An invocation may last for 15 minutes, and nothing tells it from a connection that is dead.
    let is_dead = matches!(hazard, Hazard::NeverAnswers | Hazard::GoesSilent);
    let lambda = if is_dead { &fixture.lambda } else { &fixture.aws };
    let variables = [("QUARANTINE_BUCKET", BUCKET)];
    let respond = |_: &[u8]| Ok(br#"{"batchItemFailures":[]}"#.to_vec());
    lambda.lambda().create_function("record-consumer", &variables, respond);
    hazard.strike(
        &fixture.aws,
        &[
            Operation::DeleteObject,
            Operation::GetFunctionConfiguration,
            Operation::GetObject,
            Operation::Invoke,
            Operation::ListObjectsV2,
        ],
    );
    let arguments = ["redrive", "--bucket", BUCKET, "--function", "record-consumer"];
    let start = || {
        let mut command = fixture.sealstream(&arguments);
        command.env("AWS_ENDPOINT_URL_LAMBDA", lambda.url());
        fixture.start(command)
    };
    let redrive = start();
    hazard.pass(&fixture.aws).await;
    let mut ended = redrive.wait().await;
    if hazard == Hazard::CredentialsExpire && ended.code == Some(1) {
        // It may give up before it has begun. Then it says so, and can be run again.
        assert!(ended.errors.contains("the credentials provider cannot be reached"), "{ended:?}");
        ended = start().wait().await;
    }
    succeeded(&ended);
    assert!(fixture.aws.s3().objects(REGION, BUCKET).is_empty());
}

pub(crate) async fn pusher(fixture: &Fixture, hazard: Hazard) {
    let mut command = fixture.pusher();
    command.env("CACHE_MAX_MESSAGES", HALF.to_string());
    let function = fixture.start(command);
    for (ids, is_hostile) in [(0..HALF, false), (HALF..ALL, true)] {
        if is_hostile {
            hazard.strike(&fixture.aws, &PUSH);
        }
        let (response, ()) =
            tokio::join!(fixture.invoke(pusher_event(ids)), hazard.pass(&fixture.aws));
        let response = response.unwrap();
        assert!(response.contains(r#""undelivered":0"#), "{response} {}", function.output());
    }
    assert_delivered(fixture).await;
}

pub(crate) async fn consumer(fixture: &Fixture, hazard: Hazard) {
    let messages = messages(&fixture.lambda, 0..ALL).await;
    let function = fixture.start(fixture.consumer());
    for (ids, is_hostile) in [(0..HALF, false), (HALF..ALL, true)] {
        if is_hostile {
            hazard.strike(&fixture.aws, &[Operation::Decrypt, Operation::BatchWriteItem]);
        }
        let event = consumer_event(ids.start, &messages[ids]);
        let (response, ()) = tokio::join!(fixture.invoke(event), hazard.pass(&fixture.aws));
        assert_eq!(response.unwrap(), r#"{"batchItemFailures":[]}"#, "{}", function.output());
    }
    assert_eq!(fixture.aws.dynamodb().items(REGION, TABLE).len(), ALL);
}

pub(crate) async fn extension(fixture: &Fixture, hazard: Hazard) {
    fixture.put_item("old").await;
    let extension = Extension::start(fixture).await;
    assert!(extension.get(false).await.is_some_and(|value| value.contains("old")));
    fixture.put_item("new").await;
    hazard.strike(&fixture.aws, &[Operation::BatchGetItem, Operation::GetItem]);
    // The extension has real clocks only.
    tokio::time::sleep(TTL).await;
    extension.invoke(fixture, 1).await;
    assert!(extension.get(false).await.is_some(), "a stale value is better than none");
    hazard.pass(&fixture.aws).await;
    until("the new value is there", async || {
        extension.get(true).await.is_some_and(|value| value.contains("new"))
    })
    .await;
}

fn lines(ids: std::ops::Range<usize>) -> String {
    records(ids).into_iter().map(|record| record + "\n").collect()
}

fn arrived(fixture: &Fixture) -> usize {
    fixture.aws.kinesis().records(REGION, STREAM).len()
}

#[track_caller]
fn succeeded(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Reads the stream with a program on a network that works, because messages are encrypted.
async fn assert_delivered(fixture: &Fixture) {
    fixture.aws.faults().lift_all();
    fixture.aws.skew_clock(0);
    let arguments = ["tail", "--since", "trim-horizon", "--no-follow"];
    let ended = fixture.start(fixture.sealstream(&arguments)).wait().await;
    let ids = ids(&ended.output);
    assert_eq!(ids.len(), ALL, "{ids:?} {ended:?}");
}

fn printed(tail: &Process) -> BTreeSet<String> {
    ids(&tail.output())
}

fn ids(output: &str) -> BTreeSet<String> {
    let records = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.map(|record| record["id"].to_string()).collect()
}

/// Puts messages into the stream.
async fn put(fixture: &Fixture, ids: std::ops::Range<usize>) {
    let client = aws_sdk_kinesis::Client::new(&fixture.config());
    let entries = messages(&fixture.lambda, ids).await.into_iter().map(|message| {
        let entry = PutRecordsRequestEntry::builder().data(Blob::new(message)).partition_key("key");
        entry.build().unwrap()
    });
    let request = client.put_records().stream_name(STREAM).set_records(Some(entries.collect()));
    request.send().await.unwrap();
}
