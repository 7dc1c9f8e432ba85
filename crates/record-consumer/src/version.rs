//! Which of two items with the same key is newer.

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use aws_sdk_dynamodb::types::AttributeValue;

use crate::item::{InvalidItemReason, ItemError};
use crate::number::Decimal;
use crate::table::Item;

/// The value of an item's version attribute. Any time is newer than any number, so that all
/// versions have an order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Number(Decimal),
    /// In the one form that [`is_time`] accepts, whose order as text is that of time.
    Time(String),
}

impl Version {
    /// The version of an item in its attribute `name`.
    ///
    /// # Errors
    /// The attribute is not there, or is neither a number nor a time.
    pub(crate) fn of(item: &Item, name: &str) -> Result<Self, ItemError> {
        let error = |reason| ItemError { path: name.to_owned(), reason };
        match item.get(name) {
            None => Err(error(InvalidItemReason::MissingVersion)),
            Some(AttributeValue::N(number)) => {
                Decimal::of_json(number).map(Self::Number).map_err(|reason| error(reason.into()))
            }
            Some(AttributeValue::S(text)) if is_time(text) => Ok(Self::Time(text.clone())),
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
        Version::of(&item, "v").map_err(|error| error.to_string())
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

    #[test]
    fn an_item_without_a_version_is_refused_with_the_attribute_named() {
        let missing = Version::of(&Item::new(), "v").err().unwrap().to_string();
        assert_eq!(missing, "attribute v: the version attribute is missing");
        assert!(version(AttributeValue::Bool(true)).is_err());
    }
}
