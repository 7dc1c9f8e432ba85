use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_sdk_kms::error::ProvideErrorMetadata;
use fake_aws::FakeAws;

use crate::{REGION, config, http};

/// How KMS refuses a request at this skew of the server's clock.
async fn refusal(skew: i64) -> Option<String> {
    let aws = FakeAws::start().await.unwrap();
    aws.skew_clock(skew);
    let client = aws_sdk_kms::Client::new(&config(&aws, REGION));
    let error = client.describe_key().key_id("alias/records").send().await.err()?;
    assert_eq!(error.code(), Some("InvalidSignatureException"));
    error.message().map(str::to_owned)
}

#[tokio::test]
async fn a_request_is_refused_beyond_five_minutes() {
    for skew in [-240, 0, 240] {
        assert_eq!(refusal(skew).await, None);
    }
    let expired = refusal(360).await.unwrap();
    assert!(expired.starts_with("Signature expired: 20") && expired.ends_with(" - 5 min.)"));
    let early = refusal(-360).await.unwrap();
    assert!(early.starts_with("Signature not yet current: 20") && early.ends_with(" + 5 min.)"));
}

#[tokio::test]
async fn an_sdk_with_retries_takes_the_time_from_the_answer() {
    for skew in [-900, 900, 100_000_000] {
        let aws = FakeAws::start().await.unwrap();
        aws.skew_clock(skew);
        let retries =
            RetryConfig::standard().with_initial_backoff(Duration::ZERO).with_max_attempts(2);
        let config = config(&aws, REGION).into_builder().retry_config(retries).build();
        let client = aws_sdk_kms::Client::new(&config);
        client.describe_key().key_id("alias/records").send().await.unwrap();
    }
}

#[tokio::test]
async fn s3_and_lambda_have_errors_of_their_own() {
    let aws = FakeAws::start().await.unwrap();
    let signed = ("x-amz-date", "20200101T000000Z");
    let answer = http::send(aws.url(), "GET", "/bucket/key", &[http::SIGNED, signed], b"").await;
    assert_eq!(answer.status, 403);
    assert!(answer.body.contains("<Code>RequestTimeTooSkewed</Code>"), "{}", answer.body);
    assert!(answer.headers["date"].ends_with(" GMT"));

    let lambda = ("authorization", "Credential=AKID/20200101/eu-west-1/lambda/aws4_request");
    let path = "/2015-03-31/functions/f/configuration";
    let answer = http::send(aws.url(), "GET", path, &[lambda, signed], b"").await;
    assert_eq!((answer.status, answer.body.contains("InvalidSignatureException")), (403, true));
}
