//! Clients of the AWS SDK, and plain HTTP where it is enough, against the fake.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod clock;
mod dynamodb;
mod faults;
mod http;
mod kinesis;
mod kms;
mod network;
mod program;
mod reading;
mod runtime_api;
mod s3;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use fake_aws::FakeAws;

const REGION: &str = "eu-west-1";
const OTHER_REGION: &str = "us-east-1";

/// Without retries, so that a test sees each answer.
fn config(aws: &FakeAws, region: &'static str) -> SdkConfig {
    let credentials = Credentials::new("AKID", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(aws.url())
        .region(Region::new(region))
        .retry_config(RetryConfig::disabled())
        .build()
}

#[tokio::test]
async fn a_request_that_is_not_signed_is_refused() {
    let aws = FakeAws::start().await.unwrap();
    let answer = http::send(aws.url(), "GET", "/bucket/key", &[], b"").await;
    assert_eq!(answer.status, 403);
}
