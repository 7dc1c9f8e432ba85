use std::time::Duration;

use aws_sdk_kinesis::operation::put_records::{PutRecordsError, PutRecordsOutput};
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::generate_data_key::GenerateDataKeyError;
use fake_aws::{FakeAws, Fault, Operation, Rule, Service, StreamSettings};

use crate::kinesis::entry;
use crate::{OTHER_REGION, REGION, config, dynamodb, http};

const STREAM: &str = "records";

async fn start() -> (FakeAws, aws_sdk_kinesis::Client) {
    let aws = FakeAws::start().await.unwrap();
    aws.kinesis().create_stream(REGION, STREAM, StreamSettings::default());
    let client = aws_sdk_kinesis::Client::new(&config(&aws, REGION));
    (aws, client)
}

async fn put(
    client: &aws_sdk_kinesis::Client,
    records: usize,
) -> Result<PutRecordsOutput, SdkError<PutRecordsError>> {
    let entries = vec![entry("a", "x"); records];
    client.put_records().stream_name(STREAM).set_records(Some(entries)).send().await
}

async fn data_key(aws: &FakeAws, region: &'static str) -> Result<(), GenerateDataKeyError> {
    let client = aws_sdk_kms::Client::new(&config(aws, region));
    let request = client.generate_data_key().key_id("alias/records").number_of_bytes(32);
    request.send().await.map(drop).map_err(SdkError::into_service_error)
}

#[tokio::test]
async fn kinesis_errors_are_the_modelled_ones() {
    let (aws, client) = start().await;
    aws.faults().inject(Rule::new(Fault::Throttle).times(1));
    let error = put(&client, 1).await.unwrap_err().into_service_error();
    assert!(error.is_provisioned_throughput_exceeded_exception());

    aws.faults().inject(Rule::new(Fault::InternalError).times(1));
    let error = put(&client, 1).await.unwrap_err().into_service_error();
    assert!(error.is_internal_failure_exception());

    aws.faults().inject(Rule::new(Fault::Unavailable).times(1));
    let error = put(&client, 1).await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 503);
    assert_eq!(error.code(), Some("ServiceUnavailable"));
}

#[tokio::test]
async fn kms_errors_are_the_modelled_ones() {
    let aws = FakeAws::start().await.unwrap();
    aws.faults().inject(Rule::new(Fault::Throttle).times(1));
    let error = data_key(&aws, REGION).await.unwrap_err();
    assert_eq!(error.code(), Some("ThrottlingException"));
    aws.faults().inject(Rule::new(Fault::InternalError).times(1));
    assert!(data_key(&aws, REGION).await.unwrap_err().is_kms_internal_exception());
    aws.faults().inject(Rule::new(Fault::Unavailable).times(1));
    assert!(data_key(&aws, REGION).await.unwrap_err().is_dependency_timeout_exception());
}

#[tokio::test]
async fn dynamodb_errors_are_the_modelled_ones() {
    let (aws, client) = dynamodb::start().await;
    let write = || client.batch_write_item().request_items("messages", vec![dynamodb::put("a")]);
    aws.faults().inject(Rule::new(Fault::Throttle).times(1));
    let error = write().send().await.unwrap_err().into_service_error();
    assert!(error.is_throttling_exception());
    aws.faults().inject(Rule::new(Fault::InternalError).times(1));
    let error = write().send().await.unwrap_err().into_service_error();
    assert!(error.is_internal_server_error());
}

#[tokio::test]
async fn credentials_expire_by_their_access_key() {
    let (aws, client) = start().await;
    aws.faults().inject(Rule::new(Fault::ExpiredToken).access_key("another"));
    put(&client, 1).await.unwrap();
    aws.faults().inject(Rule::new(Fault::ExpiredToken).access_key("AKID"));
    assert_eq!(put(&client, 1).await.unwrap_err().code(), Some("ExpiredTokenException"));
    assert_eq!(data_key(&aws, REGION).await.unwrap_err().code(), Some("ExpiredTokenException"));
}

#[tokio::test]
async fn access_is_denied_before_the_operation() {
    let (aws, client) = start().await;
    aws.faults().inject(Rule::new(Fault::AccessDenied).times(1));
    let error = put(&client, 1).await.unwrap_err().into_service_error();
    assert!(error.is_access_denied_exception());
    assert_eq!(aws.kinesis().totals(REGION, STREAM).records, 0);
}

#[tokio::test]
async fn a_reset_comes_before_the_operation() {
    let (aws, client) = start().await;
    aws.faults().inject(Rule::new(Fault::Reset).times(1));
    let error = put(&client, 1).await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    assert_eq!(aws.kinesis().totals(REGION, STREAM).records, 0);
    assert!(put(&client, 1).await.is_ok());
}

