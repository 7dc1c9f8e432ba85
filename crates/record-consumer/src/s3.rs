//! The quarantine in an S3 bucket.

use std::str::FromStr;

use aws_config::SdkConfig;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use futures::future::{BoxFuture, FutureExt};

use crate::failure::NotStored;
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

/// A text that is no name of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "give the name of an S3 bucket, without s3://: 3 to 63 lower-case letters, digits, '.' and \
     '-', with a letter or digit at both ends"
)]
pub struct InvalidBucketName;

/// A quarantine in an S3 bucket.
#[derive(Debug, Clone)]
pub struct S3Quarantine {
    client: aws_sdk_s3::Client,
    name: String,
}

impl S3Quarantine {
    /// Creates a client of the bucket. Makes no AWS calls.
    #[must_use]
    pub fn new(config: &SdkConfig, name: &BucketName) -> Self {
        // S3 has a host name for each bucket. Another server that AWS_ENDPOINT_URL names, such as a
        // local AWS, has one host name only, and so the bucket goes into the path.
        let has_own_endpoint = config.endpoint_url().is_some();
        let config = Builder::from(config).force_path_style(has_own_endpoint).build();
        Self { client: aws_sdk_s3::Client::from_conf(config), name: name.0.clone() }
    }
}

impl Quarantine for S3Quarantine {
    fn store(&self, key: String, document: Vec<u8>) -> BoxFuture<'_, Result<(), NotStored>> {
        let request = self.client.put_object().bucket(&self.name).key(key);
        let request = request.content_type("application/json").body(ByteStream::from(document));
        let stored = async { request.send().await.map(drop).map_err(|error| not_stored(&error)) };
        stored.boxed()
    }
}

fn not_stored<E: ProvideErrorMetadata>(error: &SdkError<E>) -> NotStored {
    let code = match error {
        SdkError::TimeoutError(_) => "S3 did not answer in time",
        SdkError::DispatchFailure(_) => "S3 could not be reached",
        SdkError::ServiceError(answer) => answer.err().code().unwrap_or("unknown error"),
        _ => "S3's answer could not be read",
    };
    NotStored(code.to_owned())
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
