//! What a plaintext holds.

use serde_json::value::RawValue;

use crate::failure::RecordFailure;
use crate::item::{ItemKey, to_item};
use crate::key_attributes::KeyAttributes;
use crate::table::Item;
use crate::version::Version;

/// An item that a record holds.
pub(crate) struct Entry {
    /// Where it is in the record's list of objects, from 0; none if the record is one object.
    pub(crate) element: Option<usize>,
    pub(crate) key: ItemKey,
    /// None if the consumer keeps no versions.
    pub(crate) version: Option<Version>,
    pub(crate) item: Item,
}

/// What a table asks of an item.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) key: KeyAttributes,
    pub(crate) version: Option<String>,
}

impl Schema {
    /// The items of a plaintext: an object is one, a list of objects is several.
    ///
    /// # Errors
    /// The plaintext, or any element of the list, is no item of the table. A list is taken whole
    /// or not at all.
    pub(crate) fn entries(&self, plaintext: &[u8]) -> Result<Vec<Entry>, RecordFailure> {
        let json: &RawValue = serde_json::from_slice(plaintext).map_err(not_json)?;
        if !json.get().starts_with('[') {
            return Ok(vec![self.entry(None, json)?]);
        }
        let list: Vec<&RawValue> = serde_json::from_str(json.get()).map_err(not_json)?;
        if list.is_empty() {
            return Err(RecordFailure::NotARecord);
        }
        let entries = list.into_iter().enumerate();
        entries.map(|(at, json)| self.entry(Some(at), json)).collect()
    }

    fn entry(&self, element: Option<usize>, json: &RawValue) -> Result<Entry, RecordFailure> {
        let entry = self.object(element, json);
        entry.map_err(|failure| failure.in_element(element))
    }

    fn object(&self, element: Option<usize>, json: &RawValue) -> Result<Entry, RecordFailure> {
        if !json.get().starts_with('{') {
            return Err(element.map_or(RecordFailure::NotARecord, |_| RecordFailure::NotAnObject));
        }
        let (key, item) = to_item(json, &self.key)?;
        let version = self.version.as_deref().map(|name| Version::of(&item, name)).transpose()?;
        Ok(Entry { element, key, version, item })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err")]
fn not_json(error: serde_json::Error) -> RecordFailure {
    RecordFailure::NotJson { line: error.line(), column: error.column() }
}
