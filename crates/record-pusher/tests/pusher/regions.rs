//! Regions do not depend on each other.

use std::time::Duration;

use fake_aws::{Fault, Rule, Service};
use record_pusher::{EncryptFor, ErrorKind, Record};
use serde_json::{Value, json};

use crate::fixture::{Fixture, HERE, THERE, code, name, record, records};

#[tokio::test(flavor = "multi_thread")]
async fn every_region_gets_the_same_ciphertext_under_the_same_key() {
    let fixture = Fixture::new().await;
    let json = r#"{"id":"1","amount":12.500,"long":123456789012345678901234567890}"#;
    let record = Record::from_json(json.as_bytes()).unwrap();
    let outcome = fixture.pusher().await.put_record(record).await.unwrap();
    assert!(outcome.is_delivered());

    let [here, there] =
        [HERE, THERE].map(|region| fixture.aws.kinesis().records(region, "records"));
    assert_eq!((here.len(), &here[0].data), (1, &there[0].data));
    assert_eq!(here[0].partition_key, there[0].partition_key);
    assert_eq!(outcome.partition_key(), here[0].partition_key);
    assert_eq!(outcome.message(), here[0].data);
    let key = uuid::Uuid::parse_str(outcome.partition_key()).unwrap();
    assert_eq!(key.get_version_num(), 4);
    assert_eq!(fixture.plaintexts(THERE).await, [serde_json::from_str::<Value>(json).unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_does_not_answer_does_not_delay_others() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE));
    let pusher = fixture.pusher().await;
    let mut pushed = Vec::new();
    for record in records(2000) {
        pushed.push(pusher.queue_record(record).await);
    }
    while fixture.count(HERE) < 2000 {
        tokio::task::yield_now().await;
    }
    pusher.stop();
    for outcome in futures::future::join_all(pushed).await {
        let outcome = outcome.unwrap();
        assert!(outcome.regions()[&name(HERE)].is_ok());
        assert_eq!(code(&outcome, THERE), "Stopped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_fails_its_region_alone_and_at_once() {
    let fixture = Fixture::new().await;
    let regions = [HERE, THERE, "ap-south-1"].map(name).to_vec();
    let outcome = fixture
        .build(fixture.builder_for(regions))
        .await
        .put_record(record(&json!({})))
        .await
        .unwrap();
    assert!(!outcome.is_delivered());
    assert_eq!(code(&outcome, "ap-south-1"), "ResourceNotFoundException");
    assert!(outcome.regions()[&name(HERE)].is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_without_its_key_gets_nothing_it_could_not_read() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().encrypt_for(EncryptFor::Available)).await;
    fixture.aws.faults().inject(Rule::new(Fault::Unavailable).service(Service::Kms).region(HERE));
    let outcome = pusher.put_record(record(&json!({}))).await.unwrap();
    let error = outcome.regions()[&name(HERE)].clone().unwrap_err();
    assert_eq!((error.code.as_str(), error.message_is_readable()), ("NotEncrypted", false));
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (0, 1));
    assert_eq!(fixture.plaintexts(THERE).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn for_all_regions_a_missing_key_fails_the_record_by_the_regions_name() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Unavailable).service(Service::Kms).region(THERE));
    let builder = fixture.builder().delivery_timeout(Duration::from_secs(5));
    let error = fixture.build(builder).await.put_record(record(&json!({}))).await.unwrap_err();
    assert!(error.to_string().contains("AWS KMS in eu-west-1"), "{error}");
    assert_eq!((error.kind(), fixture.count(HERE)), (ErrorKind::Retryable, 0));
}
