//! The event that Lambda delivers.

use std::cmp::Ordering;
use std::fmt;

use aws_lambda_events::event::kinesis::{KinesisEvent, KinesisEventRecord};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

/// A batch of Kinesis records, as Lambda delivers it.
///
/// Reads only the fields that the consumer needs. Other fields, and a record that lacks a field, never
/// keep the rest of a batch from being handled.
#[derive(Deserialize)]
pub struct Event {
    #[serde(rename = "Records", default)]
    records: Vec<EventRecord>,
}

impl Event {
    /// Returns the records in the order of their sequence numbers.
    pub(crate) fn into_records(mut self) -> Vec<EventRecord> {
        self.records.sort_by(EventRecord::compare);
        self.records
    }
}

impl From<KinesisEvent> for Event {
    fn from(event: KinesisEvent) -> Self {
        Self { records: event.records.iter().map(|record| raw(record).into()).collect() }
    }
}

/// Returns the record as Lambda delivers it. `aws_lambda_events` writes the time of arrival as text.
fn raw(record: &KinesisEventRecord) -> Box<RawValue> {
    let mut json = serde_json::to_value(record).expect("a record has string keys only");
    let arrival = record.kinesis.approximate_arrival_timestamp.timestamp_millis();
    json["kinesis"]["approximateArrivalTimestamp"] = json!(arrival as f64 / 1000.0);
    to_raw_value(&json).expect("a value has string keys only")
}

/// Shows no content.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("records", &self.records.len()).finish_non_exhaustive()
    }
}

/// A record of an event.
#[derive(Deserialize)]
#[serde(from = "Box<RawValue>")]
pub(crate) struct EventRecord {
    /// Empty if the event does not say it. Lambda then delivers the whole batch again.
    pub(crate) sequence_number: String,
    /// ARN of the stream.
    pub(crate) stream_arn: Option<String>,
    /// Shard and sequence number: `shardId-000000000006:4959…`.
    pub(crate) event_id: Option<String>,
    /// The encrypted message.
    pub(crate) data: Option<Vec<u8>>,
    /// The record as it was delivered.
    pub(crate) json: Box<RawValue>,
}

impl EventRecord {
    /// Returns the id of the shard.
    pub(crate) fn shard(&self) -> Option<&str> {
        Some(self.event_id.as_deref()?.split_once(':')?.0)
    }

    /// Sequence numbers are decimal numbers of any length.
    fn compare(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.sequence_number, &other.sequence_number);
        (a.len(), a).cmp(&(b.len(), b))
    }
}

impl From<Box<RawValue>> for EventRecord {
    fn from(json: Box<RawValue>) -> Self {
        let fields: Fields<'_> = parse(Some(&*json)).unwrap_or_default();
        let kinesis: KinesisFields<'_> = parse(fields.kinesis).unwrap_or_default();
        let event_id: Option<String> = read(fields.event_id);
        let sequence_number = read(kinesis.sequence_number)
            .or_else(|| Some(event_id.as_deref()?.split_once(':')?.1.to_owned()));
        let data: Option<String> = read(kinesis.data);
        Self {
            sequence_number: sequence_number.unwrap_or_default(),
            stream_arn: read(fields.stream_arn),
            event_id,
            data: data.and_then(|data| BASE64_STANDARD.decode(data).ok()),
            json,
        }
    }
}

#[derive(Deserialize, Default)]
struct Fields<'a> {
    #[serde(borrow, rename = "eventSourceARN")]
    stream_arn: Option<&'a RawValue>,
    #[serde(borrow, rename = "eventID")]
    event_id: Option<&'a RawValue>,
    #[serde(borrow)]
    kinesis: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct KinesisFields<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow, rename = "sequenceNumber")]
    sequence_number: Option<&'a RawValue>,
}

fn parse<'a, T: Deserialize<'a>>(json: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(json?.get()).ok()
}

