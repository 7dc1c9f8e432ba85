//! Reading a stream: its shards, places in them, and records from there on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Kinesis, Record, Shard, Stream, invalid_argument, not_found, now, stream_name};
use crate::answer::{Answer, ServiceError, json as json_answer, parse};
use crate::base64_bytes::Base64;
use crate::lock;

/// Shards on a page of their list. Kinesis has up to 1,000, which would be many for a test.
const SHARDS_PER_PAGE: usize = 100;
/// Limits of an answer:
/// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html>
const MAX_RECORDS: usize = 10_000;
const MAX_BYTES: usize = 10 << 20;

impl Kinesis {
    pub(crate) fn list_shards(&self, region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
        let request: ListShards = parse(body)?;
        let (name, filter, from) = request.page()?;
        let streams = lock(&self.0);
        let stream = streams.get(&(region.to_owned(), name.clone())).ok_or_else(not_found)?;
        let mut shards = stream.shards.iter().filter(|shard| filter.lets_through(shard)).skip(from);
        let page: Vec<_> = shards.by_ref().take(SHARDS_PER_PAGE).map(description).collect();
        let mut answer = json!({ "Shards": page });
        if shards.next().is_some() {
            let token = serde_json::to_string(&(name, filter, from + SHARDS_PER_PAGE));
            answer["NextToken"] = token.expect("a tuple of texts and numbers is JSON").into();
        }
        Ok(json_answer(&answer))
    }

    pub(crate) fn get_shard_iterator(
        &self,
        region: &str,
        body: &[u8],
    ) -> Result<Answer, ServiceError> {
        let request: GetShardIterator = parse(body)?;
        let name = stream_name(request.stream_name.clone(), request.stream_arn.clone())?;
        let streams = lock(&self.0);
        let stream = streams.get(&(region.to_owned(), name.clone())).ok_or_else(not_found)?;
        stream.shard(&request.shard_id)?;
        let start = request.start(&stream.records)?;
        Ok(json_answer(&json!({ "ShardIterator": iterator(&name, &request.shard_id, start) })))
    }

    pub(crate) fn get_records(&self, region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
        let request: GetRecords = parse(body)?;
        let (name, shard_id, start) = place(&request.shard_iterator)?;
        let streams = lock(&self.0);
        let stream = streams.get(&(region.to_owned(), name.to_owned())).ok_or_else(not_found)?;
        let shard = stream.shard(shard_id)?;
        let limit = request.limit.unwrap_or(MAX_RECORDS).min(MAX_RECORDS);
        let (mut page, mut bytes, mut next, mut behind) = (Vec::new(), 0, None, 0);
        for (at, record) in stream.records.iter().enumerate().skip(start) {
            if record.shard_id != shard_id {
                continue;
            }
            bytes += record.data.len();
            if page.len() == limit || (bytes > MAX_BYTES && !page.is_empty()) {
                next = Some(at);
                behind =
                    now().duration_since(record.arrival).unwrap_or_default().as_millis().max(1);
                break;
            }
            page.push(record_json(record));
        }
        let mut answer = json!({ "Records": page, "MillisBehindLatest": behind });
        match (next, shard.closed) {
            (None, Some(_)) => answer["ChildShards"] = stream.children(shard_id),
            (next, _) => {
                let next = next.unwrap_or(stream.records.len());
                answer["NextShardIterator"] = iterator(name, shard_id, next).into();
            }
        }
        Ok(json_answer(&answer))
    }
}

impl Stream {
    fn shard(&self, id: &str) -> Result<&Shard, ServiceError> {
        let shard = self.shards.iter().find(|shard| shard.id == id);
        shard.ok_or_else(|| {
            ServiceError::new(400, "ResourceNotFoundException", "no such shard in this stream")
        })
    }

