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

use super::names::AttributeNames;
use crate::error::CacheError;
use crate::key::Key;
use crate::store::Entry;
use crate::value::{Unreadable, Value};

pub(super) type Item = HashMap<String, AttributeValue>;

/// Of values other than texts: `bytes` or `nothing`.
const KIND: &str = "kind";
/// Of compressed values: `gzip`.
const COMPRESSION: &str = "compression";
/// When an item with a life of its own was written, in seconds since 1970.
const WRITTEN_AT: &str = "written_at";
/// Of items that were added: identifies the call, so that its retries find their own item.
pub(super) const ADDED_BY: &str = "added_by";
/// Attributes whose names are not settings.
pub(super) const FIXED: [&str; 4] = [KIND, COMPRESSION, WRITTEN_AT, ADDED_BY];

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
    names: &AttributeNames,
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
    let mut item = plain(names, key, text, entry.expires_at);
    item.extend(entry.written_at.map(|at| (WRITTEN_AT.to_owned(), seconds(at))));
    let marks = [(KIND, kind), (COMPRESSION, compression)].into_iter();
    let marks = marks.filter_map(|(name, value)| Some((name, value?)));
    item.extend(marks.map(|(name, value)| (name.to_owned(), string(value))));
    match size(&item) {
        bytes if bytes > MAX_ITEM_BYTES => Err(too_large(key, bytes, MAX_ITEM_BYTES)),
        _ => Ok(item),
    }
}

/// The three attributes that every item has.
pub(super) fn plain(
    names: &AttributeNames,
    key: &Key,
    text: String,
    expires_at: SystemTime,
) -> Item {
    HashMap::from([
        (names.key.clone(), string(key.id())),
        (names.value.clone(), AttributeValue::S(text)),
        (names.expiry.clone(), seconds(expires_at)),
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
pub(super) fn decode(names: &AttributeNames, mut item: Item) -> Result<Entry, Unreadable> {
    let missing = |name: &str, attribute_type| Unreadable::Attribute {
        name: name.to_owned(),
        attribute_type,
    };
    let expires_at = match item.remove(&names.expiry) {
        Some(AttributeValue::N(seconds)) => {
            let name = || names.expiry.clone();
            time(&seconds).ok_or_else(|| Unreadable::Expiry { name: name() })?
        }
        _ => return Err(missing(&names.expiry, "N")),
    };
    let Some(AttributeValue::S(text)) = item.remove(&names.value) else {
        return Err(missing(&names.value, "S"));
    };
    let kind = mark(&item, KIND)?;
    let compression = mark(&item, COMPRESSION)?;
    let entry = Entry::new(value(names, text, kind, compression)?, expires_at);
    // It only decides when the entry is refreshed.
    let written_at = item.get(WRITTEN_AT).and_then(|at| time(at.as_n().ok()?));
    Ok(Entry { written_at, ..entry })
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
        Some(_) => Err(Unreadable::Attribute { name: name.to_owned(), attribute_type: "S" }),
    }
}

fn value(
    names: &AttributeNames,
    text: String,
    kind: Option<&str>,
    compression: Option<&str>,
) -> Result<Value, Unreadable> {
    let not_base64 = || Unreadable::Base64 { name: names.value.clone() };
    let binary = |text| STANDARD.decode(text).map_err(|_| not_base64());
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
