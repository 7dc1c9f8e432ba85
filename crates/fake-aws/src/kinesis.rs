//! Kinesis: streams that keep their records, or count them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, ServiceError, json, parse};
use crate::base64_bytes::Base64;
use crate::{ACCOUNT, lock};

/// Limits of a request:
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>. Newer models
/// allow twice the bytes; the smaller limit is the one that every client has to keep.
const MAX_RECORDS: usize = 500;
const MAX_REQUEST_BYTES: usize = 5 << 20;
const MAX_PARTITION_KEY_CHARS: usize = 256;

/// What a stream is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// The number of open shards, at least one. Which shard has a record follows from the
    /// partition key, though not by Kinesis's own hash.
    pub shards: u64,
    /// The largest record, data and partition key together, in KiB.
    pub max_record_kib: usize,
    /// Whether records are kept. If not, they are counted and dropped.
    pub keep: bool,
}

impl Default for StreamSettings {
    /// One shard, records up to 1 MiB, which are kept.
    fn default() -> Self {
        Self { shards: 1, max_record_kib: 1024, keep: true }
    }
}

/// A record of a stream.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The shard that has it, such as `shardId-000000000000`.
    pub shard_id: String,
    /// Its place in the shard. Later records have larger numbers, of the same length.
    pub sequence_number: String,
    /// What chose the shard.
    pub partition_key: String,
    /// What was put.
    pub data: Vec<u8>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("shard_id", &self.shard_id)
            .field("sequence_number", &self.sequence_number)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

/// What a stream was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Records that were acknowledged, and those whose acknowledgement was lost.
    pub records: u64,
    /// The bytes of their data.
    pub bytes: u64,
}

/// The streams of all Regions.
#[derive(Default)]
pub struct Kinesis(Mutex<BTreeMap<(String, String), Stream>>);

impl Kinesis {
    /// Makes a stream, or replaces it by an empty one.
    ///
    /// # Panics
    /// If the stream has no shard.
    pub fn create_stream(&self, region: &str, name: &str, settings: StreamSettings) {
        assert!(settings.shards > 0, "a stream has a shard");
        let stream = Stream { settings, records: Vec::new(), totals: Totals::default() };
        lock(&self.0).insert((region.to_owned(), name.to_owned()), stream);
    }

    /// The records that a stream keeps, in the order in which they came; none of an unknown
    /// stream.
    #[must_use]
    pub fn records(&self, region: &str, name: &str) -> Vec<Record> {
        let key = (region.to_owned(), name.to_owned());
        lock(&self.0).get(&key).map(|stream| stream.records.clone()).unwrap_or_default()
    }

    /// What a stream was given, whether it keeps records or not; nothing for an unknown stream.
    #[must_use]
    pub fn totals(&self, region: &str, name: &str) -> Totals {
        let key = (region.to_owned(), name.to_owned());
        lock(&self.0).get(&key).map(|stream| stream.totals).unwrap_or_default()
    }

    /// Fails each `fail_every`th record; none for 0.
    pub(crate) fn put_records(
        &self,
        region: &str,
        body: &[u8],
        fail_every: usize,
    ) -> Result<Answer, ServiceError> {
        let request: PutRecords = parse(body)?;
        let name = stream_name(request.stream_name, request.stream_arn)?;
        let mut streams = lock(&self.0);
        let stream = streams.get_mut(&(region.to_owned(), name)).ok_or_else(not_found)?;
        check(&request.records, &stream.settings)?;
        let mut results = Vec::with_capacity(request.records.len());
        for (index, entry) in request.records.into_iter().enumerate() {
            let fails = (index + 1).is_multiple_of(fail_every);
            results.push(if fails { FAILED } else { stream.put(entry) });
        }
        let failed_record_count =
            results.iter().filter(|result| matches!(result, EntryResult::Failed { .. })).count();
        Ok(json(&PutRecordsOutput { failed_record_count, records: results }))
    }

