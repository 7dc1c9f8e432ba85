//! The stream of one Region, behind the two calls that a pusher makes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_outcome::{Cause, Class, Failure, Service};
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use aws_smithy_types::Blob;
use futures::future::BoxFuture;
use record_cipher::{ErrorKind, RegionName, StreamName};

use crate::entry::Entry;
use crate::outcome::Delivery;

/// Time for the small calls. Requests with entries have a limit by their size.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// Result of one entry in one attempt.
pub(crate) type AttemptResult = Result<Delivery, AttemptError>;

/// Reason why an entry, or a whole request, was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptError {
    /// The error code of AWS, or a name of this crate.
    pub(crate) code: String,
    /// The cause in words.
    pub(crate) reason: String,
    /// `None` for an error of this crate.
    pub(crate) cause: Option<Cause>,
    pub(crate) kind: ErrorKind,
}

impl AttemptError {
    pub(crate) fn is_throttling(&self) -> bool {
        self.cause == Some(Cause::Throttled)
    }

    pub(crate) fn is_timeout(&self) -> bool {
        self.cause == Some(Cause::Timeout)
    }

    /// Kinesis answered, but not for every entry.
    pub(crate) fn invalid_response() -> Self {
        Self {
            code: "InvalidResponse".to_owned(),
            reason: "the response of Kinesis is incomplete".to_owned(),
            cause: None,
            kind: ErrorKind::Retryable,
        }
    }

    pub(crate) fn expired() -> Self {
        Self {
            code: "Expired".to_owned(),
            reason: "the delivery timeout passed before the first attempt".to_owned(),
            cause: None,
            kind: ErrorKind::Retryable,
        }
    }

    pub(crate) fn silent() -> Self {
        Self {
            code: "Silent".to_owned(),
            reason: "the Region acknowledges nothing, and others need the memory".to_owned(),
            cause: None,
            kind: ErrorKind::Retryable,
        }
    }

    pub(crate) fn stopped() -> Self {
        Self {
            code: "Stopped".to_owned(),
            reason: "the pusher was stopped".to_owned(),
            cause: None,
            kind: ErrorKind::Retryable,
        }
    }
}

impl From<Failure> for AttemptError {
    fn from(failure: Failure) -> Self {
        let cause = failure.cause();
        let text = failure.to_string();
        let (code, reason) = match failure.code() {
            Some(code) => {
                (code.to_owned(), text.trim_end_matches(&format!(" ({code})")).to_owned())
            }
            None => (format!("{cause:?}").split('(').next().unwrap_or_default().to_owned(), text),
        };
        let kind = match failure.class() {
            Class::Retryable => ErrorKind::Retryable,
            Class::Operator => ErrorKind::Operator,
            Class::Request => ErrorKind::Record,
        };
        Self { code, reason, cause: Some(cause), kind }
    }
}

/// What a pusher asks of a stream.
pub(crate) trait StreamApi: Send + Sync + fmt::Debug {
    /// Puts the entries of one request within a time limit, and returns a result for each.
    fn put_records(
        &self,
        entries: Vec<Arc<Entry>>,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Vec<AttemptResult>, AttemptError>>;

    /// Returns the maximum bytes of a record in the stream, its partition key included.
    fn record_limit(&self) -> BoxFuture<'_, Result<usize, AttemptError>>;
}

/// A stream of Kinesis.
#[derive(Debug)]
pub(crate) struct Kinesis {
    client: aws_sdk_kinesis::Client,
    stream: StreamName,
}

impl Kinesis {
    /// The client does not retry: the batcher retries single entries until their deadline. From each
    /// response the client learns how far this machine's clock is off, so the next request is signed
    /// with the right time.
    pub(crate) fn new(config: &SdkConfig, region: &RegionName, stream: StreamName) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(CALL_TIMEOUT).build();
        let config = aws_sdk_kinesis::config::Builder::from(config)
            .region(Region::new(region.to_string()))
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self { client: aws_sdk_kinesis::Client::from_conf(config), stream }
    }
}

impl StreamApi for Kinesis {
    fn put_records(
        &self,
        entries: Vec<Arc<Entry>>,
        limit: Duration,
    ) -> BoxFuture<'_, Result<Vec<AttemptResult>, AttemptError>> {
        Box::pin(async move {
            let entries = entries.iter().map(|entry| request_entry(entry)).collect();
            let request = self.client.put_records().stream_name(self.stream.as_str());
            // The client's own timeout, because it then leaves the connection.
            let timeouts = TimeoutConfig::builder().operation_attempt_timeout(limit).build();
            let timeouts = aws_sdk_kinesis::config::Builder::new().timeout_config(timeouts);
            let request = request.set_records(Some(entries)).customize();
            let output = request.config_override(timeouts).send().await;
            let output = output.map_err(|error| Failure::new(Service::Kinesis, &error))?;
            Ok(output.records.into_iter().map(result_entry).collect())
        })
    }

    fn record_limit(&self) -> BoxFuture<'_, Result<usize, AttemptError>> {
        Box::pin(async {
            let request = self.client.describe_stream_summary().stream_name(self.stream.as_str());
            let output =
                request.send().await.map_err(|error| Failure::new(Service::Kinesis, &error))?;
            let summary =
                output.stream_description_summary.ok_or_else(AttemptError::invalid_response)?;
            let kib = summary.max_record_size_in_kib.and_then(|kib| usize::try_from(kib).ok());
            Ok(kib.map_or(DEFAULT_RECORD_LIMIT, |kib| kib << 10))
        })
    }
}

/// Maximum bytes of a record in every stream. A stream can be set to accept more, and none accepts
/// less ("Quotas and limits", Kinesis Data Streams developer guide).
pub(crate) const DEFAULT_RECORD_LIMIT: usize = 1 << 20;

fn request_entry(entry: &Entry) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(&entry.partition_key)
        .data(Blob::new(entry.data.as_slice()))
        .build()
        .expect("an entry with a partition key and data is complete")
}

fn result_entry(entry: PutRecordsResultEntry) -> AttemptResult {
    match entry {
        PutRecordsResultEntry {
            shard_id: Some(shard_id),
            sequence_number: Some(sequence_number),
            error_code: None,
            ..
        } => Ok(Delivery { shard_id, sequence_number }),
        PutRecordsResultEntry { error_code: Some(code), .. } => {
            Err(Failure::from_code(Service::Kinesis, &code).into())
        }
        _ => Err(AttemptError::invalid_response()),
    }
}
