//! The quarantine's bucket.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_outcome::{Cause, Failure, Service};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;

use super::document::{Content, Document};

/// Time for S3 to begin its answer. The SDK watches the transfer of a body itself.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts to read a document whose transfer breaks off. The SDK retries only what comes before it.
const READ_ATTEMPTS: u32 = 3;

/// The documents of a bucket.
pub(super) struct Quarantine {
    client: Client,
    bucket: String,
}

/// Why a document could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// A concurrent redrive or the bucket's lifecycle has deleted it.
    #[error("it is gone")]
    Gone,
    /// It is neither a record nor a batch.
    #[error("it is not a document of the quarantine")]
    Malformed,
    #[error("it could not be read: {0}")]
    Failed(Failure),
}

impl Quarantine {
    pub(super) fn new(config: &SdkConfig, bucket: &str) -> Self {
        // A local AWS has one host name for all buckets.
        let has_own_endpoint = config.endpoint_url().is_some();
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let config = Builder::from(config)
            .force_path_style(has_own_endpoint)
            .timeout_config(timeouts)
            .build();
        Self { client: Client::from_conf(config), bucket: bucket.to_owned() }
    }

    /// Lists the keys that begin with a prefix.
    pub(super) async fn keys(&self, prefix: &str) -> Result<Vec<String>, Failure> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let mut pages = request.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Failure::new(Service::S3, &error))?;
            keys.extend(
                page.contents.unwrap_or_default().into_iter().filter_map(|entry| entry.key),
            );
        }
        Ok(keys)
    }

    pub(super) async fn read(&self, key: &str) -> Result<Document, ReadError> {
        let mut attempt = 1;
        loop {
            match self.read_once(key).await {
                Err(ReadError::Failed(failure))
                    if failure.cause() == Cause::Connection && attempt < READ_ATTEMPTS =>
                {
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    async fn read_once(&self, key: &str) -> Result<Document, ReadError> {
        let request = self.client.get_object().bucket(&self.bucket).key(key);
        let object = request.send().await.map_err(|error| {
            let failure = Failure::new(Service::S3, &error);
            if failure.code() == Some("NoSuchKey") {
                ReadError::Gone
            } else {
                ReadError::Failed(failure)
            }
        })?;
        let etag = object.e_tag.unwrap_or_default();
        let body = object.body.collect().await;
        let body = body.map_err(|_| ReadError::Failed(Cause::Connection.into()))?.into_bytes();
        let content = Content::parse(&body).ok_or(ReadError::Malformed)?;
        Ok(Document { key: key.to_owned(), etag, content })
    }

    /// Deletes a document. Returns `false` if another one is stored under its key by now: the consumer
    /// has stored the record again. S3 compares and deletes in one step, so that is never lost.
    pub(super) async fn delete(&self, document: &Document) -> Result<bool, Failure> {
        let request = self.client.delete_object().bucket(&self.bucket).key(&document.key);
        let deleted = request.if_match(&document.etag).send().await;
        let Err(error) = deleted else { return Ok(true) };
        let failure = Failure::new(Service::S3, &error);
        match failure.code() {
            Some("NoSuchKey") => Ok(true),
            // S3 answers the second one while the other document is being stored.
            Some("PreconditionFailed" | "ConditionalRequestConflict") => Ok(false),
            _ => Err(failure),
        }
    }
}
