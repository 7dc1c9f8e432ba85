//! Which of two items with the same key is newer.

use std::fmt;
use std::str::FromStr;

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::{InvalidItem, InvalidItemReason, check_size};
use crate::number::Decimal;
use crate::table::Item;

/// Where the versions of items come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum VersionFrom {
    /// The record has its version in the version attribute.
    #[default]
    Attribute,
    /// The version is the sequence number of the Kinesis record, and within an aggregate the index
    /// in it. The consumer adds it to the item, as text, in the version attribute.
    ///
    /// Sequence numbers only order the records of one shard. Records with equal item keys must
    /// therefore have equal partition keys.
    SequenceNumber,
}

impl FromStr for VersionFrom {
    type Err = InvalidVersionFrom;

    fn from_str(name: &str) -> Result<Self, InvalidVersionFrom> {
        match name {
            "attribute" => Ok(Self::Attribute),
            "sequence-number" => Ok(Self::SequenceNumber),
            _ => Err(InvalidVersionFrom),
        }
    }
}

impl fmt::Display for VersionFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attribute => "attribute",
            Self::SequenceNumber => "sequence-number",
        })
    }
}

/// Unknown source of versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 'attribute' or 'sequence-number'")]
pub struct InvalidVersionFrom;

/// How an item gets its version.
#[derive(Debug, Clone)]
pub(crate) struct VersionRule {
    /// Name of the version attribute.
    pub(crate) attribute: String,
    pub(crate) from: VersionFrom,
}

impl VersionRule {
    /// Returns the version of an item of `size` bytes, after adding it to the item if it is that of
    /// the Kinesis record.
    ///
    /// # Errors
    /// The item lacks a version, or has the attribute that is to be added.
    pub(crate) fn apply(
        &self,
        item: &mut Item,
        size: usize,
        sequence_number: &str,
        member: usize,
    ) -> Result<Version, InvalidItem> {
        if self.from == VersionFrom::Attribute {
            return Version::read(item, &self.attribute);
        }
        let version = sequence_version(sequence_number, member);
        check_size(size + self.attribute.len() + version.len())?;
        let value = AttributeValue::S(version.clone());
        match item.insert(self.attribute.clone(), value) {
            None => Ok(Version::Text(version)),
            Some(_) => Err(InvalidItem {
                path: self.attribute.clone(),
                reason: InvalidItemReason::VersionPresent,
            }),
        }
    }
}

/// Returns text whose order is that of sequence numbers, and within a message that of its members.
/// Kinesis's sequence numbers have 56 digits.
fn sequence_version(sequence_number: &str, member: usize) -> String {
    format!("{sequence_number:0>64}-{member:03}")
}

/// The value of an item's version attribute. Any time is newer than any number, so that all
/// versions have an order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Number(Decimal),
    /// A time in the one form that [`is_time`] accepts, or a sequence number. Their order is that of
    /// the text.
    Text(String),
}

impl Version {
    /// Reads the version of an item from its attribute `name`.
    ///
    /// # Errors
    /// The attribute is missing, or is neither a number nor a time.
    fn read(item: &Item, name: &str) -> Result<Self, InvalidItem> {
        let error = |reason| InvalidItem { path: name.to_owned(), reason };
        match item.get(name) {
            None => Err(error(InvalidItemReason::MissingVersion)),
            Some(AttributeValue::N(number)) => {
                Decimal::of_json(number).map(Self::Number).map_err(|reason| error(reason.into()))
            }
            Some(AttributeValue::S(text)) if is_time(text) => Ok(Self::Text(text.clone())),
            Some(_) => Err(error(InvalidItemReason::VersionType)),
        }
    }
}

