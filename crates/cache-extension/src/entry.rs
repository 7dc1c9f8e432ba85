//! Entries, and their names.

use std::fmt;
use std::mem::discriminant;
use std::time::Duration;

/// An entry of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where its value comes from.
    pub source: Source,
    /// How long its value is used before it is reloaded.
    pub ttl: Duration,
}

impl Entry {
    /// Returns `true` if one request can load both.
    pub(crate) fn goes_with(&self, other: &Self) -> bool {
        self.ttl == other.ttl
            && self.source.region() == other.source.region()
            && discriminant(&self.source) == discriminant(&other.source)
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// A parameter of Systems Manager.
    Parameter(Parameter),
    /// An item of a DynamoDB table.
    Item(Item),
    /// The answer to a call that a request names.
    Call(Call),
}

impl Source {
    /// Returns its Region.
    #[must_use]
    pub fn region(&self) -> &str {
        match self {
            Self::Parameter(Parameter { region, .. })
            | Self::Item(Item { region, .. })
            | Self::Call(Call { region, .. }) => region,
        }
    }

    /// Returns the parameter, if it is one.
    #[must_use]
    pub fn parameter(&self) -> Option<&Parameter> {
        match self {
            Self::Parameter(parameter) => Some(parameter),
            Self::Item(_) | Self::Call(_) => None,
        }
    }

    /// Returns the item, if it is one.
    #[must_use]
    pub fn item(&self) -> Option<&Item> {
        match self {
            Self::Item(item) => Some(item),
            Self::Parameter(_) | Self::Call(_) => None,
        }
    }
}

/// A parameter of Systems Manager, or a secret of Secrets Manager with the name
/// `/aws/reference/secretsmanager/…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Parameter {
    /// Its Region.
    pub region: String,
    /// Its name, with a version or a label behind a colon if one is wanted, or its ARN.
    pub name: String,
}

/// An item of a DynamoDB table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Item {
    /// The table's Region.
    pub region: String,
    /// The table's name.
    pub table: String,
    /// Its partition key.
    pub hash: KeyAttribute,
    /// Its sort key, if the table has one.
    pub sort: Option<KeyAttribute>,
}

impl Item {
    /// Returns the name that clients of AWS's demonstration use: `TABLE-HASH` or `TABLE-HASH-SORT`.
    /// Two items may have the same name.
    #[must_use]
    pub fn name(&self) -> String {
        let keys = [&self.hash].into_iter().chain(&self.sort).map(|key| key.value.as_text());
        [self.table.as_str()].into_iter().chain(keys).collect::<Vec<_>>().join("-")
    }
}

/// A key attribute of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyAttribute {
    /// The attribute's name.
    pub name: String,
    /// The attribute's value.
    pub value: KeyValue,
}

/// The value of a key attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeyValue {
    /// A string, DynamoDB's `S`.
    Text(String),
    /// A number, DynamoDB's `N`.
    Number(String),
    /// Bytes, DynamoDB's `B`.
    Binary {
        /// The bytes.
        bytes: Vec<u8>,
        /// The same in Base64.
        base64: String,
    },
}

impl KeyValue {
    /// Returns the value as the configuration writes it.
    #[must_use]
    pub fn as_text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Binary { base64: text, .. } => text,
        }
    }
}

/// A call of Systems Manager or Secrets Manager.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// The function's Region.
    pub region: String,
    /// What is asked for.
    pub action: Action,
}

/// What a call asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// GetParameter.
    GetParameter {
        /// Name or ARN, with a version or a label behind a colon if one is wanted.
        name: String,
        /// Whether a SecureString is decrypted.
        with_decryption: bool,
    },
    /// GetSecretValue.
    GetSecretValue {
        /// Name or ARN.
        id: String,
        /// The version, if a certain one is wanted.
        version_id: Option<String>,
        /// The staging label of the version that is wanted.
        version_stage: Option<String>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(Parameter { region, name }) => {
                write!(f, "parameter {name} in {region}")
            }
            Self::Item(item) => write!(f, "item {} in {}", item.name(), item.region),
            Self::Call(Call { region, action: Action::GetParameter { name, .. } }) => {
                write!(f, "parameter {name} in {region}")
            }
            Self::Call(Call { region, action: Action::GetSecretValue { id, .. } }) => {
                write!(f, "secret {id} in {region}")
            }
        }
    }
}
