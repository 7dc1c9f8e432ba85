//! What is printed, and what is not.

use fake_aws::Operation;
use serde_json::Value;

use crate::fixture::{ALL, FIRST, Fixture, MARKER, Tailed, record};

#[tokio::test(flavor = "multi_thread")]
async fn records_are_printed_as_they_were_pushed_and_lists_unfolded() {
    let fixture = Fixture::new(1).await;
    let exact = r#"{"z":1.10,"a":12345678901234567890}"#;
    fixture.put(exact).await;
    fixture.put("[{\"id\":1},\n {\"id\":2}]").await;
    let tailed = fixture.tail(&ALL).await;
    assert_eq!(tailed.lines, [exact, "{\"id\":1}", "{\"id\":2}"]);
    assert_eq!(tailed.code, Some(0));
    let summary =
        "3 records printed from 1 shard\n  data keys: 1 KMS call, 1 cache hits (50.0 %)\n";
    assert_eq!(tailed.messages, summary);
    assert_eq!(fixture.calls(Operation::Decrypt), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_says_where_a_record_is() {
    let fixture = Fixture::new(1).await;
    let number = fixture.put(&record(7)).await;
    let tailed = fixture.tail(&[&ALL[..], &["--with-metadata"]].concat()).await;
    let line: Value = serde_json::from_str(&tailed.lines[0]).unwrap();
    let arrival = line["approximateArrivalTime"].as_str().unwrap();
    assert!(arrival.starts_with("20") && arrival.ends_with('Z'), "{arrival}");
    let expected = format!(
        r#"{{"shardId":"{FIRST}","sequenceNumber":"{number}","approximateArrivalTime":"{arrival}","partitionKey":"key","record":{}}}"#,
        record(7)
    );
    assert_eq!(tailed.lines, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_kept_to_the_record() {
    let fixture = Fixture::new(1).await;
    fixture.put("[{\"id\":1},{\"id\":2},{\"id\":3}]").await;
    let tailed = fixture.tail(&["--since", "trim-horizon", "--count", "2"]).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![1, 2], Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decrypted_is_named_and_the_rest_printed() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..1).await;
    let elsewhere = fixture.put_for("another", &record(1)).await;
    let plain = fixture.put_data(record(2).into_bytes(), "key").await;
    let text = fixture.put(&format!("\"{MARKER}\"")).await;
    fixture.put_ids(3..4).await;
    let tailed = fixture.tail(&ALL).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 3], Some(1)));
    for (number, reason) in [
        (elsewhere, "the record was encrypted for stream another, not for stream records"),
        (plain, "the message was refused: "),
        (text, "the plaintext is neither a JSON object nor an array of JSON objects"),
    ] {
        let notice = format!("{FIRST}:{number}: not printed: {reason}");
        assert!(tailed.messages.contains(&notice), "{notice}: {tailed:?}");
    }
    assert!(
        tailed.messages.contains("2 records printed from 1 shard; 3 messages could not be read\n")
    );
    assert!(!tailed.messages.contains(MARKER));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_finest_log_shows_nothing_of_the_records() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..2).await;
    fixture.put(&format!("{MARKER} is not JSON")).await;
    let mut command = fixture.command(&ALL);
    command.env("RUST_LOG", "trace").env("LOG_SENSITIVE_BODIES", "true");
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    assert_eq!(tailed.lines.len(), 2);
    assert!(!tailed.messages.contains(MARKER));
}
