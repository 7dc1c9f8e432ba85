//! Records before they are encrypted.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Kinesis's limit on a partition key, in characters ("PutRecordsRequestEntry", API reference).
const MAX_PARTITION_KEY_CHARS: usize = 256;

/// A record: a JSON object, as the text that will be encrypted. Numbers keep every digit of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Vec<u8>);

impl Record {
    /// The record that a JSON text is.
    ///
    /// # Errors
    /// The text is not JSON, or not an object.
    pub fn from_json(text: &[u8]) -> Result<Self, NotARecord> {
        let text = std::str::from_utf8(text).map_err(|_| NotARecord::NotUtf8)?.trim();
        match serde_json::from_str::<Object>(text) {
            Ok(_) => Ok(Self(text.into())),
            Err(error) if error.classify() == Category::Data => Err(NotARecord::NotAnObject),
            Err(error) => Err(NotARecord::NotJson { line: error.line(), column: error.column() }),
        }
    }

    /// The record with a text as this top-level attribute, unless it has one of that name: a
    /// `traceparent`, say, for consumers to join their traces to the caller's. The text is encrypted
    /// with the record and counts towards its size.
    #[must_use]
    pub fn or_insert(mut self, name: &str, value: &str) -> Self {
        let names: HashMap<String, IgnoredAny> =
            serde_json::from_slice(&self.0).expect("a record is an object");
        if !names.contains_key(name) {
            let end = if names.is_empty() { "" } else { "," };
            let attribute = format!("{}:{}{end}", Value::from(name), Value::from(value));
            self.0.splice(1..1, attribute.into_bytes());
        }
        self
    }

    /// The value of a top-level field as a partition key: a string of 1 to 256 characters, which is
    /// what Kinesis takes, or a number as it is written.
    pub(crate) fn partition_key(&self, field: &str) -> Option<String> {
        let fields: HashMap<&str, &RawValue> = serde_json::from_slice(&self.0).ok()?;
        let value = fields.get(field)?.get();
        let key = match value.as_bytes().first()? {
            b'"' => serde_json::from_str(value).ok()?,
            b'-' | b'0'..=b'9' => value.to_owned(),
            _ => return None,
        };
        (1..=MAX_PARTITION_KEY_CHARS).contains(&key.chars().count()).then_some(key)
    }

    pub(crate) fn json_len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_json(self) -> Vec<u8> {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn as_json(&self) -> &[u8] {
        &self.0
    }
}

/// Any JSON object, of which nothing is kept.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor)
    }
}

struct ObjectVisitor;

impl<'de> Visitor<'de> for ObjectVisitor {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Object, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Object)
    }
}

impl From<&Map<String, Value>> for Record {
    fn from(map: &Map<String, Value>) -> Self {
        Self(serde_json::to_vec(map).expect("a map with text keys is JSON"))
    }
}

impl TryFrom<&RawValue> for Record {
    type Error = NotARecord;

    fn try_from(json: &RawValue) -> Result<Self, NotARecord> {
        Self::from_json(json.get().as_bytes())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("bytes", &self.0.len()).finish_non_exhaustive()
    }
}

/// Why a text is no record. Says nothing of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotARecord {
    /// It is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// It is not JSON.
    #[error("is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// Line of the text, from 1.
        line: usize,
        /// Column of the line.
        column: usize,
    },
    /// It is JSON, but not an object.
    #[error("is not a JSON object")]
    NotAnObject,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_records() {
        for text in ["{}", r#" {"a":1e400} "#, r#"{"a":{"b":[1,null]}}"#] {
            let record = Record::from_json(text.as_bytes()).unwrap();
            assert_eq!(record.into_json(), text.trim().as_bytes());
        }
        for text in ["[]", "1", "null", r#""text""#, "[{}]"] {
            assert_eq!(Record::from_json(text.as_bytes()), Err(NotARecord::NotAnObject), "{text}");
        }
        for text in ["", "{", r#"{"a":}"#, "{} {}", "{\"a\":\"\u{1}\"}", "{'a':1}"] {
            let error = Record::from_json(text.as_bytes()).unwrap_err();
            assert!(matches!(error, NotARecord::NotJson { .. }), "{text}");
        }
        assert_eq!(Record::from_json(b"{\"a\":\"\xff\"}"), Err(NotARecord::NotUtf8));
    }

    #[test]
    fn an_attribute_is_added_unless_it_is_there() {
        let with = |json: &str, name| {
            let record = Record::from_json(json.as_bytes()).unwrap().or_insert(name, "v\"");
            String::from_utf8(record.into_json()).unwrap()
        };
        assert_eq!(with("{}", "trace"), r#"{"trace":"v\""}"#);
        let number = r#"{"n":1.234567890123456789012345678}"#;
        let added = r#"{"a\"b":"v\"","n":1.234567890123456789012345678}"#;
        assert_eq!(with(number, "a\"b"), added);
        assert_eq!(
            with(r#" { "b" : {"trace":1} } "#, "trace"),
            r#"{"trace":"v\"", "b" : {"trace":1} }"#
        );
        for there in [r#"{"trace":null}"#, r#"{"a":1,"tr\u0061ce":"x"}"#] {
            assert_eq!(with(there, "trace"), there);
        }
    }

    #[test]
    fn debug_shows_nothing_of_the_record() {
        let record = Record::from_json(br#"{"name":"marker"}"#).unwrap();
        assert_eq!(format!("{record:?}"), "Record { bytes: 17, .. }");
    }
}
