//! Batches: what is written and what is reported.

use std::time::Duration;

use record_consumer::Item;
use tokio::time::Instant;

use crate::fixture::{FakeTable, deliver, error, event, fixture, pairs};

#[tokio::test(start_paused = true)]
async fn good_records_of_a_bad_batch_are_written() {
    let fixture = fixture(FakeTable::default());
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

#[tokio::test(start_paused = true)]
async fn the_last_record_of_a_key_wins_by_sequence_number() {
    let fixture = fixture(FakeTable::default());
    let messages = fixture.records(&[r#"{"id":"a","v":"old"}"#, r#"{"id":"a","v":"new"}"#]).await;
    // Delivered in reverse; 10 is a later number than 9, though not a later text.
    let numbered = [(10, messages[1].clone()), (9, messages[0].clone())];
    let deadline = Instant::now() + Duration::from_secs(60);
    assert!(deliver(&fixture.consumer, event(numbered), deadline).await.is_empty());
    assert_eq!(fixture.table.contents(), pairs(&[("a", "new")]));
}

#[tokio::test(start_paused = true)]
async fn good_members_of_a_bad_aggregate_are_written() {
    let fixture = fixture(FakeTable::default());
    let messages = fixture
        .records(&[
            r#"[{"id":"a","v":"1"},{"id":"b","v":"2"}]"#,
            r#"[{"id":"c","v":"3"},{"v":"bad"}]"#,
            r#"[{"id":"d"},7]"#,
        ])
        .await;
    assert_eq!(fixture.handle(messages).await, ["2", "3"]);
    let expected = pairs(&[("a", "1"), ("b", "2"), ("c", "3"), ("d", "")]);
    assert_eq!(fixture.table.contents(), expected);
}

#[tokio::test(start_paused = true)]
async fn requests_hold_25_items_at_most() {
    let fixture = fixture(FakeTable::default());
    let plaintexts: Vec<_> = (0..60).map(|n| format!(r#"{{"id":"{n}"}}"#)).collect();
    let plaintexts: Vec<_> = plaintexts.iter().map(String::as_str).collect();
    assert!(fixture.handle(fixture.records(&plaintexts).await).await.is_empty());
    let mut requests = fixture.table.requests();
    requests.sort_unstable();
    assert_eq!(requests, [10, 25, 25]);
    assert_eq!(fixture.table.contents().len(), 60);
}

#[tokio::test(start_paused = true)]
async fn unprocessed_and_throttled_items_are_sent_again_the_first_one_alone() {
    let table = FakeTable::default()
        .then(|items| Ok(items[1..].to_vec()))
        .then(|_| Err(error("ThrottlingException")));
    let fixture = fixture(table);
    let messages = fixture.records(&[r#"{"id":"a"}"#, r#"{"id":"b"}"#, r#"{"id":"c"}"#]).await;
    assert!(fixture.handle(messages).await.is_empty());
    assert_eq!(fixture.table.contents().len(), 3);
    assert_eq!(fixture.table.requests(), [3, 2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_item_is_found_and_the_others_are_written() {
    let fixture = fixture(FakeTable::default().rejecting("bad"));
    let records = [r#"{"id":"a"}"#, r#"{"id":"b","v":"bad"}"#, r#"{"id":"c"}"#, r#"{"id":"d"}"#];
    assert_eq!(fixture.handle_texts(&records).await, ["2"]);
    assert_eq!(fixture.table.contents(), pairs(&[("a", ""), ("c", ""), ("d", "")]));
}

#[tokio::test(start_paused = true)]
async fn if_the_last_record_of_a_key_is_rejected_the_one_before_it_is_written() {
    let fixture = fixture(FakeTable::default().rejecting("bad"));
    let records = [
        r#"{"id":"a","v":"old"}"#,
        r#"{"id":"a","v":"new"}"#,
        r#"{"id":"a","v":"bad"}"#,
        r#"{"id":"b","v":"1"}"#,
    ];
    assert_eq!(fixture.handle_texts(&records).await, ["3"]);
    assert_eq!(fixture.table.contents(), pairs(&[("a", "new"), ("b", "1")]));
}

#[tokio::test(start_paused = true)]
async fn the_next_best_item_of_a_key_may_come_from_the_same_aggregate() {
    let fixture = fixture(FakeTable::default().rejecting("bad"));
    let records = [
        r#"{"id":"a","v":"old"}"#,
        r#"[{"id":"a","v":"aggregate"},{"id":"a","v":"bad"}]"#,
        r#"{"id":"b","v":"1"}"#,
    ];
    assert_eq!(fixture.handle_texts(&records).await, ["2"]);
    assert_eq!(fixture.table.contents(), pairs(&[("a", "aggregate"), ("b", "1")]));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_not_written_reports_every_record_of_it() {
    let denied = |_: &[Item]| Err(error("AccessDeniedException"));
    let fixture = fixture(FakeTable::default().then(denied));
    let messages = fixture.records(&[r#"{"id":"a","v":"old"}"#, r#"{"id":"a","v":"new"}"#]).await;
    assert_eq!(fixture.handle(messages).await, ["1", "2"]);
    assert_eq!(fixture.table.requests(), [1]);
}

#[tokio::test(start_paused = true)]
async fn unwritten_records_are_reported_before_the_deadline() {
    let all = |items: &[Item]| Ok(items.to_vec());
    let table = (0..100).fold(FakeTable::default(), |table, _| table.then(all));
    let fixture = fixture(table);
    let messages = fixture.records(&[r#"{"id":"a"}"#]).await;
    let deadline = Instant::now() + Duration::from_millis(700);
    assert_eq!(fixture.handle_until(messages, deadline).await, ["1"]);
    assert!(Instant::now() < deadline);
}

#[tokio::test(start_paused = true)]
async fn without_time_nothing_is_tried() {
    let fixture = fixture(FakeTable::default());
    let messages = fixture.records(&[r#"{"id":"a"}"#]).await;
    assert_eq!(fixture.handle_until(messages, Instant::now()).await, ["1"]);
    assert!(fixture.table.requests().is_empty());
}
