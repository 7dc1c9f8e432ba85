//! What the function answers.

use std::collections::BTreeMap;

use record_cipher::RegionName;
use serde::Serialize;

use crate::outcome::{Delivery, DeliveryError, Outcome, PushError};

/// Bytes of a response. Lambda accepts 6 MB ("Lambda quotas", developer guide).
const MAX_BYTES: usize = 5_500_000;
/// Groups of failures in a response, and ranges of records in all of them.
const MAX_GROUPS: usize = 1_000;
const MAX_RANGES: usize = 100_000;

/// What became of the records of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PushResponse {
    /// Number of records in the event.
    pub records: usize,
    /// Number of records that did not reach every Region.
    pub undelivered: usize,
    /// The records that did not, grouped by error. All others were delivered.
    pub failed: Vec<FailedRecords>,
    /// The outcome of each record, in the order of the event. Only if the event asks for it, the
    /// response stays within Lambda's limit of 6 MB, and the invocation did not run out of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledgements: Option<Vec<RecordResponse>>,
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
    pub(crate) fn new(
        outcomes: &[Result<Outcome, PushError>],
        with_acknowledgements: bool,
    ) -> Self {
        let is_delivered =
            |outcome: &&Result<Outcome, _>| outcome.as_ref().is_ok_and(Outcome::is_delivered);
        let response = Self {
            records: outcomes.len(),
            undelivered: outcomes.len() - outcomes.iter().filter(is_delivered).count(),
            failed: failed(outcomes),
            acknowledgements: None,
        };
        if !with_acknowledgements {
            return response;
        }
        let acknowledgements = Some(outcomes.iter().map(RecordResponse::from).collect());
        let full = Self { acknowledgements, ..response.clone() };
        let fits = serde_json::to_vec(&full).is_ok_and(|json| json.len() <= MAX_BYTES);
        if fits { full } else { response }
    }

    /// No record has an outcome.
    pub(crate) fn out_of_time(count: usize) -> Self {
        let error = "the invocation ran out of time before the outcome was known".to_owned();
        let ranges = vec![(0, count.saturating_sub(1))];
        let failed = vec![FailedRecords { error, region: None, count, ranges }];
        Self { records: count, undelivered: count, failed, acknowledgements: None }
    }
}

/// The Region and the error that failures are grouped by.
type GroupKey = (Option<String>, String);

/// Error of the group for what is in no other.
const OTHER_ERRORS: &str = "other errors";

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
            let is_full = groups.len() >= MAX_GROUPS && !groups.contains_key(&key);
            let key = if is_full { (None, OTHER_ERRORS.to_owned()) } else { key };
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

    const STOPPED: Result<Outcome, PushError> = Err(PushError::Stopped);

    #[test]
    fn a_response_groups_failures_and_has_acknowledgements_on_request() {
        let outcomes = [Ok(outcome(2)), STOPPED];
        let mut expected = json!({
            "records": 2,
            "undelivered": 2,
            "failed": [
                { "error": "not encrypted: the pusher was stopped", "count": 1, "ranges": [[1, 1]] },
                {
                    "error": "timed out (Timeout)",
                    "region": "eu-west-1",
                    "count": 1,
                    "ranges": [[0, 0]],
                },
            ],
        });
        let response = PushResponse::new(&outcomes, false);
        assert_eq!(serde_json::to_value(response).unwrap(), expected);
        expected["acknowledgements"] = json!([
            {
                "partitionKey": "key",
                "regions": {
                    "us-east-1": { "shardId": "s", "sequenceNumber": "7" },
                    "eu-west-1": { "error": "timed out (Timeout, 2 attempts)" },
                },
            },
            { "error": "not encrypted: the pusher was stopped" },
        ]);
        let response = PushResponse::new(&outcomes, true);
        assert_eq!(serde_json::to_value(response).unwrap(), expected);
    }

    #[test]
    fn a_response_never_exceeds_the_limit_of_lambda() {
        let alike = |count| vec![Ok(outcome(1)); count];
        assert!(PushResponse::new(&alike(1_000), true).acknowledgements.is_some());
        let alternating = |count: u32| {
            (0..count).map(|index| if index % 2 == 0 { Ok(outcome(index)) } else { STOPPED })
        };
        let region = || "eu-west-1".parse().unwrap();
        let all_different = (0..100_000).map(|size| {
            Err(PushError::TooLarge { size: size + (2 << 20), limit: 1 << 20, region: region() })
        });
        for outcomes in [alike(60_000), alternating(400_000).collect(), all_different.collect()] {
            let response = PushResponse::new(&outcomes, true);
            assert_eq!(
                (response.undelivered, response.acknowledgements.is_none()),
                (outcomes.len(), true)
            );
            assert!(response.failed.len() <= MAX_GROUPS + 1);
            let counted = response.failed.iter().map(|group| group.count).sum::<usize>();
            assert_eq!(counted, outcomes.len());
            assert!(serde_json::to_vec(&response).unwrap().len() <= MAX_BYTES);
        }
    }
}
