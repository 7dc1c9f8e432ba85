//! From JSON to an item of the table.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::key_attributes::{KeyAttribute, KeyType};
use crate::number::{Decimal, OutOfRange};
use crate::table::Item;

/// Maximum length of an attribute's name, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 65_535;

/// DynamoDB's limit on the size of an item, in bytes as DynamoDB counts them.
const MAX_ITEM_BYTES: usize = 400 << 10;
/// DynamoDB's limit on nesting.
const MAX_DEPTH: usize = 32;
/// DynamoDB's limits on the values of the partition key and of the sort key, in bytes.
const MAX_KEY_BYTES: [usize; 2] = [2048, 1024];
/// Characters of an attribute's path that a reason shows.
const MAX_SHOWN_CHARACTERS: usize = 128;

/// Why a record cannot be an item of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", attribute(.path))]
pub(crate) struct InvalidItem {
    /// The attribute, as in `a.b[3]`; empty for the record as a whole.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) reason: InvalidItemReason,
}

/// Names may come from the record, so they are cut off and escaped.
fn attribute(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let shown = path.chars().take(MAX_SHOWN_CHARACTERS).flat_map(char::escape_debug);
    let end = if path.chars().count() > MAX_SHOWN_CHARACTERS { "…" } else { "" };
    format!("attribute {}{end}: ", shown.collect::<String>())
}

/// What DynamoDB would not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidItemReason {
    /// A number has too many digits.
    #[error("the number has more than 38 significant digits")]
    Digits,
    /// A number is too large or too small.
    #[error("the number is outside 1E-130 to 9.9E+125")]
    Magnitude,
    /// An attribute's name is empty or too long.
    #[error("the name of an attribute must have 1 to 65535 bytes")]
    Name,
    /// Maps and lists are nested too deeply.
    #[error("it is nested deeper than 32 levels")]
    Depth,
    /// A key attribute of the table is missing.
    #[error("the table's key attribute is missing")]
    MissingKey,
    /// A key attribute has another type than the table's.
    #[error("the table's key attribute must be a {0}")]
    KeyType(&'static str),
    /// A key attribute is empty or too long.
    #[error("the value of this key attribute must have 1 to {0} bytes")]
    KeyLength(usize),
    /// The version attribute is missing.
    #[error("the version attribute is missing")]
    MissingVersion,
    /// The version attribute has another type or form.
    #[error(
        "the version attribute must be a number, or a time such as 2026-01-31T12:00:00.000Z (YYYY-MM-DDTHH:MM:SS.sssZ)"
    )]
    VersionType,
    /// The record has the attribute that the consumer sets.
    #[error("the consumer sets this attribute (VERSION_FROM=sequence-number); rename the record's")]
    VersionPresent,
    /// A text contains an unpaired surrogate.
    #[error("the text is not valid Unicode")]
    Text,
    /// The item is too large.
    #[error("the item has {0} bytes; a table takes 409600")]
    Size(usize),
}

/// Identifies an item: the values of its key attributes.
pub(crate) type ItemKey = Vec<KeyValue>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum KeyValue {
    Text(String),
    Number(Decimal),
}

/// Converts a JSON object to an item. Returns the item's size, in bytes as DynamoDB counts them.
pub(crate) fn to_item(record: &RawValue) -> Result<(Item, usize), InvalidItem> {
    let mut conversion = Conversion::default();
    let item = conversion.map(record)?;
    check_size(conversion.size)?;
    Ok((item, conversion.size))
}

/// # Errors
/// The item is larger than DynamoDB's limit.
pub(crate) fn check_size(size: usize) -> Result<(), InvalidItem> {
    match size > MAX_ITEM_BYTES {
        true => Err(InvalidItem { path: String::new(), reason: InvalidItemReason::Size(size) }),
        false => Ok(()),
    }
}

/// Returns the key of an item.
pub(crate) fn key_of(item: &Item, schema: &[KeyAttribute]) -> Result<ItemKey, InvalidItem> {
    schema.iter().zip(MAX_KEY_BYTES).map(|(key, limit)| key_value(item, key, limit)).collect()
}

fn key_value(item: &Item, key: &KeyAttribute, limit: usize) -> Result<KeyValue, InvalidItem> {
    let error = |reason| InvalidItem { path: key.name.clone(), reason };
    let value = item.get(&key.name).ok_or_else(|| error(InvalidItemReason::MissingKey))?;
    match (key.key_type, value) {
        (KeyType::Text, AttributeValue::S(text)) if (1..=limit).contains(&text.len()) => {
            Ok(KeyValue::Text(text.clone()))
        }
        (KeyType::Text, AttributeValue::S(_)) => Err(error(InvalidItemReason::KeyLength(limit))),
        (KeyType::Number, AttributeValue::N(number)) => {
            Decimal::of_json(number).map(KeyValue::Number).map_err(|reason| error(reason.into()))
        }
        (KeyType::Text, _) => Err(error(InvalidItemReason::KeyType("string"))),
        (KeyType::Number, _) => Err(error(InvalidItemReason::KeyType("number"))),
    }
}

