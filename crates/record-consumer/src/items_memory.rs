//! The memory that items take.

use std::mem::size_of;

use aws_sdk_dynamodb::types::AttributeValue;

/// A value in a list, with the text of a small number on the heap.
const VALUE_BYTES: usize = size_of::<AttributeValue>() + 16;
/// An attribute in a map, half of whose slots may be empty.
const ATTRIBUTE_BYTES: usize = 2 * (size_of::<(String, AttributeValue)>() + 1) + 16;
/// The smallest map has four slots.
const MAP_BYTES: usize = 4 * (size_of::<(String, AttributeValue)>() + 1) + 16;

/// Estimates the bytes of memory that a plaintext's items take, rather too high than too low, from
/// the characters that separate values. Those inside of texts count too.
pub(crate) fn items_memory(plaintext: &[u8]) -> usize {
    let separators = plaintext.iter().map(|byte| match byte {
        b'{' => MAP_BYTES,
        b':' => ATTRIBUTE_BYTES,
        b'[' | b',' => VALUE_BYTES,
        _ => 0,
    });
    plaintext.len() + separators.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Schema;

    #[test]
    fn no_items_take_more_and_none_take_much_less() {
        let schema = Schema { key: "id:S".parse().unwrap(), version: None };
        // As many as an item may have.
        let many = |value: &str| vec![value; 20_000].join(",");
        let long_numbers = vec!["12345678901234567890123456789012345678"; 10_000].join(",");
        let attributes: Vec<_> = (0..5_000).map(|at| format!(r#""{at}":{at}"#)).collect();
        for (name, value) in [
            ("digits", format!("[{}]", many("0"))),
            ("long numbers", format!("[{long_numbers}]")),
            ("empty texts", format!("[{}]", many(r#""""#))),
            ("nulls", format!("[{}]", many("null"))),
            ("empty maps", format!("[{}]", many("{}"))),
            ("maps of one attribute", format!("[{}]", many(r#"{"a":0}"#))),
            ("empty lists", format!("[{}]", many("[]"))),
            ("lists of one value", format!("[{}]", many("[0]"))),
            ("one map", format!("{{{}}}", attributes.join(","))),
            ("text", format!(r#""{}""#, "x".repeat(100_000))),
        ] {
            let plaintext = format!(r#"{{"id":"a","v":{value}}}"#).into_bytes();
            let estimate = items_memory(&plaintext);
            let mut entries = None;
            let used = allocation_counter::measure(|| {
                entries = Some(schema.entries(&plaintext, "1").unwrap());
            });
            let used = usize::try_from(used.bytes_current).unwrap();
            assert!((used..used * 8).contains(&estimate), "{name}: {estimate}, {used}");
        }
    }
}
