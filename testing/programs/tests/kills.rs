//! `sealstream push` and `sealstream resume` are killed while AWS fails, at moments that a seed chooses.
//! Resuming the spool then delivers every message that it held, and pushing the file again every record.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use fake_aws::{Fault, Operation, Rule};
use fastrand::Rng;
use futures::future::join_all;
use program_tests::{Ended, Fixture, Process, REGION, STREAM, records, until};
use rustix::process::Signal;
use serde_json::Value;

const RECORDS: usize = 1000;
const KILLS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn every_record_arrives_although_push_and_resume_are_killed() {
    join_all((0..4).map(run)).await;
}

async fn run(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let fixture = Fixture::new(&format!("kills-{seed}")).await;
    let lines: String = records(0..RECORDS).into_iter().map(|record| record + "\n").collect();
    fs::write(fixture.folder.join("input"), lines).unwrap();
    for fault in [Fault::Throttle, Fault::AnswerLost, Fault::Partial { every: 3 }] {
        let rule = Rule::new(fault).operation(Operation::PutRecords);
        fixture.aws.faults().inject(rule.chance(0.2, rng.u64(..)));
    }
    let mut spooled = BTreeSet::new();
    for _ in 0..KILLS {
        // Longer than the delivery timeout, so that messages are spooled.
        let outage = Rule::new(Fault::Unavailable).operation(Operation::PutRecords);
        let outage = fixture.aws.faults().inject(outage);
        let push = start(&fixture, &["push", "--spool", "spool", "input"]);
        let bytes = rng.u64(1..200_000);
        let spool = fixture.folder.join("spool");
        until("messages are spooled", async || size(&spool) >= bytes).await;
        push.signal(Signal::KILL);
        push.wait().await;
        spooled.extend(partition_keys(&spool));
        fixture.aws.faults().lift(outage);
        let arrived = arrived(&fixture) + rng.usize(1..200);
        let resume = start(&fixture, &["resume", "--spool", "spool"]);
        let is_far = async || self::arrived(&fixture) >= arrived || size(&spool) == 0;
        until("messages are resumed", is_far).await;
        resume.signal(Signal::KILL);
        resume.wait().await;
    }
    fixture.aws.faults().lift_all();
    // A resume deletes a spool that it has emptied.
    if fixture.folder.join("spool").exists() {
        succeeded(&start(&fixture, &["resume", "--spool", "spool"]).wait().await);
    }
    let arrived = fixture.aws.kinesis().records(REGION, STREAM).into_iter();
    let arrived: BTreeSet<_> = arrived.map(|record| record.partition_key).collect();
    assert!(!spooled.is_empty() && spooled.is_subset(&arrived), "seed {seed}");
    succeeded(&start(&fixture, &["push", "input"]).wait().await);
    let tail = ["tail", "--since", "trim-horizon", "--no-follow"];
    let ended = start(&fixture, &tail).wait().await;
    assert_eq!(ended.code, Some(0), "{}", ended.errors);
    let ids: BTreeSet<_> = ended.output.lines().map(id).collect();
    assert_eq!(ids.len(), RECORDS, "seed {seed}: {}", ended.errors);
}

#[track_caller]
fn succeeded(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

fn start(fixture: &Fixture, arguments: &[&str]) -> Process {
    let mut command = fixture.sealstream(arguments);
    command.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "2");
    fixture.start(command)
}

fn arrived(fixture: &Fixture) -> usize {
    fixture.aws.kinesis().records(REGION, STREAM).len()
}

/// Returns the partition keys of the messages in a spool. Its last line may be torn.
fn partition_keys(spool: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(spool).unwrap_or_default();
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages.filter_map(|message| Some(message["partition_key"].as_str()?.to_owned())).collect()
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |metadata| metadata.len())
}

fn id(line: &str) -> String {
    serde_json::from_str::<Value>(line).unwrap()["id"].to_string()
}
