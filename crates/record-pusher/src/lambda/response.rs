//! What the function answers.

use std::collections::BTreeMap;

use record_cipher::RegionName;
use serde::Serialize;

use crate::outcome::{Delivery, DeliveryError, Outcome, PushError};

/// Bytes of a response. Lambda accepts 6 MB ("Lambda quotas", developer guide).
const MAX_BYTES: usize = 5_500_000;
/// Ranges in a short response, in all its groups.
const MAX_RANGES: usize = 100_000;

/// What became of the records of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum PushResponse {
    /// Every record has its own entry.
    #[non_exhaustive]
    Full {
        /// Number of records that did not reach every Region.
        undelivered: usize,
        /// One entry per record, in the order of the event.
        records: Vec<RecordResponse>,
    },
    /// The full response would exceed Lambda's limit of 6 MB, or the invocation ran out of time.
    #[non_exhaustive]
    Short {
        /// Number of records that did not reach every Region.
        undelivered: usize,
        /// The records that did not, grouped by error. All others were delivered.
        failed: Vec<FailedRecords>,
    },
}

/// Records that failed for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedRecords {
    /// Why they failed.
    pub error: String,
    /// Region that has not acknowledged them; absent if they were not sent to any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Number of the records.
    pub count: usize,
    /// First and last index of consecutive records in the event.
    pub ranges: Vec<(usize, usize)>,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum RecordResponse {
    /// The record was sent.
    #[serde(rename_all = "camelCase")]
    Sent {
        /// The partition key, the same in every Region.
        partition_key: String,
        /// The acknowledgement or the error of each Region.
        regions: BTreeMap<String, RegionResponse>,
    },
    /// The record was not sent to any Region.
    Refused {
        /// Why not.
        error: String,
    },
}

/// What became of one record in one Region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum RegionResponse {
    /// Kinesis has the record.
    #[serde(rename_all = "camelCase")]
    Acknowledged {
        /// The shard that has the record.
        shard_id: String,
        /// The record's sequence number in the shard.
        sequence_number: String,
    },
    /// Kinesis has not acknowledged the record.
    Failed {
        /// Why not.
        error: String,
    },
}

impl PushResponse {
    pub(crate) fn new(undelivered: usize, outcomes: &[Result<Outcome, PushError>]) -> Self {
        let records: Vec<_> = outcomes.iter().map(RecordResponse::from).collect();
        let full = Self::Full { undelivered, records };
        if serde_json::to_vec(&full).is_ok_and(|json| json.len() <= MAX_BYTES) {
            return full;
        }
        Self::Short { undelivered, failed: failed(outcomes) }
    }

    /// No record has an outcome.
    pub(crate) fn out_of_time(count: usize) -> Self {
        let error = "the invocation ran out of time before the outcome was known".to_owned();
        let ranges = vec![(0, count.saturating_sub(1))];
        let failed = FailedRecords { error, region: None, count, ranges };
        Self::Short { undelivered: count, failed: vec![failed] }
    }

    /// Returns the number of records that did not reach every Region.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        match self {
            Self::Full { undelivered, .. } | Self::Short { undelivered, .. } => *undelivered,
        }
    }
}

/// The Region and the error that failures are grouped by.
type GroupKey = (Option<String>, String);

/// The records of a group.
#[derive(Default)]
struct Group {
    count: usize,
    ranges: Vec<(usize, usize)>,
}

/// Groups failures by error and Region. The number of attempts, in which almost every record
/// differs, is left out.
fn failed(outcomes: &[Result<Outcome, PushError>]) -> Vec<FailedRecords> {
    let mut groups: BTreeMap<GroupKey, Group> = BTreeMap::new();
    let mut ranges_left = MAX_RANGES;
    for (index, outcome) in outcomes.iter().enumerate() {
        for key in failures(outcome) {
            let group = groups.entry(key).or_default();
            group.count += 1;
            match group.ranges.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ if ranges_left > 0 => {
                    ranges_left -= 1;
                    group.ranges.push((index, index));
                }
                _ => {}
            }
        }
    }
    let group =
        |((region, error), Group { count, ranges })| FailedRecords { error, region, count, ranges };
    groups.into_iter().map(group).collect()
}