/// Keeps the path to the value in hand, and the size of what is done.
#[derive(Default)]
struct Conversion {
    path: Vec<Step>,
    size: usize,
}

enum Step {
    Name(String),
    Index(usize),
}

impl Conversion {
    fn map(&mut self, json: &RawValue) -> Result<Item, InvalidItem> {
        let map: HashMap<String, &RawValue> = self.parse(json)?;
        let mut attributes = HashMap::with_capacity(map.len());
        for (name, value) in map {
            let value = self.inside(Step::Name(name.clone()), |inner| {
                if !(1..=MAX_NAME_BYTES).contains(&name.len()) {
                    return Err(inner.error(InvalidItemReason::Name));
                }
                inner.size += name.len();
                inner.value(value)
            })?;
            attributes.insert(name, value);
        }
        Ok(attributes)
    }

    /// Sizes are from the Amazon DynamoDB developer guide, item sizes and formats.
    fn value(&mut self, json: &RawValue) -> Result<AttributeValue, InvalidItem> {
        if self.path.len() > MAX_DEPTH {
            return Err(self.error(InvalidItemReason::Depth));
        }
        match json.get() {
            "null" => {
                self.size += 1;
                Ok(AttributeValue::Null(true))
            }
            literal @ ("true" | "false") => {
                self.size += 1;
                Ok(AttributeValue::Bool(literal == "true"))
            }
            text if text.starts_with('"') => {
                let text: String = self.parse(json)?;
                self.size += text.len();
                Ok(AttributeValue::S(text))
            }
            list if list.starts_with('[') => self.list(json),
            map if map.starts_with('{') => {
                let attributes = self.map(json)?;
                self.size += 3 + attributes.len();
                Ok(AttributeValue::M(attributes))
            }
            number => {
                let decimal =
                    Decimal::of_json(number).map_err(|reason| self.error(reason.into()))?;
                self.size += decimal.size();
                Ok(AttributeValue::N(decimal.to_string()))
            }
        }
    }

    fn list(&mut self, json: &RawValue) -> Result<AttributeValue, InvalidItem> {
        let list: Vec<&RawValue> = self.parse(json)?;
        self.size += 3 + list.len();
        // Not collected: a list that grows takes up to twice the memory.
        let mut elements = Vec::with_capacity(list.len());
        for (at, value) in list.into_iter().enumerate() {
            elements.push(self.inside(Step::Index(at), |inner| inner.value(value))?);
        }
        Ok(AttributeValue::L(elements))
    }

    /// Of a value that is known to be JSON, so that only its texts can be wrong.
    fn parse<'a, T: Deserialize<'a>>(&self, json: &'a RawValue) -> Result<T, InvalidItem> {
        serde_json::from_str(json.get()).map_err(|_| self.error(InvalidItemReason::Text))
    }

    fn inside<T>(
        &mut self,
        step: Step,
        convert: impl FnOnce(&mut Self) -> Result<T, InvalidItem>,
    ) -> Result<T, InvalidItem> {
        self.path.push(step);
        let converted = convert(self);
        self.path.pop();
        converted
    }

    fn error(&self, reason: InvalidItemReason) -> InvalidItem {
        let mut path = String::new();
        for step in &self.path {
            match step {
                Step::Index(at) => path += &format!("[{at}]"),
                Step::Name(name) if path.is_empty() => path += name,
                Step::Name(name) => path += &format!(".{name}"),
            }
        }
        InvalidItem { path, reason }
    }
}

