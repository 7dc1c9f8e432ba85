//! Errors of AWS are retried, or returned at once.

use std::time::Duration;

use fake_aws::{Fault, Operation, Rule, Service};
use record_pusher::{ErrorKind, MessagePusher};
use serde_json::json;

use crate::fixture::{Fixture, HERE, THERE, name, record, records};

#[tokio::test(flavor = "multi_thread")]
async fn no_record_is_lost_to_faults_or_delivered_twice_without_one() {
    let fixture = Fixture::new().await;
    for fault in [Fault::Throttle, Fault::Reset, Fault::InternalError, Fault::Partial { every: 3 }]
    {
        fixture.aws.faults().inject(Rule::new(fault).operation(Operation::PutRecords).times(2));
    }
    let pusher = fixture.pusher().await;
    let outcomes = pusher.put_records(records(1200)).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
    for region in [HERE, THERE] {
        let mut ids: Vec<_> = fixture.plaintexts(region).await;
        ids.sort_by_key(|value| value["id"].as_u64());
        assert_eq!(ids, (0..1200).map(|id| json!({ "id": id })).collect::<Vec<_>>());
    }
    let stats = pusher.stats().regions;
    let throttled: u64 = stats.values().map(|stats| stats.throttled_attempts).sum();
    let failed: u64 = stats.values().map(|stats| stats.failed_attempts).sum();
    assert!(throttled > 0 && failed > 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_acknowledged_in_time_is_handed_back_and_can_be_put_later() {
    let fixture = Fixture::new().await;
    let builder = fixture.builder().delivery_timeout(Duration::from_secs(1));
    let rule = Rule::new(Fault::Unavailable).service(Service::Kinesis).region(THERE);
    let outage = fixture.aws.faults().inject(rule);
    let outcome =
        fixture.build(builder).await.put_record(record(&json!({ "id": 7 }))).await.unwrap();
    let error = outcome.regions()[&name(THERE)].clone().unwrap_err();
    assert!(
        error.attempts > 1 && error.kind == ErrorKind::Retryable && error.message_is_readable()
    );

    fixture.aws.faults().lift(outage);
    let stream = "records".parse().unwrap();
    let timeout = Duration::from_secs(5);
    let later = MessagePusher::new(&name(THERE), &stream, timeout, &fixture.config).unwrap();
    let (key, message) = (outcome.partition_key().to_owned(), outcome.message().to_vec());
    later.queue(key, message).await.await.unwrap();
    assert_eq!(fixture.plaintexts(THERE).await, [json!({ "id": 7 })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_of_kms_is_retried_as_that_of_kinesis() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().cache_capacity(0)).await;
    fixture.aws.faults().inject(Rule::new(Fault::Throttle).service(Service::Kms).times(20));
    let outcomes = pusher.put_records(records(10)).await;
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap().is_delivered()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_kms_is_an_operators_error_at_once() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::AccessDenied).service(Service::Kms));
    let error = fixture.pusher().await.put_record(record(&json!({}))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Operator, "{error}");
}
