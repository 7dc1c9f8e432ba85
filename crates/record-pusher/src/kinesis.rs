//! The stream of one Region, behind the two calls that a pusher makes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use aws_smithy_types::Blob;
use futures::future::BoxFuture;
use record_cipher::{ErrorKind, RegionName, StreamName};

use crate::outcome::Delivery;

/// How long one request may take. An entry is sent again until its own time is up, so that the
/// client repeats nothing by itself.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// An encrypted record, the same for every Region.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) partition_key: String,
    /// Whether no other entry has the partition key, so that its order does not matter.
    pub(crate) is_alone: bool,
    pub(crate) data: Vec<u8>,
}

impl Entry {
    /// The size that Kinesis's limits are about.
    pub(crate) fn size(&self) -> usize {
        self.partition_key.len() + self.data.len()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// What became of one entry in one try.
pub(crate) type TryResult = Result<Delivery, TryError>;

/// Why an entry, or a whole request, was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TryError {
    pub(crate) code: String,
    pub(crate) message: Option<String>,
    pub(crate) kind: ErrorKind,
}

impl TryError {
    /// Whether the stream is asked to take more than it can.
    pub(crate) fn is_throttling(&self) -> bool {
        self.code == "ProvisionedThroughputExceededException"
            || self.code == "LimitExceededException"
            || self.code.contains("Throttl")
    }

    /// Kinesis has not answered for an entry.
    pub(crate) fn no_answer() -> Self {
        Self { code: "NoAnswer".into(), message: None, kind: ErrorKind::Retryable }
    }
}

/// What a pusher asks of a stream.
pub(crate) trait StreamApi: Send + Sync + fmt::Debug {
    /// Puts the entries of one request, and gives a result for each.
    fn put_records(
        &self,
        entries: Vec<Arc<Entry>>,
    ) -> BoxFuture<'_, Result<Vec<TryResult>, TryError>>;

    /// Bytes that a record of the stream may have, its partition key counted.
    fn record_limit(&self) -> BoxFuture<'_, Result<usize, TryError>>;
}

/// A stream of Kinesis.
#[derive(Debug)]
pub(crate) struct Kinesis {
    client: aws_sdk_kinesis::Client,
    stream: StreamName,
}

impl Kinesis {
    pub(crate) fn new(config: &SdkConfig, region: &RegionName, stream: StreamName) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(REQUEST_TIMEOUT).build();
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
    ) -> BoxFuture<'_, Result<Vec<TryResult>, TryError>> {
        Box::pin(async move {
            let entries = entries.iter().map(|entry| request_entry(entry)).collect();
            let request = self.client.put_records().stream_name(self.stream.as_str());
            let output = request.set_records(Some(entries)).send().await;
            let output = output.map_err(|error| request_error(&error))?;
            Ok(output.records.into_iter().map(result_entry).collect())
        })
    }

    fn record_limit(&self) -> BoxFuture<'_, Result<usize, TryError>> {
        Box::pin(async {
            let request = self.client.describe_stream_summary().stream_name(self.stream.as_str());
            let output = request.send().await.map_err(|error| request_error(&error))?;
            let summary = output.stream_description_summary.ok_or_else(TryError::no_answer)?;
            let kib = summary.max_record_size_in_kib.and_then(|kib| usize::try_from(kib).ok());
            Ok(kib.map_or(DEFAULT_RECORD_LIMIT, |kib| kib << 10))
        })
    }
}

/// Bytes that a record of every stream may have. Streams can be set to take more, none takes less
/// ("Quotas and limits" of the Kinesis Data Streams developer guide).
pub(crate) const DEFAULT_RECORD_LIMIT: usize = 1 << 20;

fn request_entry(entry: &Entry) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(&entry.partition_key)
        .data(Blob::new(entry.data.as_slice()))
        .build()
        .expect("an entry with a partition key and data is complete")
}

fn result_entry(entry: PutRecordsResultEntry) -> TryResult {
    match entry {
        PutRecordsResultEntry {
            shard_id: Some(shard_id),
            sequence_number: Some(sequence_number),
            error_code: None,
            ..
        } => Ok(Delivery { shard_id, sequence_number }),
        // Kinesis fails single entries for throughput and internal trouble only.
        PutRecordsResultEntry { error_code: Some(code), error_message: message, .. } => {
            Err(TryError { code, message, kind: ErrorKind::Retryable })
        }
        _ => Err(TryError::no_answer()),
    }
}

/// Of a request that failed as a whole.
fn request_error<E: ProvideErrorMetadata>(error: &SdkError<E>) -> TryError {
    let code = match error {
        SdkError::TimeoutError(_) => "Timeout",
        SdkError::DispatchFailure(_) => "Unreachable",
        SdkError::ServiceError(error) => error.err().code().unwrap_or("NoAnswer"),
        _ => "NoAnswer",
    };
    let message = error.message().map(str::to_owned);
    let mut failure = TryError { code: code.to_owned(), message, kind: ErrorKind::Retryable };
    let is_our_fault =
        matches!(error, SdkError::ServiceError(error) if error.raw().status().is_client_error());
    if is_our_fault && !failure.is_throttling() {
        failure.kind = ErrorKind::Record;
    }
    failure
}
