//! Which records are read, in which order.

use std::collections::BTreeSet;

use fake_aws::Operation;

use crate::fixture::{ALL, FIRST, Fixture, REGION, STREAM, Tailed, terminate, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_where_reading_begins() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..3).await;
    assert_eq!(fixture.tail(&["--since", "1h", "--no-follow"]).await.ids(), [0, 1, 2]);
    assert!(fixture.tail(&["--no-follow"]).await.lines.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_are_followed_through_a_split_and_a_merge() {
    let fixture = Fixture::new(1).await;
    fixture.scatter(0..5).await;
    let child = fixture.follow(&["--since", "trim-horizon", "--count", "20"], 1, 1).await;
    let reshard =
        |parents: &[&str], shards| fixture.aws.kinesis().reshard(REGION, STREAM, parents, shards);
    let split = reshard(&[FIRST], 2);
    fixture.scatter(5..15).await;
    reshard(&[&split[0], &split[1]], 1);
    fixture.scatter(15..20).await;
    let tailed = Tailed::of(child).await;
    let ids = tailed.ids();
    let generation = |ids: &[u64]| BTreeSet::from_iter(ids.iter().copied());
    assert_eq!(ids[..5], [0, 1, 2, 3, 4]);
    assert_eq!(generation(&ids[5..15]), BTreeSet::from_iter(5..15));
    assert_eq!(ids[15..], [15, 16, 17, 18, 19]);
    assert!(tailed.messages.starts_with("20 records printed from 4 shards"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_that_were_closed_before_are_read_in_the_same_order() {
    let fixture = Fixture::new(2).await;
    fixture.scatter(0..10).await;
    let parents = ["shardId-000000000000", "shardId-000000000001"];
    fixture.aws.kinesis().reshard(REGION, STREAM, &parents, 1);
    fixture.scatter(10..15).await;
    let ids = fixture.tail(&ALL).await.ids();
    assert_eq!(ids[10..], [10, 11, 12, 13, 14]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shard_is_read_to_its_end_alone() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..2).await;
    let children = fixture.aws.kinesis().reshard(REGION, STREAM, &[FIRST], 2);
    fixture.put_ids(2..4).await;
    let tailed = fixture.tail(&["--since", "trim-horizon", "--shard", FIRST]).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 1], Some(0)));
    let notice = format!("{FIRST}: closed; its records continue in {}\n", children.join(", "));
    assert!(tailed.messages.starts_with(&notice), "{tailed:?}");

    let tailed = fixture.tail(&["--shard", FIRST]).await;
    assert_eq!(tailed.code, Some(2));
    let expected = format!(
        "error: stream records in eu-west-1 has no shard {FIRST} with records since latest\n  \
         choose --shard from {}\n",
        children.join(", ")
    );
    assert_eq!(tailed.messages, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_gone_ends_that_shard_only() {
    let fixture = Fixture::new(2).await;
    let second = "shardId-000000000001";
    fixture.scatter(0..20).await;
    fixture.aws.kinesis().reshard(REGION, STREAM, &[FIRST], 2);
    let child = fixture.follow(&["--since", "trim-horizon"], 4, 8).await;
    fixture.aws.kinesis().delete_shard(REGION, STREAM, second);
    let reads = fixture.calls(Operation::GetRecords);
    until(|| fixture.calls(Operation::GetRecords) >= reads + 6).await;
    fixture.scatter(20..40).await;
    let reads = fixture.calls(Operation::GetRecords);
    until(|| fixture.calls(Operation::GetRecords) >= reads + 6).await;
    terminate(&child);
    let tailed = Tailed::of(child).await;
    let gone = format!("{second}: no longer exists; its unread records have expired\n");
    assert_eq!(tailed.messages.matches(&gone).count(), 1, "{tailed:?}");
    assert!(tailed.ids().iter().any(|id| *id >= 20), "{tailed:?}");
    assert_eq!(tailed.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_shards_is_read_to_its_last_page() {
    let fixture = Fixture::new(150).await;
    let tailed = fixture.tail(&["--no-follow"]).await;
    assert!(tailed.messages.starts_with("0 records printed from 150 shards"), "{tailed:?}");
}
