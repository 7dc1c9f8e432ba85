//! Partition keys keep records in order.

use fake_aws::{Fault, Operation, Rule};
use serde_json::json;

use crate::fixture::{Fixture, THERE, record};

#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_key_stay_in_order_through_faults() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().partition_key_field("account")).await;
    fixture
        .aws
        .faults()
        .inject(Rule::new(Fault::Partial { every: 2 }).operation(Operation::PutRecords).times(10));
    let of = |number: u32| record(&json!({ "account": number % 3, "number": number }));
    let outcomes = pusher.put_records((0..60).map(of).collect()).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
    for account in 0..3 {
        let plaintexts = fixture.plaintexts(THERE).await;
        let numbers = plaintexts.iter().filter(|record| record["account"] == account);
        let numbers: Vec<_> = numbers.map(|record| record["number"].as_u64().unwrap()).collect();
        assert!(numbers.is_sorted() && numbers.len() == 20, "{numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_key_is_a_short_text_or_a_number() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().partition_key_field("key")).await;
    let long = "ß".repeat(256);
    for (key, expected) in [(json!("a"), "a"), (json!(-1.50), "-1.5"), (json!(long), &long)] {
        let outcome = pusher.put_record(record(&json!({ "key": key }))).await.unwrap();
        assert_eq!(outcome.partition_key(), expected);
    }
    let longer = format!("{long}ß");
    for key in [json!(""), json!(longer), json!(null), json!(true), json!(["a"]), json!({})] {
        let error = pusher.put_record(record(&json!({ "key": key }))).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the field \"key\" is not a partition key: it must be a string of 1 to 256 characters, or a \
             number"
        );
    }
    assert!(pusher.put_record(record(&json!({ "id": 1 }))).await.is_err());
}
