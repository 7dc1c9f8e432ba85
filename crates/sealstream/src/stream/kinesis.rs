//! The stream, behind the three calls that read it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types::{self, ShardFilter, ShardFilterType, ShardIteratorType};
use aws_smithy_types::DateTime;
use futures::future::BoxFuture;
use record_cipher::StreamName;

/// How long one request may take; the client repeats it then.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A place in a shard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Position {
    /// After the newest record.
    Latest {
        /// When that was asked for.
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
    /// The place for a new iterator when one has expired that found no record: what was put since is
    /// not the newest any more.
    pub(crate) fn again(self) -> Self {
        match self {
            Self::Latest { now } => Self::At(now),
            other => other,
        }
    }

    /// The place in the shards that a shard was split or merged into.
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
    /// Those that it was split or merged from, whether the stream still has them or not.
    pub(crate) parents: Vec<String>,
}

#[derive(Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) sequence_number: String,
    pub(crate) arrival: Option<DateTime>,
    pub(crate) partition_key: String,
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

/// What one read gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Page {
    pub(crate) records: Vec<Record>,
    /// Whether the shard had no more records.
    pub(crate) is_last: bool,
    /// The iterator for the next page; none if the shard is closed and was read to its end.
    pub(crate) next: Option<String>,
    /// At that end: the shards that it was split or merged into.
    pub(crate) children: Vec<Shard>,
}

/// Why a call gave nothing. The texts are Kinesis's, which knows nothing of what records hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The iterator is older than five minutes.
    Expired,
    /// The same call may succeed later.
    Passing(String),
    /// It will not.
    Refused(String),
}

/// What is asked of a stream.
pub(crate) trait StreamApi: Send + Sync + fmt::Debug {
    /// The shards that have records from this place on.
    fn shards(&self, from: Position) -> BoxFuture<'_, Result<Vec<Shard>, ReadError>>;

    /// An iterator for a place in a shard.
    fn iterator<'a>(
        &'a self,
        shard: &'a str,
        position: Position,
    ) -> BoxFuture<'a, Result<String, ReadError>>;

    /// The records that an iterator points to.
    fn records(&self, iterator: String) -> BoxFuture<'_, Result<Page, ReadError>>;
}

/// A stream of Kinesis.
#[derive(Debug)]
pub(crate) struct Kinesis {
    client: aws_sdk_kinesis::Client,
    stream: StreamName,
}

impl Kinesis {
    pub(crate) fn new(config: &SdkConfig, stream: StreamName) -> Self {
        let timeouts = TimeoutConfig::builder().operation_attempt_timeout(REQUEST_TIMEOUT).build();
        let config =
            aws_sdk_kinesis::config::Builder::from(config).timeout_config(timeouts).build();
        Self { client: aws_sdk_kinesis::Client::from_conf(config), stream }
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
                // The token stands for the stream and the filter too, which may not go with it.
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
            output.shard_iterator.ok_or_else(|| ReadError::Passing("it gave no iterator".into()))
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
            data: record.data.into_inner(),
        }
    }
}

fn read_error<E>(error: &SdkError<E>) -> ReadError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let SdkError::ServiceError(answer) = error else {
        return ReadError::Passing(format!("no answer: {}", root_cause(error)));
    };
    let code = answer.err().code().unwrap_or("error without a code");
    let text = answer.err().message().map_or(code.to_owned(), |text| format!("{code}: {text}"));
    match code {
        "ExpiredIteratorException" => ReadError::Expired,
        "ProvisionedThroughputExceededException" | "LimitExceededException" => {
            ReadError::Passing(text)
        }
        code if code.contains("Throttl") => ReadError::Passing(text),
        _ if answer.raw().status().is_client_error() => ReadError::Refused(text),
        _ => ReadError::Passing(text),
    }
}

/// The outer errors only say that a request failed.
fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}
