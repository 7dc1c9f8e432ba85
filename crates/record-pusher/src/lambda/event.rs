//! What the function is invoked with.

use std::fmt;

use record_cipher::Record;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The event of the function: one record, or `{"records": [record, …]}`.
///
/// The events of other services, which have the same shape as a record, are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushEvent(Vec<Record>);

impl PushEvent {
    /// Adds a text attribute of this name to every record that has none.
    #[must_use]
    pub fn or_insert(self, name: &str, value: &str) -> Self {
        Self(self.0.into_iter().map(|record| record.or_insert(name, value)).collect())
    }

    pub(crate) fn into_records(self) -> Vec<Record> {
        self.0
    }
}

impl<'de> Deserialize<'de> for PushEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = <&RawValue>::deserialize(deserializer)?;
        records(event).map(Self).map_err(D::Error::custom)
    }
}

/// Attributes that only the events of other services have.
const FOREIGN: [(&[&str], &str); 4] = [
    (&["Records"], "SQS, SNS, S3 or a stream"),
    (&["requestContext", "headers"], "API Gateway or a function URL"),
    (&["detail-type", "source"], "EventBridge"),
    (&["awslogs"], "CloudWatch Logs"),
];

fn records(event: &RawValue) -> Result<Vec<Record>, String> {
    let Ok(Attributes(attributes)) = serde_json::from_str(event.get()) else {
        let record = Record::try_from(event).map_err(|error| format!("the event {error}"))?;
        return Ok(vec![record]);
    };
    let has = |name: &str| attributes.iter().any(|(attribute, _)| attribute == name);
    if let Some((_, service)) = FOREIGN.iter().find(|(names, _)| names.iter().all(|name| has(name)))
    {
        return Err(format!(
            "the event is one of {service}, not a record: invoke the function with one record, or with \
             {{\"records\": […]}}"
        ));
    }
    if !has("records") {
        return Ok(vec![Record::try_from(event).map_err(|error| format!("the event {error}"))?]);
    }
    let [(_, list)] = attributes.as_slice() else {
        return Err("the event has \"records\" beside other attributes; give it alone".to_owned());
    };
    let elements: Vec<&RawValue> = serde_json::from_str(list.get())
        .map_err(|_| "\"records\" must be a list of records".to_owned())?;
    let element = |(index, json): (usize, &RawValue)| {
        Record::try_from(json).map_err(|error| format!("records[{index}] {error}"))
    };
    elements.into_iter().enumerate().map(element).collect()
}

/// The attributes of an object in order, repeated ones included.
struct Attributes<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Attributes<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AttributesVisitor;

        impl<'de> Visitor<'de> for AttributesVisitor {
            type Value = Attributes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut attributes = Vec::new();
                while let Some(attribute) = map.next_entry()? {
                    attributes.push(attribute);
                }
                Ok(Attributes(attributes))
            }
        }

        deserializer.deserialize_map(AttributesVisitor)
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
        assert_eq!(records_of("{}"), Ok(1));
    }

    #[test]
    fn an_event_that_may_mean_something_else_is_refused() {
        for event in [
            r#"{"Records":[{"messageId":"1","body":"{}"}]}"#,
            r#"{"Records":[{"Sns":{"Message":"{}"}}]}"#,
            r#"{"requestContext":{},"headers":{},"body":"{}"}"#,
            r#"{"source":"aws.s3","detail-type":"Object Created","detail":{}}"#,
            r#"{"records":null}"#,
            r#"{"records":{}}"#,
            r#"{"records":5}"#,
            r#"{"records":[{}],"source":"x"}"#,
            r#"{"records":[{}],"records":[{}]}"#,
            "[]",
        ] {
            assert!(records_of(event).is_err(), "{event}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        let json = r#"{"records":[{"n":1.234567890123456789012345678}]}"#;
        let event: PushEvent = serde_json::from_str(json).unwrap();
        assert_eq!(event.0[0].as_json(), br#"{"n":1.234567890123456789012345678}"#);
    }

    #[test]
    fn an_element_that_is_not_an_object_is_named() {
        let error = records_of(r#"{"records": [{"id": "1"}, 7]}"#).unwrap_err();
        assert_eq!(error, "records[1] is not a JSON object");
    }
}
