//! Entries as items of a table.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::error::CacheError;
use crate::key::Key;
use crate::store::Entry;
use crate::value::{Unreadable, Value};

pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) const ID: &str = "id";
pub(super) const CACHED_VALUE: &str = "cached_value";
pub(super) const EXPIRES_AT: &str = "expires_at";
/// Of values other than texts: `bytes` or `nothing`.
const KIND: &str = "kind";
/// Of compressed values: `gzip`.
const COMPRESSION: &str = "compression";

const BYTES: &str = "bytes";
const NOTHING: &str = "nothing";
const GZIP: &str = "gzip";

/// DynamoDB's limit, names of attributes counted:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
const MAX_ITEM_BYTES: usize = 400 * 1024;
/// Most bytes of a number:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
const MAX_NUMBER_BYTES: usize = 21;
/// Most bytes of a compressed value, so that a few kilobytes cannot fill a reader's memory.
pub(super) const MAX_VALUE_BYTES: usize = 16 << 20;

/// Encodes an entry as an item, its value compressed if it has more than `compress_above` bytes.
///
/// A text is stored as it is. Bytes and compressed values are base64.
pub(super) fn encode(
    key: &Key,
    entry: &Entry,
    compress_above: Option<usize>,
) -> Result<Item, CacheError> {
    let bytes = entry.value.len();
    if bytes > MAX_VALUE_BYTES {
        return Err(too_large(key, bytes, MAX_VALUE_BYTES));
    }
    let compressed = compress_above.filter(|above| bytes > *above).map(|_| gzip(&entry.value));
    let (text, kind) = match &entry.value {
        Value::Text(text) => (text.clone(), None),
        Value::Bytes(bytes) => (STANDARD.encode(bytes), Some(BYTES)),
        Value::Nothing => (String::new(), Some(NOTHING)),
    };
    let (text, compression) = match compressed {
        Some(compressed) => (STANDARD.encode(compressed), Some(GZIP)),
        None => (text, None),
    };
    let mut item = plain(key, text, entry.expires_at);
    let marks = [(KIND, kind), (COMPRESSION, compression)].into_iter();
    let marks = marks.filter_map(|(name, value)| Some((name, value?)));
    item.extend(marks.map(|(name, value)| (name.to_owned(), string(value))));
    match size(&item) {
        bytes if bytes > MAX_ITEM_BYTES => Err(too_large(key, bytes, MAX_ITEM_BYTES)),
        _ => Ok(item),
    }
}

/// The three attributes that every item has.
pub(super) fn plain(key: &Key, text: String, expires_at: SystemTime) -> Item {
    HashMap::from([
        (ID.to_owned(), string(key.id())),
        (CACHED_VALUE.to_owned(), AttributeValue::S(text)),
        (EXPIRES_AT.to_owned(), seconds(expires_at)),
    ])
}

pub(super) fn string(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Whole seconds, the unit of DynamoDB's own time-to-live.
pub(super) fn seconds(time: SystemTime) -> AttributeValue {
    let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    AttributeValue::N(seconds.to_string())
}

fn size(item: &Item) -> usize {
    let value = |value: &AttributeValue| value.as_s().map_or(MAX_NUMBER_BYTES, String::len);
    item.iter().map(|(name, attribute)| name.len() + value(attribute)).sum()
}

fn too_large(key: &Key, bytes: usize, limit: usize) -> CacheError {
    CacheError::TooLarge { key: key.id().to_owned(), bytes, limit }
}

/// Returns `true` if decoding takes long enough to delay other tasks.
pub(super) fn is_compressed(item: &Item) -> bool {
    item.contains_key(COMPRESSION)
}

/// Decodes an item, which another program may have written.
pub(super) fn decode(mut item: Item) -> Result<Entry, Unreadable> {
    let expires_at = match item.remove(EXPIRES_AT) {
        Some(AttributeValue::N(seconds)) => time(&seconds).ok_or(Unreadable::Expiry)?,
        _ => return Err(Unreadable::Attribute { name: EXPIRES_AT, attribute_type: "N" }),
    };
    let Some(AttributeValue::S(text)) = item.remove(CACHED_VALUE) else {
        return Err(Unreadable::Attribute { name: CACHED_VALUE, attribute_type: "S" });
    };
    let kind = mark(&item, KIND)?;
    let compression = mark(&item, COMPRESSION)?;
    Ok(Entry::new(value(text, kind, compression)?, expires_at))
}

/// Seconds since 1970, fractions too.
fn time(seconds: &str) -> Option<SystemTime> {
    let since = match seconds.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?,
    };
    UNIX_EPOCH.checked_add(since)
}

fn mark<'a>(item: &'a Item, name: &'static str) -> Result<Option<&'a str>, Unreadable> {
    match item.get(name) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => Ok(Some(text)),
        Some(_) => Err(Unreadable::Attribute { name, attribute_type: "S" }),
    }
}

fn value(text: String, kind: Option<&str>, compression: Option<&str>) -> Result<Value, Unreadable> {
    let binary = |text| STANDARD.decode(text).map_err(|_| Unreadable::Base64);
    match (kind, compression) {
        (None, None) => Ok(Value::Text(text)),
        (Some(BYTES), None) => binary(text).map(Value::Bytes),
        (Some(NOTHING), None) => Ok(Value::Nothing),
        (None, Some(GZIP)) => String::from_utf8(gunzip(&binary(text)?)?)
            .map(Value::Text)
            .map_err(|_| Unreadable::Compression),
        (Some(BYTES), Some(GZIP)) => gunzip(&binary(text)?).map(Value::Bytes),
        (_, None) => Err(Unreadable::Unknown { name: KIND }),
        (_, Some(_)) => Err(Unreadable::Unknown { name: COMPRESSION }),
    }
}

fn gzip(value: &Value) -> Vec<u8> {
    let content = match value {
        Value::Text(text) => text.as_bytes(),
        Value::Bytes(bytes) => bytes,
        Value::Nothing => &[],
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(content).and_then(|()| encoder.finish());
    written.expect("a vector takes what is written")
}

fn gunzip(compressed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut content = Vec::new();
    let mut decoder = GzDecoder::new(compressed).take(MAX_VALUE_BYTES as u64 + 1);
    decoder.read_to_end(&mut content).map_err(|_| Unreadable::Compression)?;
    if content.len() > MAX_VALUE_BYTES {
        return Err(Unreadable::TooLarge { limit: MAX_VALUE_BYTES });
    }
    Ok(content)
}