impl From<OutOfRange> for InvalidItemReason {
    fn from(reason: OutOfRange) -> Self {
        match reason {
            OutOfRange::Digits => InvalidItemReason::Digits,
            OutOfRange::Magnitude => InvalidItemReason::Magnitude,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(keys: &[(&str, KeyType)]) -> Vec<KeyAttribute> {
        keys.iter()
            .map(|(name, key_type)| KeyAttribute { name: (*name).to_owned(), key_type: *key_type })
            .collect()
    }

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    fn convert(json: &str) -> Result<(ItemKey, Item), InvalidItem> {
        with_key(json, &schema(&[("id", KeyType::Text)]))
    }

    fn with_key(json: &str, schema: &[KeyAttribute]) -> Result<(ItemKey, Item), InvalidItem> {
        let (item, _) = to_item(raw(json))?;
        Ok((key_of(&item, schema)?, item))
    }

    fn reason(json: &str) -> String {
        convert(json).unwrap_err().to_string()
    }

    #[test]
    fn every_type_of_json_has_its_attribute() {
        let json = r#"{"id":"1","n":1.50,"b":true,"z":null,"l":[1,"a",[]],"m":{"x":{}},"e":""}"#;
        let item = convert(json).unwrap().1;
        let n = |number: &str| AttributeValue::N(number.to_owned());
        let s = |text: &str| AttributeValue::S(text.to_owned());
        let m = |pairs: Vec<(&str, AttributeValue)>| -> Item {
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
        };
        let expected = m(vec![
            ("id", s("1")),
            ("n", n("1.5")),
            ("b", AttributeValue::Bool(true)),
            ("z", AttributeValue::Null(true)),
            ("l", AttributeValue::L(vec![n("1"), s("a"), AttributeValue::L(vec![])])),
            ("m", AttributeValue::M(m(vec![("x", AttributeValue::M(m(vec![])))]))),
            ("e", s("")),
        ]);
        assert_eq!(item, expected);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let digits = "12345678901234567890.123456789012345678";
        let item = convert(&format!(r#"{{"id":"1","n":{digits}}}"#)).unwrap().1;
        assert_eq!(item["n"], AttributeValue::N(digits.to_owned()));
    }

    #[test]
    fn problems_are_named_with_their_path() {
        let long = "1".repeat(39);
        assert_eq!(
            reason(&format!(r#"{{"id":"1","a":{{"b":[0,{long}]}}}}"#)),
            "attribute a.b[1]: the number has more than 38 significant digits"
        );
        assert_eq!(
            reason(r#"{"id":"1","a":[1e126]}"#),
            "attribute a[0]: the number is outside 1E-130 to 9.9E+125"
        );
        assert!(reason(r#"{"id":"1","a":{"":1}}"#).contains("name of an attribute"));
        assert_eq!(
            reason(r#"{"id":"1","a":"\ud800"}"#),
            "attribute a: the text is not valid Unicode"
        );
        assert_eq!(reason("{}"), "attribute id: the table's key attribute is missing");
        assert!(reason(r#"{"id":5}"#).contains("must be a string"));
        assert!(reason(r#"{"id":""}"#).contains("1 to 2048 bytes"));
        assert!(reason(&format!(r#"{{"id":"{}"}}"#, "x".repeat(2049))).contains("2048"));
    }

    #[test]
    fn long_and_odd_names_are_cut_off_and_escaped() {
        let shown = reason(&format!(r#"{{"id":"1","{}":1e999}}"#, "x".repeat(65_535)));
        assert!(shown.starts_with(&format!("attribute {}…: ", "x".repeat(128))), "{shown}");
        let deep = "{\"abcdefghi\":".repeat(30);
        let shown = reason(&format!(r#"{{"id":"1","a":{deep}1e999{}}}"#, "}".repeat(30)));
        assert!(shown.contains("…: the number is outside"), "{shown}");
        assert!(reason(r#"{"id":"1","a\nb":1e999}"#).starts_with(r"attribute a\nb: "));
    }

    #[test]
    fn nesting_ends_at_32_levels() {
        let nested = |levels: usize| {
            format!(r#"{{"id":"1","a":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels))
        };
        assert!(convert(&nested(31)).is_ok());
        assert!(reason(&nested(32)).ends_with("nested deeper than 32 levels"));
    }

    #[test]
    fn items_end_at_400_kibibytes() {
        // "id" and "1" have 3 bytes, "a" has 1.
        let of_size = |size: usize| format!(r#"{{"id":"1","a":"{}"}}"#, "x".repeat(size - 4));
        assert!(convert(&of_size(409_600)).is_ok());
        assert_eq!(reason(&of_size(409_601)), "the item has 409601 bytes; a table takes 409600");
    }

    #[test]
    fn equal_numbers_are_the_same_key() {
        let schema = schema(&[("id", KeyType::Number), ("at", KeyType::Text)]);
        let key = |json| with_key(json, &schema).unwrap().0;
        assert_eq!(key(r#"{"id":1,"at":"a"}"#), key(r#"{"id":1.0e0,"at":"a"}"#));
        assert_ne!(key(r#"{"id":1,"at":"a"}"#), key(r#"{"id":1,"at":"b"}"#));
        let long_sort_key = format!(r#"{{"id":1,"at":"{}"}}"#, "x".repeat(1025));
        let error = with_key(&long_sort_key, &schema).unwrap_err();
        assert_eq!(error.reason, InvalidItemReason::KeyLength(1024));
    }
}
