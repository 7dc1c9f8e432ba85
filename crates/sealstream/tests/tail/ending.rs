//! How a tail that follows ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};

use fake_aws::Operation;

use crate::fixture::{Fixture, Tailed, terminate, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_later_is_followed_until_a_signal() {
    let fixture = Fixture::new(2).await;
    fixture.scatter(0..4).await;
    let child = fixture.follow(&[], 2, 2).await;
    fixture.scatter(10..14).await;
    let reads = fixture.calls(Operation::GetRecords);
    until(|| fixture.calls(Operation::GetRecords) >= reads + 4).await;
    terminate(&child);
    let tailed = Tailed::of(child).await;
    assert_eq!(BTreeSet::from_iter(tailed.ids()), BTreeSet::from_iter(10..14));
    assert_eq!(tailed.code, Some(0), "{tailed:?}");
    assert!(tailed.messages.starts_with("4 records printed from 2 shards"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_in_silence_when_nobody_reads_its_output_any_more() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..1).await;
    let mut child = fixture.command(&["--since", "trim-horizon"]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let read = move || output.read_line(&mut String::new()).map(|_| drop(output));
    tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    fixture.put_ids(1..2).await;
    let tailed = Tailed::of(child).await;
    assert_eq!((tailed.code, tailed.messages.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_nobody_reads_does_not_hold_up_a_signal() {
    let fixture = Fixture::new(1).await;
    // More than a pipe holds.
    fixture.put(&format!("{{\"text\":\"{}\"}}", "x".repeat(900_000))).await;
    let mut child = fixture.command(&["--since", "trim-horizon"]).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let read = move || output.read_exact(&mut [0]).map(|()| output);
    let output = tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    terminate(&child);
    let tailed = Tailed::of(child).await;
    drop(output);
    assert_eq!(tailed.code, Some(0));
    assert!(tailed.messages.starts_with("0 records printed from 1 shard"), "{tailed:?}");
}
