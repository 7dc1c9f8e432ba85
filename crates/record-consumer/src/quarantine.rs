//! Where records go that can never be written, and what is kept of them.

use std::fmt;
use std::time::SystemTime;

use aws_lambda_events::event::kinesis::KinesisEventRecord;
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use futures::future::BoxFuture;
use record_cipher::StreamName;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::deadline::run_until;
use crate::failure::{NotStored, RecordFailure};

/// Keeps the records that can never be written.
pub trait Quarantine: Send + Sync + fmt::Debug {
    /// Stores a document under a key, in place of one that is there already.
    fn store(&self, key: String, document: Vec<u8>) -> BoxFuture<'_, Result<(), NotStored>>;
}

/// Stores records of one batch.
pub(crate) struct Store<'a> {
    pub(crate) quarantine: &'a dyn Quarantine,
    pub(crate) now: SystemTime,
    /// When to stop.
    pub(crate) stop: Instant,
}

impl Store<'_> {
    /// Stores a record with its failure, and returns the failure.
    ///
    /// # Errors
    /// It is not stored, and the failure that is to be reported is returned. A record without a
    /// [`key`] is one.
    pub(crate) async fn store(
        &self,
        record: &KinesisEventRecord,
        failure: RecordFailure,
    ) -> Result<RecordFailure, RecordFailure> {
        let Some(key) = key(record) else { return Err(failure) };
        let document = document(record, &failure, self.now);
        let stored = run_until(self.stop, self.quarantine.store(key, document)).await;
        match stored.unwrap_or_else(|| Err(NotStored("the function's time ended".to_owned()))) {
            Ok(()) => Ok(failure),
            Err(reason) => {
                Err(RecordFailure::NotQuarantined { failure: Box::new(failure), reason })
            }
        }
    }
}

/// The key of a record's document: `STREAM/SHARD/SEQUENCE-NUMBER.json`. A record that is delivered
/// again has the same one.
///
/// None if the event does not say which stream, shard and sequence number the record has. Lambda
/// always says it.
fn key(record: &KinesisEventRecord) -> Option<String> {
    let stream = StreamName::from_arn(record.event_source_arn.as_deref()?).ok()?;
    let (shard, sequence_number) = record.event_id.as_deref()?.split_once(':')?;
    let is_shard = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_allowed = shard.starts_with("shardId-")
        && shard.bytes().all(is_shard)
        && !sequence_number.is_empty()
        && sequence_number.bytes().all(|byte| byte.is_ascii_digit());
    is_allowed.then(|| format!("{}/{shard}/{sequence_number}.json", stream.as_str()))
}

/// What is stored of a record, as JSON: the record of the event with its data, which is still
/// encrypted. Of what was decrypted the failure may name attributes, and nothing else.
fn document(record: &KinesisEventRecord, failure: &RecordFailure, now: SystemTime) -> Vec<u8> {
    let document = Document { time: rfc3339(now), reason: failure.to_string(), record: of(record) };
    serde_json::to_vec(&document).expect("a document has no maps with other keys than texts")
}

#[derive(Serialize)]
struct Document {
    /// When the record was refused, RFC 3339 in UTC.
    time: String,
    reason: String,
    record: Value,
}

fn rfc3339(time: SystemTime) -> String {
    DateTime::from(time).fmt(DateTimeFormat::DateTime).expect("the year is between 1 and 9999")
}

/// The record as Lambda delivers it. `aws_lambda_events` would write the time of arrival as a text.
fn of(record: &KinesisEventRecord) -> Value {
    let mut json = serde_json::to_value(record).expect("a record is JSON");
    let arrival = record.kinesis.approximate_arrival_timestamp.timestamp_millis();
    json["kinesis"]["approximateArrivalTimestamp"] = json!(arrival as f64 / 1000.0);
    json
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/records";

    fn record(stream: &str, event_id: &str) -> KinesisEventRecord {
        let mut record = KinesisEventRecord::default();
        record.event_source_arn = Some(stream.to_owned());
        record.event_id = Some(event_id.to_owned());
        record
    }

    #[test]
    fn a_key_is_made_of_stream_shard_and_sequence_number() {
        let expected = Some("records/shardId-000000000003/4954.json".to_owned());
        assert_eq!(key(&record(STREAM, "shardId-000000000003:4954")), expected);
        let consumer = format!("{STREAM}/consumer/reader:1700000000");
        assert_eq!(key(&record(&consumer, "shardId-000000000003:4954")), expected);
    }

    #[test]
    fn an_event_that_does_not_say_them_has_no_key() {
        assert_eq!(key(&KinesisEventRecord::default()), None);
        assert_eq!(key(&record("arn:aws:sqs:eu-west-1:000000000000:records", "shardId-0:1")), None);
        for event_id in ["", "4954", "shardId-0:", ":4954", "shardId-0:a", "shardId-0/../0:1"] {
            assert_eq!(key(&record(STREAM, event_id)), None, "{event_id}");
        }
    }
}