/// Whether a text is a time in the form `YYYY-MM-DDTHH:MM:SS.sssZ`.
///
/// DynamoDB compares texts, byte by byte. With any other form beside this one, or with another
/// number of digits after the point, that would not be the order of time.
fn is_time(text: &str) -> bool {
    const FORM: &[u8] = b"0000-00-00T00:00:00.000Z";
    let fits = |(byte, form): (u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        mark => byte == *mark,
    };
    text.len() == FORM.len()
        && text.bytes().zip(FORM).all(fits)
        && DateTime::from_str(text, DateTimeFormat::DateTime).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(value: AttributeValue) -> Result<Version, String> {
        let item = Item::from([("v".to_owned(), value)]);
        Version::read(&item, "v").map_err(|error| error.to_string())
    }

    fn number(text: &str) -> Version {
        version(AttributeValue::N(text.to_owned())).unwrap()
    }

    fn time(text: &str) -> Result<Version, String> {
        version(AttributeValue::S(text.to_owned()))
    }

    #[test]
    fn numbers_are_ordered_by_value_and_times_come_after_them() {
        let first = time("0001-01-01T00:00:00.000Z").unwrap();
        let last = time("9999-12-31T23:59:59.999Z").unwrap();
        let ordered = [number("-10"), number("-9.5"), number("9.5"), number("10"), first, last];
        assert!(ordered.is_sorted());
    }

    #[test]
    fn only_times_whose_order_as_text_is_that_of_time_are_accepted() {
        assert!(time("2024-02-29T23:59:59.999Z").is_ok());
        for other in [
            "2026-01-05T08:01:26Z",
            "2026-01-05T08:01:26.5Z",
            "2026-01-05T08:01:26.500000Z",
            "2026-01-05T08:01:26.500+00:00",
            "2026-01-05T08:01:26,500Z",
            "2026-01-05 08:01:26.500Z",
            "2026-01-05t08:01:26.500z",
            "2026-02-29T08:01:26.500Z",
            "2026-01-05T24:00:00.000Z",
            "+026-01-05T08:01:26.500Z",
            "",
        ] {
            let error = time(other).err().unwrap();
            assert!(error.contains("attribute v: ") && error.contains(".sssZ"), "{other}: {error}");
        }
    }

    fn apply(item: &mut Item, sequence_number: &str, member: usize) -> Result<Version, String> {
        let rule = VersionRule { attribute: "v".to_owned(), from: VersionFrom::SequenceNumber };
        rule.apply(item, 10, sequence_number, member).map_err(|error| error.to_string())
    }

    #[test]
    fn sequence_numbers_are_ordered_by_value_and_then_by_member() {
        let version = |number, member| apply(&mut Item::new(), number, member).unwrap();
        let long = "49590338271490256608559692538361571095921575989136588898";
        let ordered = [
            version("9", 0),
            version("9", 1),
            version("9", 499),
            version("10", 0),
            version(long, 0),
            version(&long.replace("98", "99"), 0),
        ];
        assert!(ordered.is_sorted());
        assert!(ordered.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn the_sequence_number_is_added_to_the_item_and_replaces_nothing() {
        let mut item = Item::new();
        apply(&mut item, "7", 3).unwrap();
        assert_eq!(item["v"], AttributeValue::S(format!("{}7-003", "0".repeat(63))));
        let error = apply(&mut item, "8", 0).err().unwrap();
        assert!(error.starts_with("attribute v: the consumer sets this attribute"), "{error}");
        let rule = VersionRule { attribute: "v".to_owned(), from: VersionFrom::SequenceNumber };
        assert!(rule.apply(&mut Item::new(), 409_600 - 69, "7", 0).is_ok());
        assert!(rule.apply(&mut Item::new(), 409_600 - 68, "7", 0).is_err());
    }

    #[test]
    fn an_item_without_a_version_is_refused_with_the_attribute_named() {
        let missing = Version::read(&Item::new(), "v").err().unwrap().to_string();
        assert_eq!(missing, "attribute v: the version attribute is missing");
        assert!(version(AttributeValue::Bool(true)).is_err());
    }
}
