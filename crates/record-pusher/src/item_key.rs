//! What DynamoDB demands of a record.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use record_cipher::Record;
use serde_json::value::RawValue;

/// Limits of DynamoDB ("Quotas in Amazon DynamoDB", developer guide).
const MAX_ITEM_BYTES: usize = 400 << 10;
const MAX_PARTITION_KEY_BYTES: usize = 2048;
const MAX_SORT_KEY_BYTES: usize = 1024;
const MAX_DIGITS: usize = 38;
const MAX_DEPTH: usize = 32;

/// Primary key of the DynamoDB table that records are written to: one attribute, or two with a sort
/// key. Parsed from text such as `id:S` or `account:S,number:N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemKey(Vec<KeyAttribute>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct KeyAttribute {
    name: String,
    key_type: KeyType,
    max_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyType {
    Text,
    Number,
}

/// A text that is not the key of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key of a table is NAME:S or NAME:N, or two of them separated by a comma")]
pub struct InvalidItemKey;

impl FromStr for ItemKey {
    type Err = InvalidItemKey;

    fn from_str(text: &str) -> Result<Self, InvalidItemKey> {
        let limits = [MAX_PARTITION_KEY_BYTES, MAX_SORT_KEY_BYTES];
        let attributes: Vec<_> = text.split(',').collect();
        if attributes.len() > limits.len() {
            return Err(InvalidItemKey);
        }
        let parse = |(text, max_bytes): (&str, usize)| {
            let (name, key_type) = text.trim().rsplit_once(':').ok_or(InvalidItemKey)?;
            let key_type = match key_type {
                "S" => KeyType::Text,
                "N" => KeyType::Number,
                _ => return Err(InvalidItemKey),
            };
            if name.is_empty() {
                return Err(InvalidItemKey);
            }
            Ok(KeyAttribute { name: name.to_owned(), key_type, max_bytes })
        };
        attributes.into_iter().zip(limits).map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, KeyAttribute { name, key_type, .. }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let key_type = match key_type {
                KeyType::Text => 'S',
                KeyType::Number => 'N',
            };
            write!(f, "{separator}{name}:{key_type}")?;
        }
        Ok(())
    }
}

/// Reason why a table cannot store a record. Shows nothing of the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidItem {
    /// A key attribute is missing, or its value cannot be a key.
    #[error("the table's key {name:?} must be {expected}")]
    Key {
        /// Name of the attribute.
        name: String,
        /// What its value must be.
        expected: &'static str,
    },
    /// The item would be too large.
    #[error("the record would be an item of {bytes} bytes; DynamoDB accepts {MAX_ITEM_BYTES}")]
    TooLarge {
        /// Bytes of the item.
        bytes: usize,
    },
    /// The record is nested too deeply.
    #[error(
        "the record is nested more than {MAX_DEPTH} levels deep, which DynamoDB does not accept"
    )]
    TooDeep,
}

type Fields<'a> = HashMap<String, &'a RawValue>;

impl ItemKey {
    /// Checks that the table can store a record.
    pub(crate) fn check(&self, record: &Record) -> Result<(), InvalidItem> {
        let fields: Fields<'_> =
            serde_json::from_slice(record.as_json()).expect("a record is an object");
        self.0.iter().try_for_each(|attribute| attribute.check(&fields))?;
        match fields_size(&fields, 1).ok_or(InvalidItem::TooDeep)? {
            bytes if bytes > MAX_ITEM_BYTES => Err(InvalidItem::TooLarge { bytes }),
            _ => Ok(()),
        }
    }
}

impl KeyAttribute {
    fn check(&self, fields: &Fields<'_>) -> Result<(), InvalidItem> {
        let value = fields.get(&self.name).map(|value| value.get());
        let (is_valid, expected) = match self.key_type {
            KeyType::Text => (
                value
                    .and_then(|json| serde_json::from_str::<String>(json).ok())
                    .is_some_and(|text| (1..=self.max_bytes).contains(&text.len())),
                "a string that is not empty, of up to 2048 bytes (1024 for a sort key)",
            ),
            KeyType::Number => (
                value.is_some_and(|json| is_number(json) && digits(json) <= MAX_DIGITS),
                "a number of up to 38 digits",
            ),
        };
        if is_valid {
            return Ok(());
        }
        Err(InvalidItem::Key { name: self.name.clone(), expected })
    }
}

fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Returns the significant digits of a number.
fn digits(number: &str) -> usize {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let mantissa = mantissa.trim_start_matches(['-', '0', '.']);
    let mantissa = if mantissa.contains('.') { mantissa } else { mantissa.trim_end_matches('0') };
    mantissa.bytes().filter(u8::is_ascii_digit).count()
}

/// Bytes that DynamoDB adds to a list or map, and to each element in it.
///
/// Source: "DynamoDB item sizes and formats", developer guide.
const CONTAINER_OVERHEAD: usize = 3;
const ELEMENT_OVERHEAD: usize = 1;

