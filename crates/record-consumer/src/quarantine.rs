//! Stores records that can never be written.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_outcome::{Failure, Pauses};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use record_cipher::StreamName;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use crate::attempt::attempt;
use crate::event::EventRecord;
use crate::failure::{Failures, Reason, RecordFailure};

/// Documents that are stored at once.
const STORES_IN_FLIGHT: usize = 16;

/// Keeps records that can never be written.
pub trait Quarantine: Send + Sync + fmt::Debug {
    /// Stores a document under a key, and replaces the one that is there.
    ///
    /// # Errors
    /// The document is not stored. The consumer repeats the call if the failure is
    /// [retryable](Failure::is_retryable).
    fn store(&self, key: String, document: Vec<u8>) -> BoxFuture<'_, Result<(), Failure>>;
}

/// Stores records of a batch.
pub(crate) struct Store<'a> {
    pub(crate) quarantine: &'a dyn Quarantine,
    pub(crate) now: SystemTime,
    /// When to stop.
    pub(crate) until: Instant,
}

impl Store<'_> {
    /// Stores records with their failures, in order. Returns those that were stored, and those that
    /// were not.
    pub(crate) async fn store_all(
        &self,
        records: &[EventRecord],
        faults: Failures,
    ) -> (Failures, Failures) {
        let mut stores = stream::iter(faults)
            .map(|(at, failure)| async move { (at, self.store(&records[at], failure).await) })
            .buffer_unordered(STORES_IN_FLIGHT);
        let (mut stored, mut reported) = (Failures::default(), Failures::default());
        while let Some((at, result)) = stores.next().await {
            match result {
                Ok(failure) => stored.insert(at, failure),
                Err(reason) => reported.add(at, None, reason),
            }
        }
        (stored, reported)
    }

    async fn store(
        &self,
        record: &EventRecord,
        fault: RecordFailure,
    ) -> Result<RecordFailure, Reason> {
        let key = key(record).ok_or_else(|| Reason::NoOrigin(fault.to_string()))?;
        let document = document(record, &fault, self.now);
        let mut pauses = Pauses::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            let call = self.quarantine.store(key.clone(), document.clone());
            let Err(failure) = attempt(self.until, call).await else { return Ok(fault) };
            let left = self.until.saturating_duration_since(Instant::now());
            match pauses.next_within(left) {
                Some(pause) if failure.is_retryable() => sleep(pause).await,
                _ => return Err(Reason::NotQuarantined { fault: fault.to_string(), failure }),
            }
        }
    }
}

/// Returns the key of a record's document: `STREAM/SHARD/SEQUENCE-NUMBER.json`. A record that is
/// delivered again has the same key.
///
/// Returns `None` if the event lacks stream, shard or sequence number. Lambda always has them.
fn key(record: &EventRecord) -> Option<String> {
    let stream = StreamName::from_arn(record.stream_arn.as_deref()?).ok()?;
    let (shard, sequence_number) = record.event_id.as_deref()?.split_once(':')?;
    let is_shard = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_allowed = shard.starts_with("shardId-")
        && shard.bytes().all(is_shard)
        && !sequence_number.is_empty()
        && sequence_number.bytes().all(|byte| byte.is_ascii_digit());
    is_allowed.then(|| format!("{}/{shard}/{sequence_number}.json", stream.as_str()))
}

/// Returns what is stored of a record: the record of the event with its data, which is still encrypted.
/// Of the plaintext, the reason may name attributes and nothing else.
fn document(record: &EventRecord, failure: &RecordFailure, now: SystemTime) -> Vec<u8> {
    let document = Document {
        time: rfc3339(now),
        reason: failure.to_string(),
        bad_members: failure.bad_members(),
        record: &record.json,
    };
    serde_json::to_vec(&document).expect("a document has string keys only")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    /// When the record was refused, RFC 3339 in UTC.
    time: String,
    reason: String,
    /// Indices of the records of an aggregate that were not written. The others were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bad_members: Vec<usize>,
    record: &'a RawValue,
}

fn rfc3339(time: SystemTime) -> String {
    DateTime::from(time).fmt(DateTimeFormat::DateTime).expect("the year is between 1 and 9999")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const STREAM: &str = "arn:aws:kinesis:eu-west-1:000000000000:stream/records";

    fn record(fields: &serde_json::Value) -> EventRecord {
        serde_json::from_str(&fields.to_string()).unwrap()
    }

    fn key_of(stream: &str, event_id: &str) -> Option<String> {
        key(&record(&json!({ "eventSourceARN": stream, "eventID": event_id })))
    }

    #[test]
    fn a_key_is_made_of_stream_shard_and_sequence_number() {
        let expected = Some("records/shardId-000000000003/4954.json".to_owned());
        assert_eq!(key_of(STREAM, "shardId-000000000003:4954"), expected);
        let consumer = format!("{STREAM}/consumer/reader:1700000000");
        assert_eq!(key_of(&consumer, "shardId-000000000003:4954"), expected);
    }

    #[test]
    fn an_event_that_lacks_them_has_no_key() {
        assert_eq!(key(&record(&json!({}))), None);
        assert_eq!(key_of("arn:aws:sqs:eu-west-1:000000000000:records", "shardId-0:1"), None);
        for event_id in ["", "4954", "shardId-0:", ":4954", "shardId-0:a", "shardId-0/../0:1"] {
            assert_eq!(key_of(STREAM, event_id), None, "{event_id}");
        }
    }
}
