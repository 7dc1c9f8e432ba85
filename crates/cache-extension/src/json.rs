//! A DynamoDB item as JSON.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::ser::{Error, Serialize, Serializer};
use serde_json::value::RawValue;

/// The JSON object of an item, with its attributes in the order of their names.
///
/// Numbers are JSON numbers with every digit. Binary values are Base64, sets are lists.
///
/// # Errors
/// An attribute has a type that this version does not know.
pub(crate) fn of_item(item: &HashMap<String, AttributeValue>) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&object(item))
}

fn object(item: &HashMap<String, AttributeValue>) -> BTreeMap<&str, Attribute<'_>> {
    item.iter().map(|(name, value)| (name.as_str(), Attribute(value))).collect()
}

struct Attribute<'a>(&'a AttributeValue);

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            AttributeValue::S(text) => serializer.serialize_str(text),
            AttributeValue::N(number) => raw(number)?.serialize(serializer),
            AttributeValue::Bool(value) => serializer.serialize_bool(*value),
            AttributeValue::Null(_) => serializer.serialize_unit(),
            AttributeValue::B(bytes) => serializer.serialize_str(&BASE64_STANDARD.encode(bytes)),
            AttributeValue::M(map) => object(map).serialize(serializer),
            AttributeValue::L(list) => serializer.collect_seq(list.iter().map(Attribute)),
            AttributeValue::Ss(texts) => serializer.collect_seq(texts),
            AttributeValue::Ns(numbers) => {
                let numbers: Result<Vec<_>, _> = numbers.iter().map(|number| raw(number)).collect();
                serializer.collect_seq(numbers?)
            }
            AttributeValue::Bs(values) => {
                serializer.collect_seq(values.iter().map(|bytes| BASE64_STANDARD.encode(bytes)))
            }
            _ => Err(S::Error::custom("an attribute has an unknown type")),
        }
    }
}

/// A number with its own digits.
fn raw<E: Error>(number: &str) -> Result<Box<RawValue>, E> {
    match number.parse::<serde_json::Number>() {
        Ok(_) => RawValue::from_string(number.to_owned()).map_err(E::custom),
        Err(_) => Err(E::custom("an attribute of type N is not a JSON number")),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::primitives::Blob;

    use super::*;

    #[test]
    fn values_keep_their_types_and_numbers_their_digits() {
        let number = |text: &str| AttributeValue::N(text.to_owned());
        let blob = |bytes: &[u8]| Blob::new(bytes);
        let item = HashMap::from([
            ("text".to_owned(), AttributeValue::S("\"1\"\n".to_owned())),
            ("number".to_owned(), number("0.12345678901234567890123456789012345678")),
            ("large".to_owned(), number("9.9E+125")),
            ("yes".to_owned(), AttributeValue::Bool(true)),
            ("nothing".to_owned(), AttributeValue::Null(true)),
            ("bytes".to_owned(), AttributeValue::B(blob(&[0, 255]))),
            (
                "list".to_owned(),
                AttributeValue::L(vec![
                    number("1"),
                    AttributeValue::M([("b".to_owned(), number("2"))].into()),
                ]),
            ),
            ("texts".to_owned(), AttributeValue::Ss(vec!["a".to_owned()])),
            ("numbers".to_owned(), AttributeValue::Ns(vec!["1.50".to_owned()])),
            ("blobs".to_owned(), AttributeValue::Bs(vec![blob(&[1])])),
        ]);
        assert_eq!(
            String::from_utf8(of_item(&item).unwrap()).unwrap(),
            concat!(
                r#"{"blobs":["AQ=="],"bytes":"AP8=","large":9.9E+125,"list":[1,{"b":2}],"#,
                r#""nothing":null,"number":0.12345678901234567890123456789012345678,"#,
                r#""numbers":[1.50],"text":"\"1\"\n","texts":["a"],"yes":true}"#,
            )
        );
    }

    #[test]
    fn what_is_no_number_cannot_become_other_json() {
        for text in ["", "1,2", "\"1\"", "[1]", "NaN"] {
            let item = HashMap::from([("n".to_owned(), AttributeValue::N(text.to_owned()))]);
            assert!(of_item(&item).is_err(), "{text}");
        }
    }
}