/// Returns the size of attributes with their names, or `None` if they are nested too deeply.
fn fields_size(fields: &Fields<'_>, depth: usize) -> Option<usize> {
    let sizes = fields.iter().map(|(name, value)| Some(name.len() + value_size(value, depth)?));
    sizes.sum()
}

fn value_size(value: &RawValue, depth: usize) -> Option<usize> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'{' | b'[') if depth > MAX_DEPTH => None,
        Some(b'{') => {
            let fields: Fields<'_> = serde_json::from_str(json).unwrap_or_default();
            let overhead = CONTAINER_OVERHEAD + fields.len() * ELEMENT_OVERHEAD;
            Some(overhead + fields_size(&fields, depth + 1)?)
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            let sizes = elements.iter().map(|value| value_size(value, depth + 1));
            let overhead = CONTAINER_OVERHEAD + elements.len() * ELEMENT_OVERHEAD;
            Some(overhead + sizes.sum::<Option<usize>>()?)
        }
        Some(b'"') => {
            Some(serde_json::from_str::<String>(json).map_or(json.len(), |text| text.len()))
        }
        Some(b't' | b'f' | b'n') => Some(1),
        _ => Some(digits(json).div_ceil(2) + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, json: &str) -> Result<(), InvalidItem> {
        let record = Record::from_json(json.as_bytes()).unwrap();
        key.parse::<ItemKey>().unwrap().check(&record)
    }

    #[test]
    fn keys_are_named_with_their_type() {
        for text in ["id:S", "a:b:N", "account:S,number:N"] {
            assert_eq!(text.parse::<ItemKey>().unwrap().to_string(), text);
        }
        for text in ["", "id", "id:", ":S", "id:B", "a:S,b:S,c:S", "a:S,", "id:s"] {
            assert_eq!(text.parse::<ItemKey>(), Err(InvalidItemKey), "{text}");
        }
    }

    #[test]
    fn a_record_needs_the_keys_of_the_table() {
        let long = |length| format!(r#"{{"id":"{}"}}"#, "x".repeat(length));
        for (key, good) in [
            ("id:S", r#"{"id":"1"}"#.to_owned()),
            ("id:S", r#"{"i\u0064":"1"}"#.to_owned()),
            ("id:S", long(2048)),
            ("id:N", r#"{"id":-1.50e3}"#.to_owned()),
            ("id:N", format!(r#"{{"id":1{}}}"#, "0".repeat(100))),
            ("id:S,n:N", r#"{"id":"1","n":0}"#.to_owned()),
        ] {
            assert_eq!(check(key, &good), Ok(()), "{key} {good}");
        }
        for (key, bad) in [
            ("id:S", r#"{"noid":1}"#.to_owned()),
            ("id:S", r#"{"id":1}"#.to_owned()),
            ("id:S", r#"{"id":""}"#.to_owned()),
            ("id:S", r#"{"id":null}"#.to_owned()),
            ("id:S", long(2049)),
            ("n:S,id:S", format!(r#"{{"n":"1",{}"#, &long(1025)[1..])),
            ("id:N", r#"{"id":"1"}"#.to_owned()),
            ("id:N", format!(r#"{{"id":1{}1}}"#, "0".repeat(37))),
            ("n:N,id:N", r#"{"n":1}"#.to_owned()),
        ] {
            let error = check(key, &bad).unwrap_err();
            assert!(matches!(&error, InvalidItem::Key { name, .. } if name == "id"), "{key} {bad}");
        }
    }

    #[test]
    fn a_record_must_fit_into_an_item() {
        let of_size = |bytes: usize| format!(r#"{{"id":"1","text":"{}"}}"#, "x".repeat(bytes));
        let rest = "id1text".len();
        assert_eq!(check("id:S", &of_size(MAX_ITEM_BYTES - rest)), Ok(()));
        let error = check("id:S", &of_size(MAX_ITEM_BYTES - rest + 1)).unwrap_err();
        assert_eq!(error, InvalidItem::TooLarge { bytes: MAX_ITEM_BYTES + 1 });

        let nested = |levels: usize| {
            format!(r#"{{"id":"1","n":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
        };
        assert_eq!(check("id:S", &nested(32)), Ok(()));
        assert_eq!(check("id:S", &nested(33)), Err(InvalidItem::TooDeep));
        assert_eq!(check("id:S", &nested(100_000)), Err(InvalidItem::TooDeep));
    }

    #[test]
    fn sizes_follow_the_developer_guide() {
        let size = |json: &str| {
            let value: &RawValue = serde_json::from_str(json).unwrap();
            value_size(value, 1).unwrap()
        };
        for (json, bytes) in [
            (r#""é\n""#, 3),
            ("true", 1),
            ("null", 1),
            ("27", 2),
            ("-27", 2),
            ("[]", 3),
            (r#"["a",true]"#, 7),
            (r#"{"ab":"c"}"#, 7),
        ] {
            assert_eq!(size(json), bytes, "{json}");
        }
    }
}
