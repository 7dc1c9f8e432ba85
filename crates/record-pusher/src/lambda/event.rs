//! What the function is invoked with.

use std::fmt;

use record_cipher::Record;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The event of the function: one record, or `{"records": [record, …]}`. With
/// `"acknowledgements": true` beside the records, the response has the outcome of each.
///
/// The events of other services, which have the same shape as a record, are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushEvent {
    records: Vec<Record>,
    acknowledgements: bool,
}

impl PushEvent {
    /// Adds a text attribute of this name to every record that has none.
    #[must_use]
    pub fn or_insert(self, name: &str, value: &str) -> Self {
        let records = self.records.into_iter().map(|record| record.or_insert(name, value));
        Self { records: records.collect(), ..self }
    }

    pub(crate) fn wants_acknowledgements(&self) -> bool {
        self.acknowledgements
    }

    pub(crate) fn into_records(self) -> Vec<Record> {
        self.records
    }

    fn of_one(record: &RawValue) -> Result<Self, String> {
        let record = Record::try_from(record).map_err(|error| format!("the event {error}"))?;
        Ok(Self { records: vec![record], acknowledgements: false })
    }
}

impl<'de> Deserialize<'de> for PushEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = <&RawValue>::deserialize(deserializer)?;
        parse(event).map_err(D::Error::custom)
    }
}

/// Attributes that only the events of other services have.
const FOREIGN: [(&[&str], &str); 4] = [
    (&["Records"], "SQS, SNS, S3 or a stream"),
    (&["requestContext", "headers"], "API Gateway or a function URL"),
    (&["detail-type", "source"], "EventBridge"),
    (&["awslogs"], "CloudWatch Logs"),
];

fn parse(event: &RawValue) -> Result<PushEvent, String> {
    let Ok(Attributes(attributes)) = serde_json::from_str(event.get()) else {
        return PushEvent::of_one(event);
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
        return PushEvent::of_one(event);
    }
    let (mut list, mut acknowledgements) = (None, None);
    for (name, value) in attributes {
        let known = match name.as_str() {
            "records" => list.replace(value),
            "acknowledgements" => acknowledgements.replace(value),
            _ => Some(value),
        };
        if known.is_some() {
            return Err("the event has \"records\" beside other attributes than \
                        \"acknowledgements\"; give them once and alone"
                .to_owned());
        }
    }
    let list = list.map(RawValue::get).unwrap_or_default();
    let records: Vec<&RawValue> = serde_json::from_str(list)
        .map_err(|_| "\"records\" must be a list of records".to_owned())?;
    let acknowledgements =
        acknowledgements.map_or(Ok(false), |value| serde_json::from_str(value.get()));
    let acknowledgements =
        acknowledgements.map_err(|_| "\"acknowledgements\" must be true or false".to_owned())?;
    let record = |(index, json): (usize, &RawValue)| {
        Record::try_from(json).map_err(|error| format!("records[{index}] {error}"))
    };
    let records = records.into_iter().enumerate().map(record).collect::<Result<_, _>>()?;
    Ok(PushEvent { records, acknowledgements })
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
            .map(|event| event.records.len())
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
            r#"{"records":[{}],"acknowledgements":true,"acknowledgements":true}"#,
            r#"{"records":[{}],"acknowledgements":"yes"}"#,
            r#"{"acknowledgements":true,"records":[{}],"source":"x"}"#,
            "[]",
        ] {
            assert!(records_of(event).is_err(), "{event}");
        }
    }

    #[test]
    fn acknowledgements_are_asked_for_beside_the_records() {
        for (event, expected) in [
            (r#"{"records":[]}"#, false),
            (r#"{"acknowledgements":true,"records":[]}"#, true),
            (r#"{"records":[],"acknowledgements":false}"#, false),
            // A record, because it has no list of records.
            (r#"{"acknowledgements":true}"#, false),
        ] {
            let event: PushEvent = serde_json::from_str(event).unwrap();
            assert_eq!(event.wants_acknowledgements(), expected, "{event:?}");
        }
    }

    #[test]
    fn numbers_keep_their_digits() {
        let json = r#"{"records":[{"n":1.234567890123456789012345678}]}"#;
        let event: PushEvent = serde_json::from_str(json).unwrap();
        assert_eq!(event.records[0].as_json(), br#"{"n":1.234567890123456789012345678}"#);
    }

    #[test]
    fn an_element_that_is_not_an_object_is_named() {
        let error = records_of(r#"{"records": [{"id": "1"}, 7]}"#).unwrap_err();
        assert_eq!(error, "records[1] is not a JSON object");
    }
}
