//! A Kinesis stream, behind the calls that read it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_outcome::{Cause, Failure, Service};
use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types::{
    self, EncryptionType, ShardFilter, ShardFilterType, ShardIteratorType,
};
use aws_smithy_types::DateTime;
use futures::future::BoxFuture;
use record_cipher::StreamName;

use crate::aws_failure::with_profile;

/// Time limit of an attempt. The SDK retries after it.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);

/// A position in a shard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Position {
    /// After the newest record.
    Latest {
        /// Time at which the newest record was meant.
        now: DateTime,
    },
    /// At the oldest record.
    TrimHorizon,
    /// At the first record that arrived at this time or later.
    At(DateTime),
    /// After the record with this sequence number.
    After(String),
}

impl Position {
    /// Returns the position for a new iterator after one has expired that found no record. Records
    /// put since then are newer than the newest record meant.
    pub(crate) fn renewed(self) -> Self {
        match self {
            Self::Latest { now } => Self::At(now),
            other => other,
        }
    }

    /// Returns the position in the child shards of a shard.
    pub(crate) fn in_children(&self) -> Self {
        match self {
            Self::Latest { .. } => Self::TrimHorizon,
            other => other.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) id: String,
    /// Shards that it was split or merged from, whether the stream still has them or not.
    pub(crate) parents: Vec<String>,
}

#[derive(Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) sequence_number: String,
    pub(crate) arrival: Option<DateTime>,
    pub(crate) partition_key: String,
    /// Whether Kinesis encrypts the stream at rest, if it says so.
    pub(crate) encryption: Option<EncryptionType>,
    pub(crate) data: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("sequence_number", &self.sequence_number)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// Records of a shard that one `GetRecords` returned.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    /// Whether the shard had no newer records.
    pub(crate) is_last: bool,
    /// Iterator of the next page; `None` at the end of a closed shard.
    pub(crate) next: Option<String>,
    /// Child shards, at the end of a closed shard.
    pub(crate) children: Vec<Shard>,
}

/// Why a call returned nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The iterator is older than five minutes.
    Expired,
    /// Kinesis failed or refused the call.
    Failed(Failure),
}

/// The calls that read a stream.
pub(crate) trait StreamApi: Send + Sync + fmt::Debug {
    /// Lists the shards with records from this position on.
    fn shards(&self, from: Position) -> BoxFuture<'_, Result<Vec<Shard>, ReadError>>;

    /// Returns an iterator for a position in a shard.
    fn iterator<'a>(
        &'a self,
        shard: &'a str,
        position: Position,
    ) -> BoxFuture<'a, Result<String, ReadError>>;

    /// Returns the records at an iterator.
    fn records(&self, iterator: String) -> BoxFuture<'_, Result<Page, ReadError>>;
}

/// A stream, read through the AWS SDK.
#[derive(Debug)]
pub(crate) struct Kinesis {
    client: aws_sdk_kinesis::Client,
    stream: StreamName,
}

impl Kinesis {
    pub(crate) fn new(config: &SdkConfig, stream: StreamName) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
        let config =
            aws_sdk_kinesis::config::Builder::from(config).timeout_config(timeouts).build();
        Self { client: aws_sdk_kinesis::Client::from_conf(config), stream }
    }

    /// Returns the stream's ARN.
    pub(crate) async fn arn(&self) -> Result<String, Failure> {
        let request = self.client.describe_stream_summary().stream_name(self.stream.as_str());
        let output = request.send().await.map_err(|error| failure(&error))?;
        let summary = output.stream_description_summary;
        summary.map(|summary| summary.stream_arn).ok_or_else(|| Cause::NotAws.into())
    }
}

impl StreamApi for Kinesis {
    fn shards(&self, from: Position) -> BoxFuture<'_, Result<Vec<Shard>, ReadError>> {
        Box::pin(async move {
            let first = self.client.list_shards().stream_name(self.stream.as_str());
            let mut request = first.shard_filter(shard_filter(&from));
            let mut shards = Vec::new();
            loop {
                let output = request.send().await.map_err(|error| read_error(&error))?;
                shards.extend(output.shards.into_iter().flatten().map(Shard::from));
                let Some(token) = output.next_token else { return Ok(shards) };
                // The token implies the stream and the filter, which must not be sent beside it.
                request = self.client.list_shards().next_token(token);
            }
        })
    }

    fn iterator<'a>(
        &'a self,
        shard: &'a str,
        position: Position,
    ) -> BoxFuture<'a, Result<String, ReadError>> {
        Box::pin(async move {
            let request = self.client.get_shard_iterator().stream_name(self.stream.as_str());
            let request = request.shard_id(shard);
            let request = match position {
                Position::Latest { .. } => request.shard_iterator_type(ShardIteratorType::Latest),
                Position::TrimHorizon => {
                    request.shard_iterator_type(ShardIteratorType::TrimHorizon)
                }
                Position::At(time) => {
                    request.shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(time)
                }
                Position::After(number) => request
                    .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
                    .starting_sequence_number(number),
            };
            let output = request.send().await.map_err(|error| read_error(&error))?;
            output.shard_iterator.ok_or_else(|| ReadError::Failed(Cause::NotAws.into()))
        })
    }

    fn records(&self, iterator: String) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            let request = self.client.get_records().shard_iterator(iterator);
            request.send().await.map(Page::from).map_err(|error| read_error(&error))
        })
    }
}

fn shard_filter(from: &Position) -> ShardFilter {
    let filter = ShardFilter::builder();
    let filter = match from {
        Position::Latest { .. } => filter.r#type(ShardFilterType::AtLatest),
        Position::At(time) => filter.r#type(ShardFilterType::FromTimestamp).timestamp(*time),
        Position::TrimHorizon | Position::After(_) => {
            filter.r#type(ShardFilterType::FromTrimHorizon)
        }
    };
    filter.build().expect("a filter with a type is complete")
}

impl From<types::Shard> for Shard {
    fn from(shard: types::Shard) -> Self {
        let parents = [shard.parent_shard_id, shard.adjacent_parent_shard_id];
        Self { id: shard.shard_id, parents: parents.into_iter().flatten().collect() }
    }
}

impl From<types::ChildShard> for Shard {
    fn from(shard: types::ChildShard) -> Self {
        Self { id: shard.shard_id, parents: shard.parent_shards }
    }
}

impl From<GetRecordsOutput> for Page {
    fn from(output: GetRecordsOutput) -> Self {
        Self {
            records: output.records.into_iter().map(Record::from).collect(),
            is_last: output.millis_behind_latest == Some(0),
            next: output.next_shard_iterator,
            children: output.child_shards.into_iter().flatten().map(Shard::from).collect(),
        }
    }
}

impl From<types::Record> for Record {
    fn from(record: types::Record) -> Self {
        Self {
            sequence_number: record.sequence_number,
            arrival: record.approximate_arrival_timestamp,
            partition_key: record.partition_key.unwrap_or_default(),
            encryption: record.encryption_type,
            data: record.data.into_inner(),
        }
    }
}

fn read_error<E>(error: &SdkError<E, HttpResponse>) -> ReadError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let failure = failure(error);
    match failure.cause() {
        Cause::ExpiredIterator => ReadError::Expired,
        _ => ReadError::Failed(failure),
    }
}

fn failure<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    with_profile(Failure::new(Service::Kinesis, error), Failure::with_profile)
}
