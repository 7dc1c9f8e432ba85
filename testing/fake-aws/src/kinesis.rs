//! Kinesis: streams that keep their records, or count them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, ServiceError, json, parse};
use crate::base64_bytes::Base64;
use crate::{ACCOUNT, lock};

mod reading;

/// Limits of a request:
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>. Newer models
/// allow twice the bytes; the smaller limit is the one that every client has to keep.
const MAX_RECORDS: usize = 500;
const MAX_REQUEST_BYTES: usize = 5 << 20;
const MAX_PARTITION_KEY_CHARS: usize = 256;

/// What a stream is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSettings {
    /// The number of open shards at first, at least one. Which shard has a record follows from the
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
    /// When it was put.
    pub arrival: SystemTime,
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
        let shards = (0..settings.shards).map(|number| Shard::new(number, &[])).collect();
        let totals = Totals::default();
        let stream = Stream { settings, shards, records: Vec::new(), totals };
        lock(&self.0).insert((region.to_owned(), name.to_owned()), stream);
    }

    /// Closes these shards and opens new ones in their place, whose names it returns: two for one
    /// is a split, one for two is a merge.
    ///
    /// # Panics
    /// If there is no such stream, if a shard is not open, or if no shard is open then.
    pub fn reshard(&self, region: &str, name: &str, parents: &[&str], shards: u64) -> Vec<String> {
        let mut streams = lock(&self.0);
        let stream = streams.get_mut(&(region.to_owned(), name.to_owned()));
        stream.expect("the stream exists").reshard(parents, shards)
    }

    /// Deletes a shard, as Kinesis does with a closed one when its last record has expired.
    ///
    /// # Panics
    /// If there is no such stream.
    pub fn delete_shard(&self, region: &str, name: &str, shard_id: &str) {
        let mut streams = lock(&self.0);
        let stream = streams.get_mut(&(region.to_owned(), name.to_owned()));
        stream.expect("the stream exists").shards.retain(|shard| shard.id != shard_id);
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
        let stream = streams.get(&key).ok_or_else(not_found)?;
        let (region, name) = &key;
        Ok(json(&serde_json::json!({ "StreamDescriptionSummary": {
            "StreamName": name,
            "StreamARN": format!("arn:aws:kinesis:{region}:{ACCOUNT}:stream/{name}"),
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 24,
            "StreamCreationTimestamp": 0,
            "EnhancedMonitoring": [],
            "OpenShardCount": stream.open_shards().count(),
            "MaxRecordSizeInKiB": stream.settings.max_record_kib,
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
    /// In the order in which they were opened.
    shards: Vec<Shard>,
    records: Vec<Record>,
    totals: Totals,
}

struct Shard {
    id: String,
    parents: Vec<String>,
    /// When it was closed, if it was.
    closed: Option<SystemTime>,
}

impl Shard {
    fn new(number: u64, parents: &[&str]) -> Self {
        let parents = parents.iter().map(|&id| id.to_owned()).collect();
        Self { id: format!("shardId-{number:012}"), parents, closed: None }
    }
}

impl Stream {
    fn put(&mut self, entry: Entry<'_>) -> EntryResult {
        self.totals.records += 1;
        self.totals.bytes += entry.data.0.len() as u64;
        let sequence_number = format!("49{:054}", self.totals.records);
        let shard_id = self.shard_of(&entry.partition_key).to_owned();
        if self.settings.keep {
            self.records.push(Record {
                shard_id: shard_id.clone(),
                sequence_number: sequence_number.clone(),
                partition_key: entry.partition_key.into_owned(),
                data: entry.data.0,
                arrival: now(),
            });
        }
        EntryResult::Put { sequence_number, shard_id }
    }

    fn shard_of(&self, partition_key: &str) -> &str {
        let digest = digest(&SHA256, partition_key.as_bytes());
        let hash = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
        let at = u64::from_be_bytes(*hash) % self.open_shards().count() as u64;
        let shard = self.open_shards().zip(0..).find(|(_, number)| *number == at);
        &shard.expect("a stream has an open shard").0.id
    }

    fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.shards.iter().filter(|shard| shard.closed.is_none())
    }

    fn reshard(&mut self, parents: &[&str], shards: u64) -> Vec<String> {
        let closed = Some(now());
        for parent in parents {
            let open = |shard: &&mut Shard| shard.id == *parent && shard.closed.is_none();
            self.shards.iter_mut().find(open).expect("the shard is open").closed = closed;
        }
        let first = self.shards.len();
        let numbers = first as u64..first as u64 + shards;
        self.shards.extend(numbers.map(|number| Shard::new(number, parents)));
        assert!(self.open_shards().next().is_some(), "a stream has an open shard");
        self.shards[first..].iter().map(|shard| shard.id.clone()).collect()
    }
}

fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "Kinesis says when a record arrived")]
    SystemTime::now()
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
