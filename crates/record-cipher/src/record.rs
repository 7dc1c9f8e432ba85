//! Records before they are encrypted.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Kinesis's limit on a partition key, in characters ("PutRecordsRequestEntry", API reference).
const MAX_PARTITION_KEY_CHARS: usize = 256;

/// A record: a JSON object, as the text that will be encrypted. Numbers keep all their digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Record(Vec<u8>);

impl Record {
    /// Checks that a text is a JSON object. Whitespace around it is removed.
    ///
    /// # Errors
    /// The text is not JSON, or not an object.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidRecord> {
        let text = std::str::from_utf8(text).map_err(|_| InvalidRecord::NotUtf8)?.trim();
        match serde_json::from_str::<Object>(text) {
            Ok(Object) => Ok(Self(text.into())),
            Err(error) if error.classify() == Category::Data => Err(InvalidRecord::NotAnObject),
            Err(error) => {
                Err(InvalidRecord::NotJson { line: error.line(), column: error.column() })
            }
        }
    }

    /// Serializes a value, such as a struct or a map with text keys.
    ///
    /// # Errors
    /// The value has no representation in JSON, or its representation is not an object.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, InvalidRecord> {
        // The error may quote the value, so it is not kept.
        let json = serde_json::to_vec(value).map_err(|_| InvalidRecord::NotSerializable)?;
        match json.first() {
            Some(b'{') => Ok(Self(json)),
            _ => Err(InvalidRecord::NotAnObject),
        }
    }

    /// Adds a top-level text attribute, unless the record has one of that name.
    ///
    /// A `traceparent`, for example, joins the traces of consumers to the caller's. The attribute
    /// is encrypted with the record and counts towards its size.
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

    /// Returns the value of a top-level field as a partition key, or `None` if it cannot be one.
    ///
    /// A partition key is a string of 1 to 256 characters, which is Kinesis's limit, or a number
    /// as it is written.
    #[must_use]
    pub fn partition_key(&self, field: &str) -> Option<String> {
        // Names are owned: those with escapes cannot be borrowed from the text.
        let fields: HashMap<String, &RawValue> = serde_json::from_slice(&self.0).ok()?;
        let value = fields.get(field)?.get();
        let key = match value.as_bytes().first()? {
            b'"' => serde_json::from_str(value).ok()?,
            b'-' | b'0'..=b'9' => value.to_owned(),
            _ => return None,
        };
        (1..=MAX_PARTITION_KEY_CHARS).contains(&key.chars().count()).then_some(key)
    }

    /// Returns the record's JSON.
    #[must_use]
    pub fn as_json(&self) -> &[u8] {
        &self.0
    }

    /// Returns the length of the record's JSON in bytes.
    #[must_use]
    pub fn json_len(&self) -> usize {
        self.0.len()
    }

    /// Returns the record's JSON.
    #[must_use]
    pub fn into_json(self) -> Vec<u8> {
        self.0
    }
}

/// Any JSON object. Deserializing one checks it and keeps nothing.
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

impl TryFrom<Value> for Record {
    type Error = InvalidRecord;

    fn try_from(value: Value) -> Result<Self, InvalidRecord> {
        Self::from_serialize(&value)
    }
}

impl TryFrom<&RawValue> for Record {
    type Error = InvalidRecord;

    fn try_from(json: &RawValue) -> Result<Self, InvalidRecord> {
        Self::from_json(json.get().as_bytes())
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("bytes", &self.0.len()).finish_non_exhaustive()
    }
}

/// A text or value that is not a record. Names no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRecord {
    /// The text is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// The text is not JSON.
    #[error("is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// Line of the text, from 1.
        line: usize,
        /// Column of the line.
        column: usize,
    },
    /// The text or value is JSON, but not an object.
    #[error("is not a JSON object")]
    NotAnObject,
    /// A value has no representation in JSON, such as a map whose keys are not texts.
    #[error("cannot be written as JSON")]
    NotSerializable,
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
            assert_eq!(
                Record::from_json(text.as_bytes()),
                Err(InvalidRecord::NotAnObject),
                "{text}"
            );
        }
        for text in ["", "{", r#"{"a":}"#, "{} {}", "{\"a\":\"\u{1}\"}", "{'a':1}"] {
            let error = Record::from_json(text.as_bytes()).unwrap_err();
            assert!(matches!(error, InvalidRecord::NotJson { .. }), "{text}");
        }
        assert_eq!(Record::from_json(b"{\"a\":\"\xff\"}"), Err(InvalidRecord::NotUtf8));
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
    fn values_that_serialize_to_objects_are_records() {
        #[derive(serde::Serialize)]
        struct Payment<'a> {
            id: &'a str,
            amount: u32,
        }
        let record = Record::from_serialize(&Payment { id: "42", amount: 1250 }).unwrap();
        assert_eq!(record.as_json(), br#"{"id":"42","amount":1250}"#);
        let value = serde_json::json!({"id": "42", "list": [1.5, null]});
        assert_eq!(Record::try_from(value.clone()), Record::from_serialize(&value));
        for value in [serde_json::json!([{}]), 1.into(), "{}".into(), Value::Null, true.into()] {
            assert_eq!(Record::try_from(value), Err(InvalidRecord::NotAnObject));
        }
        let keyed_by_lists = HashMap::from([(vec!["marker"], 1)]);
        let error = Record::from_serialize(&keyed_by_lists).unwrap_err();
        assert_eq!(error, InvalidRecord::NotSerializable);
    }

    #[test]
    fn partition_keys_are_found_whatever_the_attribute_names() {
        let key = |json: &str| Record::from_json(json.as_bytes()).unwrap().partition_key("account");
        for json in [
            r#"{"account":"7"}"#,
            r#"{"caf\u00e9":1,"account":"7"}"#,
            r#"{"account":"7","\u91d1\u984d":100,"a\"b\\":2,"\n":3,"\ud83d\ude00":4}"#,
            r#"{"\u0061ccount":"\u0037"}"#,
            r#"{ "nested" : {"account":"8"}, "account" : 7 }"#,
        ] {
            assert_eq!(key(json).as_deref(), Some("7"), "{json}");
        }
        assert_eq!(key(r#"{"account":-1.50e2}"#).as_deref(), Some("-1.50e2"));
        let long = |characters| format!(r#"{{"account":"{}"}}"#, "ä".repeat(characters));
        assert_eq!(key(&long(256)), Some("ä".repeat(256)));
        for json in [
            "{}",
            r#"{"account":""}"#,
            r#"{"account":null}"#,
            r#"{"account":["7"]}"#,
            r#"{"Account":"7"}"#,
            r#"{"account":"\ud800"}"#,
            &long(257),
        ] {
            assert_eq!(key(json), None, "{json}");
        }
    }

    #[test]
    fn names_that_are_no_text_are_refused_at_once() {
        let error = Record::from_json(br#"{"\ud800":1}"#).unwrap_err();
        assert!(matches!(error, InvalidRecord::NotJson { .. }), "{error}");
    }

    #[test]
    fn debug_shows_nothing_of_the_record() {
        let record = Record::from_json(br#"{"name":"marker"}"#).unwrap();
        assert_eq!(format!("{record:?}"), "Record { bytes: 17, .. }");
    }
}
