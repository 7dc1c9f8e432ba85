//! Small records share messages.

use serde_json::{Value, json};

use crate::fixture::{Fixture, HERE, THERE, of_size, record, records, records_of};

#[tokio::test(flavor = "multi_thread")]
async fn small_records_share_messages_and_each_has_its_outcome() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().aggregate_bytes(1000)).await;
    let outcomes = pusher.put_records(records(500)).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
    let messages = fixture.plaintexts(THERE).await;
    assert!((5..20).contains(&messages.len()), "{} messages", messages.len());
    assert!(messages.iter().all(|message| message.to_string().len() <= 1000));
    let together = messages.into_iter().flat_map(records_of);
    let mut ids: Vec<_> = together.map(|record| record["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..500).collect::<Vec<_>>());
    assert_eq!(outcomes[0].as_ref().unwrap().message(), outcomes[1].as_ref().unwrap().message());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_alone_is_no_list_and_a_large_one_has_its_own_message() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().aggregate_bytes(100)).await;
    pusher.put_record(record(&json!({ "id": 1 }))).await.unwrap();
    pusher.put_record(of_size(500)).await.unwrap();
    assert!(fixture.plaintexts(HERE).await.iter().all(Value::is_object));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_hold_records_of_one_key_in_order() {
    let fixture = Fixture::new().await;
    let builder = fixture.builder().aggregate_bytes(200).partition_key_field("account");
    let pusher = fixture.build(builder).await;
    let of = |number: u32| record(&json!({ "account": number % 3, "number": number }));
    let outcomes = pusher.put_records((0..60).map(of).collect()).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
    let messages = fixture.plaintexts(HERE).await;
    assert!(messages.len() < 30);
    for account in 0..3 {
        let lists = messages.iter().cloned().map(records_of);
        let records: Vec<_> =
            lists.filter(|list| list[0]["account"] == account).flatten().collect();
        assert!(records.iter().all(|record| record["account"] == account));
        assert!(records.is_sorted_by_key(|record| record["number"].as_u64()));
        assert_eq!(records.len(), 20);
    }
}