    pub(crate) fn describe_stream_summary(
        &self,
        region: &str,
        body: &[u8],
    ) -> Result<Answer, ServiceError> {
        let request: DescribeStreamSummary = parse(body)?;
        let key = (region.to_owned(), stream_name(request.stream_name, request.stream_arn)?);
        let streams = lock(&self.0);
        let settings = &streams.get(&key).ok_or_else(not_found)?.settings;
        let (region, name) = &key;
        Ok(json(&serde_json::json!({ "StreamDescriptionSummary": {
            "StreamName": name,
            "StreamARN": format!("arn:aws:kinesis:{region}:{ACCOUNT}:stream/{name}"),
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 0,
            "EnhancedMonitoring": [],
            "OpenShardCount": settings.shards,
            "MaxRecordSizeInKiB": settings.max_record_kib,
        }})))
    }
}

impl fmt::Debug for Kinesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kinesis").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct PutRecords<'a> {
    #[serde(borrow)]
    records: Vec<Entry<'a>>,
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry<'a> {
    data: Base64,
    #[serde(borrow)]
    partition_key: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeStreamSummary {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutRecordsOutput {
    failed_record_count: usize,
    records: Vec<EntryResult>,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "PascalCase")]
enum EntryResult {
    Put { sequence_number: String, shard_id: String },
    Failed { error_code: &'static str, error_message: &'static str },
}

const FAILED: EntryResult = EntryResult::Failed {
    error_code: "ProvisionedThroughputExceededException",
    error_message: "a fault was injected",
};

struct Stream {
    settings: StreamSettings,
    records: Vec<Record>,
    totals: Totals,
}

impl Stream {
    fn put(&mut self, entry: Entry<'_>) -> EntryResult {
        self.totals.records += 1;
        self.totals.bytes += entry.data.0.len() as u64;
        let sequence_number = format!("49{:054}", self.totals.records);
        let shard_id = shard_id(&entry.partition_key, self.settings.shards);
        if self.settings.keep {
            self.records.push(Record {
                shard_id: shard_id.clone(),
                sequence_number: sequence_number.clone(),
                partition_key: entry.partition_key.into_owned(),
                data: entry.data.0,
            });
        }
        EntryResult::Put { sequence_number, shard_id }
    }
}

fn shard_id(partition_key: &str, shards: u64) -> String {
    let digest = digest(&SHA256, partition_key.as_bytes());
    let hash = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    format!("shardId-{:012}", u64::from_be_bytes(*hash) % shards)
}

fn check(entries: &[Entry<'_>], settings: &StreamSettings) -> Result<(), ServiceError> {
    if !(1..=MAX_RECORDS).contains(&entries.len()) {
        return Err(ServiceError::validation("Records has from 1 to 500 members"));
    }
    let key_chars = |entry: &Entry<'_>| entry.partition_key.chars().count();
    if !entries.iter().all(|entry| (1..=MAX_PARTITION_KEY_CHARS).contains(&key_chars(entry))) {
        return Err(ServiceError::validation("PartitionKey has from 1 to 256 characters"));
    }
    let bytes = |entry: &Entry<'_>| entry.data.0.len() + entry.partition_key.len();
    if entries.iter().any(|entry| bytes(entry) > settings.max_record_kib << 10) {
        return Err(invalid_argument("a record is larger than the stream's records may be"));
    }
    if entries.iter().map(bytes).sum::<usize>() > MAX_REQUEST_BYTES {
        return Err(invalid_argument("the records have more than 5 MiB"));
    }
    Ok(())
}

fn stream_name(name: Option<String>, arn: Option<String>) -> Result<String, ServiceError> {
    let from_arn = || Some(arn?.split_once(":stream/")?.1.to_owned());
    name.or_else(from_arn).ok_or_else(|| invalid_argument("StreamName or StreamARN is needed"))
}

fn not_found() -> ServiceError {
    ServiceError::new(400, "ResourceNotFoundException", "no such stream in this Region")
}

fn invalid_argument(message: &str) -> ServiceError {
    ServiceError::new(400, "InvalidArgumentException", message)
}