fn read<T: DeserializeOwned>(json: Option<&RawValue>) -> Option<T> {
    parse(json)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn records(event: &Value) -> Vec<EventRecord> {
        serde_json::from_str::<Event>(&event.to_string()).unwrap().into_records()
    }

    fn record(number: &str) -> Value {
        json!({
            "eventID": format!("shardId-000000000006:{number}"),
            "eventSourceARN": "arn:aws:kinesis:eu-west-1:000000000000:stream/records",
            "kinesis": { "data": "AQI=", "sequenceNumber": number },
        })
    }

    #[test]
    fn records_come_in_the_order_of_their_sequence_numbers() {
        let event = json!({ "Records": [record("10"), record("9"), record("11")] });
        let numbers: Vec<_> =
            records(&event).into_iter().map(|record| record.sequence_number).collect();
        assert_eq!(numbers, ["9", "10", "11"]);
    }

    #[test]
    fn fields_that_are_not_needed_may_be_anything() {
        let mut odd = record("1");
        odd["kinesis"]["approximateArrivalTimestamp"] = json!("yesterday");
        odd["kinesis"]["partitionKey"] = json!([1]);
        odd["awsRegion"] = json!({ "new": "form" });
        odd["eventVersion"] = Value::Null;
        let text = json!({ "Records": [odd], "window": { "start": 7 } }).to_string();
        let text = text.replace("\"yesterday\"", "1e999");
        let records = serde_json::from_str::<Event>(&text).unwrap().into_records();
        assert_eq!(records[0].data.as_deref(), Some([1, 2].as_slice()));
        assert!(records[0].json.get().contains("1e999"));
    }

    #[test]
    fn a_record_without_its_fields_does_not_fail_the_batch() {
        for bad in [
            json!(null),
            json!(7),
            json!({}),
            json!({ "kinesis": null }),
            json!({ "kinesis": { "data": "not base64!", "sequenceNumber": "0" } }),
            json!({ "kinesis": { "data": 7, "sequenceNumber": 7 } }),
            json!({ "eventID": "shardId-0:0", "kinesis": [] }),
        ] {
            let records = records(&json!({ "Records": [bad, record("1")] }));
            assert_eq!(records.len(), 2, "{bad}");
            assert!(records[0].data.is_none(), "{bad}");
            assert_eq!(records[1].data.as_deref(), Some([1, 2].as_slice()));
        }
    }

    #[test]
    fn the_event_id_gives_a_sequence_number_that_is_missing() {
        let records = records(&json!({ "Records": [{ "eventID": "shardId-0:77" }] }));
        assert_eq!(records[0].sequence_number, "77");
        assert_eq!(records[0].shard(), Some("shardId-0"));
    }

    #[test]
    fn an_event_without_records_is_empty() {
        assert!(records(&json!({})).is_empty());
        assert!(records(&json!({ "Records": [] })).is_empty());
    }

    #[test]
    fn an_event_of_aws_lambda_events_is_the_same() {
        let mut json = record("1");
        json["kinesis"]["approximateArrivalTimestamp"] = json!(1_545_084_650.987);
        json["kinesis"]["partitionKey"] = json!("key");
        let event: KinesisEvent =
            serde_json::from_str(&json!({ "Records": [json] }).to_string()).unwrap();
        let records = Event::from(event).into_records();
        assert_eq!(records[0].data.as_deref(), Some([1, 2].as_slice()));
        let raw: Value = serde_json::from_str(records[0].json.get()).unwrap();
        for field in ["approximateArrivalTimestamp", "data", "partitionKey", "sequenceNumber"] {
            assert_eq!(raw["kinesis"][field], json["kinesis"][field]);
        }
    }

    #[test]
    fn debug_shows_no_content() {
        let event: Event =
            serde_json::from_str(&json!({ "Records": [record("1")] }).to_string()).unwrap();
        assert_eq!(format!("{event:?}"), "Event { records: 1, .. }");
    }
}
