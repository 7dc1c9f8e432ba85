//! The quarantine in an S3 bucket.

use std::str::FromStr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_outcome::{Failure, Service};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::primitives::ByteStream;
use futures::future::{BoxFuture, FutureExt};

use crate::quarantine::Quarantine;

/// The name of an S3 bucket: 3 to 63 of `a-z 0-9 . -`.
///
/// Source: Amazon S3 user guide, bucket naming rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketName(String);

impl FromStr for BucketName {
    type Err = InvalidBucketName;

    fn from_str(name: &str) -> Result<Self, InvalidBucketName> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let allowed = |byte: u8| letter(byte) || b".-".contains(&byte);
        let bytes = name.as_bytes();
        let ends_are_letters =
            [bytes.first(), bytes.last()].iter().all(|end| end.is_some_and(|byte| letter(*byte)));
        match (3..=63).contains(&name.len()) && name.bytes().all(allowed) && ends_are_letters {
            true => Ok(Self(name.to_owned())),
            false => Err(InvalidBucketName),
        }
    }
}

/// Text that is not the name of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "give the name of an S3 bucket, without s3://: 3 to 63 lower-case letters, digits, '.' and \
     '-', with a letter or digit at both ends"
)]
pub struct InvalidBucketName;

/// A quarantine in an S3 bucket.
#[derive(Debug, Clone)]
pub struct S3Quarantine {
    client: Client,
    name: String,
}

impl S3Quarantine {
    /// Creates a client of the bucket. Makes no AWS calls.
    ///
    /// S3 has a host name for each bucket. If `config` names an endpoint of its own, such as that of a
    /// local AWS, the bucket goes into the path instead.
    #[must_use]
    pub fn new(config: &SdkConfig, name: &BucketName) -> Self {
        let client = client(config, config.endpoint_url().is_some());
        Self { client, name: name.0.clone() }
    }

    /// The same for an endpoint that `config` has for S3 alone (`AWS_ENDPOINT_URL_S3`).
    #[must_use]
    pub fn with_path_style(config: &SdkConfig, name: &BucketName) -> Self {
        Self { client: client(config, true), name: name.0.clone() }
    }
}

fn client(config: &SdkConfig, force_path_style: bool) -> Client {
    // The consumer repeats requests itself. The SDK's one retry corrects the clock.
    let retries = RetryConfig::standard()
        .with_max_attempts(2)
        .with_initial_backoff(Duration::from_millis(20));
    let config = Builder::from(config).force_path_style(force_path_style).retry_config(retries);
    Client::from_conf(config.build())
}

impl Quarantine for S3Quarantine {
    fn store(&self, key: String, document: Vec<u8>) -> BoxFuture<'_, Result<(), Failure>> {
        let request = self.client.put_object().bucket(&self.name).key(key);
        let request = request.content_type("application/json").body(ByteStream::from(document));
        let stored = async {
            let output = request.send().await;
            output.map(drop).map_err(|error| Failure::new(Service::S3, &error))
        };
        stored.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_have_the_names_that_s3_allows() {
        for name in ["abc", "quarantine.records-1", &"a".repeat(63)] {
            assert!(name.parse::<BucketName>().is_ok(), "{name}");
        }
        for name in ["", "ab", &"a".repeat(64), "Records", "s3://abc", "a_c", "-abc", "abc."] {
            assert_eq!(name.parse::<BucketName>(), Err(InvalidBucketName), "{name}");
        }
    }
}
