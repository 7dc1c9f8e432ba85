//! What a pusher holds, and what a stream accepts.

use std::time::Duration;

use fake_aws::{Fault, Operation, Rule, Service, StreamSettings};
use record_pusher::{ErrorKind, PushError};
use serde_json::json;

use crate::fixture::{Fixture, HERE, THERE, name, of_size, record, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_pusher_holds_so_many_bytes_and_gives_them_to_every_region() {
    const BYTES: usize = 100_000;
    const HELD: usize = (8 << 20) / (BYTES + 1024 + "{'id':'1','text':''}".len());
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE));
    let pusher = fixture.pusher().await;
    let pushed = tokio::spawn({
        let pusher = pusher.clone();
        async move { pusher.put_records((0..400).map(|_| of_size(BYTES)).collect()).await }
    });
    until(|| fixture.count(HERE) >= HELD).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(fixture.count(HERE), HELD, "the next one waits for capacity");
    pusher.stop();
    let pushed = tokio::time::timeout(Duration::from_secs(10), pushed).await;
    assert_eq!(pushed.expect("a pusher that was stopped answers").unwrap().len(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_a_record_is_limited_by_the_stream() {
    let fixture = Fixture::new().await;
    let large = StreamSettings { max_record_kib: 3 << 10, ..StreamSettings::default() };
    fixture.aws.kinesis().create_stream(HERE, "records", large);
    let pusher = fixture.pusher().await;
    let error = pusher.put_record(of_size(2 << 20)).await.unwrap_err();
    let PushError::TooLarge { size, limit, region } = &error else { panic!("{error}") };
    assert!(*size > 2 << 20 && *limit == 1 << 20 && *region == name(THERE), "{error}");
    assert_eq!(error.kind(), ErrorKind::Record);
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (0, 0), "refused before any put");

    fixture.aws.kinesis().create_stream(THERE, "records", large);
    assert!(pusher.put_record(of_size(2 << 20)).await.unwrap().is_delivered());
    assert!(pusher.put_record(of_size(3 << 20)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_asked_for_their_limit_only_if_it_matters() {
    let fixture = Fixture::new().await;
    let describe = Operation::DescribeStreamSummary;
    fixture.aws.faults().inject(Rule::new(Fault::Throttle).operation(describe));
    let pusher = fixture.pusher().await;
    assert!(pusher.put_record(of_size(1_000_000)).await.unwrap().is_delivered());
    assert_eq!(fixture.aws.faults().calls(HERE, describe).calls, 0);
    let error = pusher.put_record(of_size(1 << 20)).await.unwrap_err();
    assert!(matches!(error, PushError::UnknownLimit { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Retryable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_without_the_tables_key_is_refused_before_encryption() {
    let fixture = Fixture::new().await;
    let pusher = fixture.build(fixture.builder().require_key("id:S".parse().unwrap())).await;
    for bad in [record(&json!({ "noid": 1 })), record(&json!({ "id": 1 })), of_size(500_000)] {
        let error = pusher.put_record(bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Record, "{error}");
    }
    assert_eq!(fixture.aws.faults().calls(HERE, Operation::GenerateDataKey).calls, 0);
    assert!(pusher.put_record(record(&json!({ "id": "1" }))).await.unwrap().is_delivered());
}
