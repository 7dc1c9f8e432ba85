//! The event and the response of the Lambda function.

use std::collections::{BTreeMap, HashMap};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::outcome::{DeliveryError, Outcome, PushError};
use crate::{Record, RecordPusher};

/// What the function is invoked with: one record, or `{"records": [record, …]}`.
///
/// An object whose only attribute is `records`, with a list as its value, is the second form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushEvent(Vec<Record>);

impl PushEvent {
    /// The event whose records have a text as this attribute, each unless it has one of that name.
    #[must_use]
    pub fn or_insert(self, name: &str, value: &str) -> Self {
        Self(self.0.into_iter().map(|record| record.or_insert(name, value)).collect())
    }
}

impl<'de> Deserialize<'de> for PushEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = <&RawValue>::deserialize(deserializer)?;
        match list(event) {
            Some(elements) => elements.into_iter().enumerate().map(element).collect(),
            None => Record::try_from(event)
                .map(|record| vec![record])
                .map_err(|error| format!("the event {error}")),
        }
        .map(Self)
        .map_err(D::Error::custom)
    }
}

/// The elements of the second form.
fn list(event: &RawValue) -> Option<Vec<&RawValue>> {
    let attributes: HashMap<String, &RawValue> = serde_json::from_str(event.get()).ok()?;
    let records = attributes.get("records").filter(|_| attributes.len() == 1)?;
    serde_json::from_str(records.get()).ok()
}

fn element((at, json): (usize, &RawValue)) -> Result<Record, String> {
    Record::try_from(json).map_err(|error| format!("records[{at}] {error}"))
}

/// What became of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PushResponse {
    /// How many records did not reach every Region.
    pub undelivered: usize,
    /// One entry per record, in the order of the event.
    pub records: Vec<RecordResponse>,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RecordResponse {
    /// It was sent.
    #[serde(rename_all = "camelCase")]
    Sent {
        /// The partition key, the same in every Region.
        partition_key: String,
        /// By Region: the acknowledgement, or the error.
        regions: BTreeMap<String, RegionResponse>,
    },
    /// It was not sent anywhere.
    Refused {
        /// Why not.
        error: String,
    },
}

/// What became of one record in one Region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RegionResponse {
    /// Kinesis has it.
    #[serde(rename_all = "camelCase")]
    Acknowledged {
        /// The shard that holds the record.
        shard_id: String,
        /// The record's place in the shard.
        sequence_number: String,
    },
    /// Kinesis has not acknowledged it.
    Failed {
        /// Why not.
        error: String,
    },
}

/// Pushes the records of an event.
pub async fn handle(pusher: &RecordPusher, event: PushEvent) -> PushResponse {
    let outcomes = pusher.put_records(event.0).await;
    let delivered =
        |outcome: &Result<Outcome, PushError>| outcome.as_ref().is_ok_and(Outcome::is_delivered);
    let undelivered = outcomes.iter().filter(|outcome| !delivered(outcome)).count();
    tracing::info!(records = outcomes.len(), undelivered, "event done");
    PushResponse { undelivered, records: outcomes.into_iter().map(record_response).collect() }
}

fn record_response(outcome: Result<Outcome, PushError>) -> RecordResponse {
    match outcome {
        Ok(outcome) => RecordResponse::Sent {
            partition_key: outcome.partition_key().to_owned(),
            regions: outcome
                .regions()
                .iter()
                .map(|(region, delivery)| (region.to_string(), delivery.clone().into()))
                .collect(),
        },
        Err(error) => RecordResponse::Refused { error: error.to_string() },
    }
}

impl From<Result<crate::Delivery, DeliveryError>> for RegionResponse {
    fn from(delivery: Result<crate::Delivery, DeliveryError>) -> Self {
        match delivery {
            Ok(crate::Delivery { shard_id, sequence_number }) => {
                Self::Acknowledged { shard_id, sequence_number }
            }
            Err(error) => Self::Failed { error: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records_of(event: &str) -> Result<usize, String> {
        serde_json::from_str::<PushEvent>(event)
            .map(|event| event.0.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_event_is_one_record_or_a_list() {
        assert_eq!(records_of(r#"{"id": "1"}"#), Ok(1));
        assert_eq!(records_of(r#"{"records": [{"id": "1"}, {"id": "2"}]}"#), Ok(2));
        assert_eq!(records_of(r#"{"records": []}"#), Ok(0));
        assert_eq!(records_of(r#"{"records": 5}"#), Ok(1));
        assert_eq!(records_of(r#"{"records": [1], "id": "1"}"#), Ok(1));
    }

    #[test]
    fn numbers_keep_their_digits() {
        let json = r#"{"records":[{"n":1.234567890123456789012345678}]}"#;
        let event: PushEvent = serde_json::from_str(json).unwrap();
        assert_eq!(event.0[0].as_json(), br#"{"n":1.234567890123456789012345678}"#);
    }

    #[test]
    fn an_element_that_is_no_object_is_named() {
        let error = records_of(r#"{"records": [{"id": "1"}, 7]}"#).unwrap_err();
        assert_eq!(error, "records[1] is not a JSON object");
        assert!(records_of("[]").is_err());
    }

    #[test]
    fn responses_name_the_outcome_per_region() {
        let error = DeliveryError {
            code: "Timeout".into(),
            message: None,
            tries: 2,
            kind: record_cipher::ErrorKind::Retryable,
        };
        let delivery = crate::Delivery { shard_id: "s".into(), sequence_number: "7".into() };
        let regions = [("us-east-1", Ok(delivery)), ("eu-west-1", Err(error))]
            .map(|(region, delivery)| (region.parse().unwrap(), delivery))
            .into();
        let entry = crate::kinesis::Entry {
            partition_key: "key".to_owned(),
            is_alone: false,
            data: Vec::new(),
        };
        let response = record_response(Ok(Outcome::new(entry.into(), regions)));
        assert_eq!(
            serde_json::to_value(response).unwrap(),
            serde_json::json!({
                "partitionKey": "key",
                "regions": {
                    "us-east-1": { "shardId": "s", "sequenceNumber": "7" },
                    "eu-west-1": { "error": "Timeout (tries: 2)" },
                },
            })
        );
    }
}
