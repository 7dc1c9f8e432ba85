//! What a plaintext holds.

use record_cipher::aggregate::{Member, parse_plaintext};
use serde_json::value::RawValue;

use crate::failure::RecordFailure;
use crate::item::{ItemKey, to_item};
use crate::table::{Item, KeyAttribute};
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
    pub(crate) key: Vec<KeyAttribute>,
    pub(crate) version: Option<String>,
}

impl Schema {
    /// The items of a plaintext: an object is one, a list of objects is several.
    ///
    /// # Errors
    /// The plaintext, or any element of the list, is no item of the table. A list is taken whole
    /// or not at all.
    pub(crate) fn entries(&self, plaintext: &[u8]) -> Result<Vec<Entry>, RecordFailure> {
        let members = parse_plaintext(plaintext)?.into_iter();
        members.map(|member| self.entry(member?)).collect()
    }

    fn entry(&self, Member { index, json }: Member<'_>) -> Result<Entry, RecordFailure> {
        self.object(index, json).map_err(|failure| failure.in_element(index))
    }

    fn object(&self, element: Option<usize>, json: &RawValue) -> Result<Entry, RecordFailure> {
        let (key, item) = to_item(json, &self.key)?;
        let version = self.version.as_deref().map(|name| Version::of(&item, name)).transpose()?;
        Ok(Entry { element, key, version, item })
    }
}