fn failures(outcome: &Result<Outcome, PushError>) -> Vec<GroupKey> {
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return vec![(None, error.to_string())],
    };
    let failure = |(region, delivery): (&RegionName, &Result<Delivery, DeliveryError>)| {
        let DeliveryError { code, reason, .. } = delivery.as_ref().err()?;
        Some((Some(region.to_string()), format!("{reason} ({code})")))
    };
    outcome.regions().iter().filter_map(failure).collect()
}

impl From<&Result<Outcome, PushError>> for RecordResponse {
    fn from(outcome: &Result<Outcome, PushError>) -> Self {
        match outcome {
            Ok(outcome) => Self::Sent {
                partition_key: outcome.partition_key().to_owned(),
                regions: outcome
                    .regions()
                    .iter()
                    .map(|(region, delivery)| (region.to_string(), delivery.into()))
                    .collect(),
            },
            Err(error) => Self::Refused { error: error.to_string() },
        }
    }
}

impl From<&Result<Delivery, DeliveryError>> for RegionResponse {
    fn from(delivery: &Result<Delivery, DeliveryError>) -> Self {
        match delivery {
            Ok(Delivery { shard_id, sequence_number }) => Self::Acknowledged {
                shard_id: shard_id.clone(),
                sequence_number: sequence_number.clone(),
            },
            Err(error) => Self::Failed { error: error.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use record_cipher::ErrorKind;
    use serde_json::json;

    use super::*;
    use crate::entry::Entry;

    fn outcome(attempts: u32) -> Outcome {
        let error = DeliveryError {
            code: "Timeout".into(),
            reason: "timed out".into(),
            cause: None,
            attempts,
            kind: ErrorKind::Retryable,
        };
        let delivery = Delivery { shard_id: "s".into(), sequence_number: "7".into() };
        let regions = [("us-east-1", Ok(delivery)), ("eu-west-1", Err(error))]
            .map(|(region, delivery)| (region.parse().unwrap(), delivery))
            .into();
        let entry = Entry { partition_key: "key".to_owned(), unordered: false, data: Vec::new() };
        Outcome::new(entry.into(), regions)
    }

    #[test]
    fn a_response_names_the_outcome_in_each_region() {
        let response = PushResponse::new(2, &[Ok(outcome(2)), Err(PushError::Stopped)]);
        let expected = json!({
            "undelivered": 2,
            "records": [
                {
                    "partitionKey": "key",
                    "regions": {
                        "us-east-1": { "shardId": "s", "sequenceNumber": "7" },
                        "eu-west-1": { "error": "timed out (Timeout, 2 attempts)" },
                    },
                },
                { "error": "not encrypted: the pusher was stopped" },
            ],
        });
        assert_eq!(serde_json::to_value(response).unwrap(), expected);
    }

    #[test]
    fn a_response_never_exceeds_the_limit_of_lambda() {
        let delivered = |count| {
            let mut all = vec![Ok(outcome(1)); count];
            all[3] = Err(PushError::Stopped);
            PushResponse::new(count, &all)
        };
        assert!(matches!(delivered(1_000), PushResponse::Full { .. }));
        let expected = json!({
            "undelivered": 60_000,
            "failed": [
                {
                    "error": "not encrypted: the pusher was stopped",
                    "count": 1,
                    "ranges": [[3, 3]],
                },
                {
                    "error": "timed out (Timeout)",
                    "region": "eu-west-1",
                    "count": 59_999,
                    "ranges": [[0, 2], [4, 59_999]],
                },
            ],
        });
        assert_eq!(serde_json::to_value(delivered(60_000)).unwrap(), expected);

        let alternating = (0..400_000).map(|index| match index % 2 {
            0 => Ok(outcome(index)),
            _ => Err(PushError::Stopped),
        });
        let response = PushResponse::new(400_000, &alternating.collect::<Vec<_>>());
        assert!(serde_json::to_vec(&response).unwrap().len() <= MAX_BYTES);
    }
}