#[tokio::test]
async fn a_reset_is_one_of_tcp() {
    let aws = FakeAws::start().await.unwrap();
    aws.faults().inject(Rule::new(Fault::Reset));
    let error = http::exchange(aws.url(), "GET", "/bucket/key", &[http::SIGNED], b"").await;
    assert_eq!(error.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn an_answer_is_lost_after_the_operation() {
    let (aws, client) = start().await;
    aws.faults().inject(Rule::new(Fault::AnswerLost).times(1));
    let error = put(&client, 1).await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    assert_eq!(aws.kinesis().totals(REGION, STREAM).records, 1);
}

#[tokio::test]
async fn a_call_hangs_until_the_fake_is_dropped() {
    let (aws, client) = start().await;
    aws.faults().inject(Rule::new(Fault::Hang));
    let (answer, ()) = tokio::join!(put(&client, 1), async {
        while aws.faults().calls(REGION, Operation::PutRecords).faults == 0 {
            tokio::task::yield_now().await;
        }
        drop(aws);
    });
    let error = answer.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
}

#[tokio::test]
async fn each_second_record_fails_on_its_own() {
    let (aws, client) = start().await;
    aws.faults().inject(Rule::new(Fault::Partial { every: 2 }));
    let output = put(&client, 5).await.unwrap();
    let codes: Vec<_> = output.records.iter().map(|record| record.error_code.is_some()).collect();
    assert_eq!(codes, [false, true, false, true, false]);
    assert_eq!(output.failed_record_count, Some(2));
    let code = output.records[1].error_code.as_deref();
    assert_eq!(code, Some("ProvisionedThroughputExceededException"));
    assert_eq!(aws.kinesis().totals(REGION, STREAM).records, 3);
}

#[tokio::test]
async fn each_second_item_is_left_unprocessed() {
    let (aws, client) = dynamodb::start().await;
    aws.faults().inject(Rule::new(Fault::Partial { every: 2 }));
    let writes = ["a", "b", "c"].map(dynamodb::put).to_vec();
    let request = client.batch_write_item().request_items("messages", writes);
    let unprocessed = request.send().await.unwrap().unprocessed_items.unwrap();
    assert_eq!(unprocessed["messages"], [dynamodb::put("b")]);
    assert_eq!(aws.dynamodb().items(REGION, "messages").len(), 2);
}

#[tokio::test]
async fn each_second_key_is_left_unread() {
    let (aws, client) = dynamodb::start().await;
    aws.faults().inject(Rule::new(Fault::Partial { every: 2 }).times(1));
    let keys = dynamodb::read(&["a", "b", "c"]);
    let output = client.batch_get_item().request_items("messages", keys).send().await.unwrap();
    let unprocessed = output.unprocessed_keys.unwrap();
    assert_eq!(unprocessed["messages"].keys, dynamodb::read(&["b"]).keys);
}

#[tokio::test]
async fn partial_failure_is_kept_for_calls_that_have_parts() {
    let aws = FakeAws::start().await.unwrap();
    aws.faults().inject(Rule::new(Fault::Partial { every: 1 }).times(1));
    data_key(&aws, REGION).await.unwrap();
    assert_eq!(aws.faults().calls(REGION, Operation::GenerateDataKey).faults, 0);
}

#[tokio::test]
async fn an_outage_is_of_one_service_in_one_region_until_it_is_lifted() {
    let (aws, kinesis) = start().await;
    let outage = Rule::new(Fault::Unavailable).service(Service::Kms).region(REGION);
    let outage = aws.faults().inject(outage);
    for _ in 0..3 {
        assert!(data_key(&aws, REGION).await.is_err());
    }
    data_key(&aws, OTHER_REGION).await.unwrap();
    put(&kinesis, 1).await.unwrap();

    aws.faults().lift(outage);
    data_key(&aws, REGION).await.unwrap();
    let calls = aws.faults().calls(REGION, Operation::GenerateDataKey);
    assert_eq!((calls.calls, calls.faults), (4, 3));
}

#[tokio::test]
async fn the_oldest_rule_goes_first() {
    let (aws, client) = start().await;
    aws.faults().inject(Rule::new(Fault::Throttle).times(1));
    aws.faults().inject(Rule::new(Fault::InternalError).times(1));
    let first = put(&client, 1).await.unwrap_err().into_service_error();
    assert!(first.is_provisioned_throughput_exceeded_exception());
    let second = put(&client, 1).await.unwrap_err().into_service_error();
    assert!(second.is_internal_failure_exception());
    assert!(put(&client, 1).await.is_ok());
}

#[tokio::test]
async fn a_seed_chooses_the_same_calls_again() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (aws, client) = start().await;
        aws.faults().inject(Rule::new(Fault::Throttle).chance(0.3, 7));
        let mut failed = Vec::new();
        for _ in 0..50 {
            failed.push(put(&client, 1).await.is_err());
        }
        runs.push(failed);
    }
    assert_eq!(runs[0], runs[1]);
    let failed = runs[0].iter().filter(|failed| **failed).count();
    assert!((5..=25).contains(&failed), "{failed} of 50");
}

#[tokio::test]
async fn a_client_with_retries_gets_over_a_reset() {
    let (aws, _) = start().await;
    aws.faults().inject(Rule::new(Fault::Reset).times(1));
    let retries = aws_config::retry::RetryConfig::standard()
        .with_initial_backoff(Duration::ZERO)
        .with_max_attempts(2);
    let config = config(&aws, REGION).into_builder().retry_config(retries).build();
    put(&aws_sdk_kinesis::Client::new(&config), 1).await.unwrap();
    assert_eq!(aws.faults().calls(REGION, Operation::PutRecords).calls, 2);
}
