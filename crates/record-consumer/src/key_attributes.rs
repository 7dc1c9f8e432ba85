//! The key attributes of the table.

use std::ops::Deref;
use std::str::FromStr;

/// Maximum length of a key attribute's name, in bytes.
///
/// Source: Amazon DynamoDB developer guide, constraints, attribute names.
const MAX_NAME_BYTES: usize = 255;

/// A key attribute of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttribute {
    /// Name of the attribute.
    pub name: String,
    /// Type of the attribute.
    pub key_type: KeyType,
}

/// The type of a key attribute. JSON has no binary values, so binary keys are not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyType {
    /// A string, DynamoDB's `S`.
    Text,
    /// A number, DynamoDB's `N`.
    Number,
}

/// The partition key of a table and, if it has one, its sort key. Parsed from `id:S` or `pk:S,sk:N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttributes(Vec<KeyAttribute>);

impl KeyAttributes {
    /// Takes the partition key and, if there is one, the sort key.
    ///
    /// # Errors
    /// There are not one or two attributes, they have the same name, or a name is empty or longer
    /// than 255 bytes.
    pub fn new(attributes: Vec<KeyAttribute>) -> Result<Self, InvalidKeyAttributes> {
        let has_names = attributes.iter().all(|key| (1..=MAX_NAME_BYTES).contains(&key.name.len()));
        let is_valid = match attributes.as_slice() {
            [_] => has_names,
            [partition, sort] => has_names && partition.name != sort.name,
            _ => false,
        };
        is_valid.then_some(Self(attributes)).ok_or(InvalidKeyAttributes)
    }
}

impl Deref for KeyAttributes {
    type Target = [KeyAttribute];

    fn deref(&self) -> &[KeyAttribute] {
        &self.0
    }
}

impl FromStr for KeyAttributes {
    type Err = InvalidKeyAttributes;

    fn from_str(text: &str) -> Result<Self, InvalidKeyAttributes> {
        let attributes = text.split(',').map(key_attribute).collect::<Option<_>>();
        Self::new(attributes.ok_or(InvalidKeyAttributes)?)
    }
}

fn key_attribute(text: &str) -> Option<KeyAttribute> {
    let (name, key_type) = text.rsplit_once(':')?;
    let key_type = match key_type {
        "S" => KeyType::Text,
        "N" => KeyType::Number,
        _ => return None,
    };
    Some(KeyAttribute { name: name.to_owned(), key_type })
}

/// Text that does not describe the key attributes of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected NAME:S or NAME:N for the partition key and, after a comma, the same for the sort key"
)]
pub struct InvalidKeyAttributes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_attributes_have_names_and_types() {
        let parsed = "pk:S,a:b:N".parse::<KeyAttributes>().unwrap();
        assert_eq!((parsed[0].name.as_str(), parsed[0].key_type), ("pk", KeyType::Text));
        assert_eq!((parsed[1].name.as_str(), parsed[1].key_type), ("a:b", KeyType::Number));
        let long = format!("{}:S", "a".repeat(256));
        for text in ["", "id", "id:X", ":S", "a:S,b:S,c:S", "a:S,", "a:S,a:N", &long] {
            assert_eq!(text.parse::<KeyAttributes>(), Err(InvalidKeyAttributes), "{text}");
        }
    }
}
