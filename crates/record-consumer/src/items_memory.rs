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
