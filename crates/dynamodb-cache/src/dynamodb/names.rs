//! Names of attributes.

use super::item::FIXED;

/// Names of the attributes that the table's owner chooses.
///
/// The key's name is that of the table's partition key, and the expiry's that of its
/// [time-to-live setting](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/TTL.html).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeNames {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) expiry: String,
}

/// `id`, `cached_value` and `expires_at`.
impl Default for AttributeNames {
    fn default() -> Self {
        let [key, value, expiry] = ["id", "cached_value", "expires_at"].map(str::to_owned);
        Self { key, value, expiry }
    }
}

impl AttributeNames {
    /// Names the attributes of the key, the value and the expiry.
    ///
    /// # Errors
    /// A name is empty or has more than 255 bytes, or two attributes have the same name: those of
    /// this store's own are `kind`, `compression`, `written_at` and `added_by`.
    pub fn new(
        key: impl Into<String>,
        value: impl Into<String>,
        expiry: impl Into<String>,
    ) -> Result<Self, InvalidAttributeNames> {
        let names = [key.into(), value.into(), expiry.into()];
        if let Some(name) = names.iter().find(|name| !(1..=255).contains(&name.len())) {
            return Err(InvalidAttributeNames::Length { name: name.clone() });
        }
        let mut all: Vec<_> = names.iter().map(String::as_str).chain(FIXED).collect();
        all.sort_unstable();
        if let Some(twice) = all.windows(2).find(|two| two[0] == two[1]) {
            return Err(InvalidAttributeNames::Twice { name: twice[0].to_owned() });
        }
        let [key, value, expiry] = names;
        Ok(Self { key, value, expiry })
    }
}

/// Why the names of attributes cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAttributeNames {
    /// DynamoDB limits the length of names.
    #[error("attribute {name:?}: a name has 1 to 255 bytes")]
    Length {
        /// The name.
        name: String,
    },
    /// Two attributes of an item cannot have the same name.
    #[error("attribute {name:?}: two attributes of an item would have this name")]
    Twice {
        /// The name.
        name: String,
    },
}
