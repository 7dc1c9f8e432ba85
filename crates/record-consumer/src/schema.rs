//! From a plaintext to items of the table.

use record_cipher::aggregate::{InvalidMember, Member, parse_plaintext};

use crate::failure::Reason;
use crate::item::{ItemKey, key_of, to_item};
use crate::key_attributes::KeyAttributes;
use crate::table::Item;
use crate::version::{Version, VersionRule};

/// An item to write.
pub(crate) struct Entry {
    /// Index of the record in its aggregate, from 0; `None` if the message holds one record.
    pub(crate) member: Option<usize>,
    pub(crate) key: ItemKey,
    /// `None` if versions are not compared.
    pub(crate) version: Option<Version>,
    pub(crate) item: Item,
}

/// A record of a message that cannot be an item.
#[derive(Debug)]
pub(crate) struct BadMember {
    /// As in [`Entry`].
    pub(crate) member: Option<usize>,
    pub(crate) reason: Reason,
}

/// What the table requires of an item.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) key: KeyAttributes,
    pub(crate) version: Option<VersionRule>,
}

impl Schema {
    /// Converts the records of a plaintext, in order. A bad member of an aggregate does not affect
    /// the others.
    ///
    /// # Errors
    /// The plaintext does not hold records.
    pub(crate) fn entries(
        &self,
        plaintext: &[u8],
        sequence_number: &str,
    ) -> Result<Vec<Result<Entry, BadMember>>, Reason> {
        let members = parse_plaintext(plaintext)?.into_iter();
        let entry = |member: Result<_, InvalidMember>| match member {
            Ok(member) => self.entry(member, sequence_number),
            Err(bad) => Err(BadMember { member: Some(bad.index), reason: bad.into() }),
        };
        Ok(members.map(entry).collect())
    }

    fn entry(
        &self,
        Member { index, json }: Member<'_>,
        sequence_number: &str,
    ) -> Result<Entry, BadMember> {
        let bad = |invalid| BadMember { member: index, reason: Reason::Item(invalid) };
        let (mut item, size) = to_item(json).map_err(bad)?;
        let version = self
            .version
            .as_ref()
            .map(|rule| rule.apply(&mut item, size, sequence_number, index.unwrap_or_default()));
        let version = version.transpose().map_err(bad)?;
        let key = key_of(&item, &self.key).map_err(bad)?;
        Ok(Entry { member: index, key, version, item })
    }
}