    fn children(&self, parent: &str) -> Value {
        let children =
            self.shards.iter().filter(|shard| shard.parents.iter().any(|id| id == parent));
        let child = |shard: &Shard| {
            json!({
                "ShardId": shard.id,
                "ParentShards": shard.parents,
                "HashKeyRange": hash_key_range(),
            })
        };
        children.map(child).collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListShards {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_filter: Option<ShardFilter>,
    next_token: Option<String>,
}

impl ListShards {
    /// The stream, which of its shards, and how many of these were on the pages before.
    fn page(self) -> Result<(String, ShardFilter, usize), ServiceError> {
        let Some(token) = self.next_token else {
            let filter = self.shard_filter.unwrap_or_default();
            return Ok((stream_name(self.stream_name, self.stream_arn)?, filter, 0));
        };
        if self.stream_name.is_some() || self.shard_filter.is_some() {
            return Err(invalid_argument("NextToken stands alone"));
        }
        serde_json::from_str(&token).map_err(|_| invalid_argument("NextToken is not one of these"))
    }
}

#[derive(Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ShardFilter {
    r#type: FilterType,
    timestamp: Option<f64>,
}

#[derive(Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum FilterType {
    AtLatest,
    #[default]
    FromTrimHorizon,
    FromTimestamp,
}

impl ShardFilter {
    fn lets_through(&self, shard: &Shard) -> bool {
        let start = self.timestamp.map_or(UNIX_EPOCH, time);
        match self.r#type {
            FilterType::AtLatest => shard.closed.is_none(),
            FilterType::FromTrimHorizon => true,
            FilterType::FromTimestamp => shard.closed.is_none_or(|closed| closed >= start),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetShardIterator {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: String,
    shard_iterator_type: IteratorType,
    starting_sequence_number: Option<String>,
    timestamp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum IteratorType {
    AfterSequenceNumber,
    AtTimestamp,
    Latest,
    TrimHorizon,
}

impl GetShardIterator {
    /// The index of the first record that may be read.
    fn start(&self, records: &[Record]) -> Result<usize, ServiceError> {
        let first = |wanted: &dyn Fn(&Record) -> bool| {
            records.iter().position(wanted).unwrap_or(records.len())
        };
        match self.shard_iterator_type {
            IteratorType::TrimHorizon => Ok(0),
            IteratorType::Latest => Ok(records.len()),
            IteratorType::AtTimestamp => {
                let start = self.timestamp.map(time);
                let start = start.ok_or_else(|| invalid_argument("Timestamp is needed"))?;
                Ok(first(&|record| record.arrival >= start))
            }
            IteratorType::AfterSequenceNumber => {
                let number = self.starting_sequence_number.as_ref();
                let number =
                    number.ok_or_else(|| invalid_argument("StartingSequenceNumber is needed"))?;
                Ok(first(&|record| record.sequence_number > *number))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetRecords {
    shard_iterator: String,
    limit: Option<usize>,
}

/// It never expires by itself.
fn iterator(stream: &str, shard_id: &str, start: usize) -> String {
    format!("{stream}/{shard_id}/{start}")
}

fn place(iterator: &str) -> Result<(&str, &str, usize), ServiceError> {
    let mut parts = iterator.splitn(3, '/');
    let mut place = || Some((parts.next()?, parts.next()?, parts.next()?.parse().ok()?));
    place().ok_or_else(|| invalid_argument("ShardIterator is not one of these"))
}

fn record_json(record: &Record) -> Value {
    let arrival = record.arrival.duration_since(UNIX_EPOCH).unwrap_or_default();
    json!({
        "SequenceNumber": record.sequence_number,
        // With milliseconds, as Kinesis has it.
        "ApproximateArrivalTimestamp": Duration::from_millis(millis(arrival)).as_secs_f64(),
        "Data": Base64(record.data.clone()),
        "PartitionKey": record.partition_key,
    })
}

fn description(shard: &Shard) -> Value {
    let mut description = json!({
        "ShardId": shard.id,
        "HashKeyRange": hash_key_range(),
        "SequenceNumberRange": { "StartingSequenceNumber": "0" },
    });
    for (name, parent) in ["ParentShardId", "AdjacentParentShardId"].iter().zip(&shard.parents) {
        description[name] = parent.clone().into();
    }
    description
}

/// The clients want one. Here it chooses nothing.
fn hash_key_range() -> Value {
    json!({ "StartingHashKey": "0", "EndingHashKey": "0" })
}

fn time(seconds: f64) -> SystemTime {
    UNIX_EPOCH + Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
