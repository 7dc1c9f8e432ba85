//! Records that can never be written.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fixture::{
    Answer, FakeQuarantine, FakeTable, NOW, deliver, error, event, fixture, json_record, pairs,
};

#[tokio::test(start_paused = true)]
async fn records_that_can_never_be_written_are_stored_and_the_batch_goes_on() {
    let fixture = fixture(FakeTable::default().rejecting("bad")).with_quarantine();
    let mut flipped = fixture.message("records", r#"{"id":"flipped"}"#).await;
    *flipped.last_mut().unwrap() ^= 1;
    let batch = vec![
        fixture.message("records", r#"{"id":"a"}"#).await,
        flipped,
        fixture.message("other", r#"{"id":"of another stream"}"#).await,
        br#"{"id":"plain text"}"#.to_vec(),
        fixture.message("records", "no JSON").await,
        fixture.message("records", r#"{"v":"without a key"}"#).await,
        fixture.message("records", r#"{"id":"refused","v":"bad"}"#).await,
        fixture.message("records", r#"{"id":"b"}"#).await,
    ];
    assert!(fixture.handle(batch).await.is_empty());
    assert_eq!(fixture.table.contents(), pairs(&[("a", ""), ("b", "")]));
    let keys = (2..8).map(|number| format!("records/shardId-000000000000/{number}.json"));
    assert_eq!(fixture.quarantined.keys(), keys.collect::<Vec<_>>());
    let expected = [
        "the message was refused: the authentication tag",
        "the record was encrypted for stream other, not for stream records",
        "the message was refused: it is JSON that is not encrypted",
        "the plaintext is not valid JSON (line 1, column 2)",
        "attribute id: the table's key attribute is missing",
        "DynamoDB rejects the item: the request is not valid (ValidationException)",
    ];
    for (reason, expected) in fixture.quarantined.reasons().iter().zip(expected) {
        assert!(reason.starts_with(expected), "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_has_the_record_as_it_was_delivered_with_reason_and_time() {
    let fixture = fixture(FakeTable::default()).with_quarantine();
    let message = fixture.message("records", "{}").await;
    fixture.handle(vec![message.clone()]).await;
    let expected = json!({
        "time": NOW,
        "reason": "attribute id: the table's key attribute is missing",
        "record": json_record(1, message),
    });
    assert_eq!(fixture.quarantined.documents(), [expected]);
}

#[tokio::test(start_paused = true)]
async fn a_stored_record_can_be_delivered_again() {
    let fixture = fixture(FakeTable::default().rejecting("bad")).with_quarantine();
    fixture.handle_texts(&[r#"{"id":"a","v":"bad"}"#]).await;
    let mut documents = fixture.quarantined.documents();
    let event = json!({ "Records": [documents[0]["record"].take()] }).to_string();
    // By now the table takes it.
    let mended = crate::fixture::fixture(FakeTable::default());
    let deadline = Instant::now() + Duration::from_secs(60);
    let event = serde_json::from_str(&event).unwrap();
    assert!(deliver(&mended.consumer, event, deadline).await.is_empty());
    assert_eq!(mended.table.contents(), pairs(&[("a", "bad")]));
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_decrypted_is_stored() {
    let fixture = fixture(FakeTable::default().rejecting("bad")).with_quarantine();
    let records = [
        r#"Marker"#,
        r#"["Marker"]"#,
        r#"{"id":["Marker"]}"#,
        r#"[{"id":"Marker"},{"secret":"Marker"}]"#,
        r#"{"id":"Marker","v":"bad"}"#,
    ];
    assert!(fixture.handle_texts(&records).await.is_empty());
    assert_eq!(fixture.quarantined.keys().len(), records.len());
    for document in fixture.quarantined.texts() {
        assert!(!document.contains("Marker"), "{document}");
    }
}

#[tokio::test(start_paused = true)]
async fn bad_members_of_an_aggregate_are_named_and_the_others_are_written() {
    let fixture = fixture(FakeTable::default().rejecting("bad")).with_quarantine();
    let records = [
        r#"[{"id":"a"},{"v":"without a key"},{"id":"e"},7]"#,
        r#"[7]"#,
        r#"[{"id":"b"},{"id":"c"},{"id":"d","v":"bad"}]"#,
        r#"[]"#,
    ];
    assert!(fixture.handle_texts(&records).await.is_empty());
    let expected = [
        "element [1] of the aggregate: attribute id: the table's key attribute is missing; element \
         [3] of the aggregate is not a JSON object",
        "element [0] of the aggregate is not a JSON object",
        "element [2] of the aggregate: DynamoDB rejects the item: the request is not valid \
         (ValidationException)",
        "the plaintext is neither a JSON object nor an array of JSON objects",
    ];
    assert_eq!(fixture.quarantined.reasons(), expected);
    let bad_members = fixture.quarantined.documents().into_iter().map(|d| d["badMembers"].clone());
    let expected = [json!([1, 3]), json!([0]), json!([2]), Value::Null];
    assert_eq!(bad_members.collect::<Vec<_>>(), expected);
    let expected = pairs(&[("a", ""), ("b", ""), ("c", ""), ("e", "")]);
    assert_eq!(fixture.table.contents(), expected);
}

#[tokio::test(start_paused = true)]
async fn only_the_rejected_record_of_a_key_is_stored() {
    let fixture = fixture(FakeTable::default().rejecting("bad")).with_quarantine();
    let records = [r#"{"id":"a","v":"old"}"#, r#"{"id":"a","v":"new"}"#, r#"{"id":"a","v":"bad"}"#];
    assert!(fixture.handle_texts(&records).await.is_empty());
    assert_eq!(fixture.quarantined.sequence_numbers(), ["3"]);
    assert_eq!(fixture.table.contents(), pairs(&[("a", "new")]));
}

#[tokio::test(start_paused = true)]
async fn failures_that_are_not_the_records_are_reported_and_never_stored() {
    for code in ["ThrottlingException", "AccessDeniedException"] {
        let fixture = fixture(FakeTable::default().failing(&error(code))).with_quarantine();
        assert_eq!(fixture.handle_texts(&[r#"{"id":"a"}"#]).await, ["1"]);
        assert!(fixture.quarantined.keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_there_is_no_time_for_are_reported_and_not_stored() {
    let fixture = fixture(FakeTable::default()).with_quarantine();
    let messages = fixture.records(&["no JSON"]).await;
    assert_eq!(fixture.handle_until(messages, Instant::now()).await, ["1"]);
    assert!(fixture.quarantined.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_not_stored_is_reported_and_stored_when_it_comes_again() {
    let fixture = fixture(FakeTable::default()).with(FakeQuarantine::that([Answer::Refuse]));
    let messages = fixture.records(&["no JSON", r#"{"id":"a"}"#]).await;
    assert_eq!(fixture.handle(messages.clone()).await, ["1"]);
    assert_eq!(fixture.table.contents(), pairs(&[("a", "")]));
    for _ in 0..2 {
        assert!(fixture.handle(messages[..1].to_vec()).await.is_empty());
        assert_eq!(fixture.quarantined.sequence_numbers(), ["1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_repeated() {
    let fixture = fixture(FakeTable::default()).with(FakeQuarantine::that([Answer::Hang]));
    assert!(fixture.handle_texts(&["no JSON", "[]"]).await.is_empty());
    assert_eq!(fixture.quarantined.sequence_numbers(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_quarantine_that_hangs_is_reported_before_the_deadline() {
    let hanging =
        FakeQuarantine::that([Answer::Hang, Answer::Take].into_iter().chain([Answer::Hang; 99]));
    let fixture = fixture(FakeTable::default()).with(hanging);
    let messages = fixture.records(&["no JSON", "[]"]).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    assert_eq!(fixture.handle_until(messages, deadline).await, ["1"]);
    assert_eq!(fixture.quarantined.sequence_numbers(), ["2"]);
    let left = deadline - Instant::now();
    assert!(left >= Duration::from_millis(400), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_without_its_origin_is_reported() {
    let fixture = fixture(FakeTable::default()).with_quarantine();
    for missing in ["eventID", "eventSourceARN"] {
        let mut record = json_record(1, b"plain text".to_vec());
        record[missing] = Value::Null;
        let event = serde_json::from_value(json!({ "Records": [record] })).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        assert_eq!(deliver(&fixture.consumer, event, deadline).await, ["1"]);
    }
    assert!(fixture.quarantined.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_quarantine_bad_records_are_reported() {
    let fixture = fixture(FakeTable::default());
    let event = event([(1, b"plain text".to_vec())]);
    let deadline = Instant::now() + Duration::from_secs(60);
    assert_eq!(deliver(&fixture.consumer, event, deadline).await, ["1"]);
}
