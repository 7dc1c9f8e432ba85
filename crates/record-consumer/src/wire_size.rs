//! The size of an item in a request.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::Item;

/// Returns the bytes that an item takes in DynamoDB's JSON, or some more. A list of small numbers
/// takes five times the bytes of the record's own JSON.
pub(crate) fn wire_size(item: &Item) -> usize {
    "{\"PutRequest\":{\"Item\":}},".len() + map_size(item)
}

fn map_size(attributes: &Item) -> usize {
    let attribute = |(name, value): (&String, &AttributeValue)| {
        text_size(name) + ":,".len() + value_size(value)
    };
    "{}".len() + attributes.iter().map(attribute).sum::<usize>()
}

fn value_size(value: &AttributeValue) -> usize {
    let type_size = "{\"NULL\":},".len();
    type_size
        + match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text_size(text),
            AttributeValue::L(list) => "[]".len() + list.iter().map(value_size).sum::<usize>(),
            AttributeValue::M(map) => map_size(map),
            AttributeValue::B(bytes) => bytes.as_ref().len() * 4 / 3 + "\"====\"".len(),
            _ => "false".len(),
        }
}

fn text_size(text: &str) -> usize {
    let byte_size = |byte: u8| match byte {
        b'"' | b'\\' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    "\"\"".len() + text.bytes().map(byte_size).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wire(value: &AttributeValue) -> Value {
        match value {
            AttributeValue::S(text) => json!({ "S": text }),
            AttributeValue::N(text) => json!({ "N": text }),
            AttributeValue::Bool(value) => json!({ "BOOL": value }),
            AttributeValue::L(list) => json!({ "L": list.iter().map(wire).collect::<Vec<_>>() }),
            AttributeValue::M(map) => json!({ "M": wire_map(map) }),
            _ => json!({ "NULL": true }),
        }
    }

    fn wire_map(map: &Item) -> Value {
        map.iter().map(|(name, value)| (name.clone(), wire(value))).collect()
    }

    #[test]
    fn no_item_takes_more_and_none_takes_much_less() {
        let s = |text: &str| AttributeValue::S(text.to_owned());
        let many = |value: AttributeValue| AttributeValue::L(vec![value; 1000]);
        for value in [
            s(&"x".repeat(1000)),
            s(&"\"\\\u{1}é\n".repeat(1000)),
            many(AttributeValue::N("0".to_owned())),
            many(s("")),
            many(AttributeValue::Null(true)),
            many(AttributeValue::Bool(false)),
            many(AttributeValue::L(Vec::new())),
            AttributeValue::M((0..1000).map(|at| (format!("{at}\""), s(""))).collect()),
        ] {
            let item = Item::from([("v".to_owned(), value)]);
            let actual = json!({ "PutRequest": { "Item": wire_map(&item) } }).to_string().len() + 1;
            let counted = wire_size(&item);
            assert!((actual..actual * 2).contains(&counted), "{counted}, {actual}");
        }
    }
}
