//! What the quarantine holds: records that record-consumer stored, and batches that Lambda skipped.

use serde::Deserialize;
use serde_json::Value;

/// A document of the quarantine.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) key: String,
    /// Changes when another document is stored under the key.
    pub(super) etag: String,
    pub(super) content: Content,
}

/// Why records are in the quarantine, and the records as Lambda delivers them.
#[derive(Debug, PartialEq)]
pub(super) struct Content {
    pub(super) time: String,
    pub(super) reason: String,
    pub(super) records: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    /// A record that record-consumer stored.
    Record { time: String, reason: String, record: Value },
    /// A batch in Lambda's on-failure destination.
    Batch {
        timestamp: String,
        #[serde(rename = "requestContext")]
        context: RequestContext,
        payload: Payload,
    },
}

#[derive(Deserialize)]
struct RequestContext {
    condition: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Payload {
    Text(String),
    Event(Event),
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Records")]
    records: Vec<Value>,
}

impl Content {
    /// Reads a document. `None` if it is of another kind.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let content = match serde_json::from_slice(json).ok()? {
            Stored::Record { time, reason, record } => Self { time, reason, records: vec![record] },
            Stored::Batch { timestamp, context, payload } => {
                let event = match payload {
                    Payload::Text(text) => serde_json::from_str(&text).ok()?,
                    Payload::Event(event) => event,
                };
                let reason = format!("skipped by Lambda: {}", context.condition);
                Self { time: timestamp, reason, records: event.records }
            }
        };
        let has_numbers = content.records.iter().all(|record| sequence_number(record).is_some());
        (has_numbers && !content.records.is_empty()).then_some(content)
    }
}

/// Returns the sequence number of a record, by which the function reports it.
pub(super) fn sequence_number(record: &Value) -> Option<&str> {
    record["kinesis"]["sequenceNumber"].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn record(number: &str) -> Value {
        json!({ "kinesis": { "sequenceNumber": number, "data": "AQI=" } })
    }

    fn parse(document: &Value) -> Option<Content> {
        Content::parse(document.to_string().as_bytes())
    }

    #[test]
    fn records_and_skipped_batches_are_read() {
        let stored =
            json!({ "time": "t", "reason": "r", "badMembers": [1], "record": record("7") });
        let expected = Content { time: "t".into(), reason: "r".into(), records: vec![record("7")] };
        assert_eq!(parse(&stored), Some(expected));
        let event = json!({ "Records": [record("7"), record("8")] });
        for payload in [event.clone(), json!(event.to_string())] {
            let skipped = json!({
                "requestContext": { "condition": "RetryAttemptsExhausted" },
                "timestamp": "t",
                "payload": payload,
            });
            let content = parse(&skipped).unwrap();
            assert_eq!(content.reason, "skipped by Lambda: RetryAttemptsExhausted");
            assert_eq!(content.records, [record("7"), record("8")]);
        }
    }

    #[test]
    fn documents_of_another_kind_are_not_read() {
        for document in [
            json!(null),
            json!({}),
            json!([1]),
            json!({ "time": "t", "reason": "r" }),
            json!({ "time": "t", "reason": "r", "record": {} }),
            json!({ "timestamp": "t", "requestContext": { "condition": "c" }, "payload": "no JSON" }),
            json!({ "timestamp": "t", "requestContext": { "condition": "c" }, "payload": { "Records": [] } }),
        ] {
            assert_eq!(parse(&document), None, "{document}");
        }
        assert_eq!(Content::parse(b"\xff"), None);
    }
}
