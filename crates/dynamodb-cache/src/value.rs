//! Values, and their form in a store.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value in the form that a store keeps.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// A text, for example JSON.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// The absence of a value: the remembered result of a search that found nothing.
    Nothing,
}

impl Value {
    /// Returns the number of bytes of the content.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Nothing => 0,
        }
    }

    /// Returns `true` if there is no content.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::Nothing => "nothing",
        }
    }

    fn is_not(&self, wanted: &'static str) -> Unreadable {
        Unreadable::Kind { found: self.kind(), wanted }
    }
}

/// Shows no content.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.kind(), self.len())
    }
}

/// A type whose values can be cached: [`String`], `Vec<u8>`, [`Json`] of any type that serde can
/// write, and an [`Option`] of these, whose `None` remembers that a value is absent.
pub trait Cacheable: Sized {
    /// Converts the value into the form that a store keeps.
    ///
    /// # Errors
    /// The value cannot be written.
    fn to_value(&self) -> Result<Value, Unwritable>;

    /// Converts back.
    ///
    /// # Errors
    /// The stored value is of another type.
    fn from_value(value: Value) -> Result<Self, Unreadable>;
}

/// Stored as it is, so that other programs can read and write it.
impl Cacheable for String {
    fn to_value(&self) -> Result<Value, Unwritable> {
        Ok(Value::Text(self.clone()))
    }

    fn from_value(value: Value) -> Result<Self, Unreadable> {
        match value {
            Value::Text(text) => Ok(text),
            other => Err(other.is_not("a text")),
        }
    }
}

impl Cacheable for Vec<u8> {
    fn to_value(&self) -> Result<Value, Unwritable> {
        Ok(Value::Bytes(self.clone()))
    }

    fn from_value(value: Value) -> Result<Self, Unreadable> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            other => Err(other.is_not("bytes")),
        }
    }
}

/// A value that is stored as JSON.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> Cacheable for Json<T> {
    fn to_value(&self) -> Result<Value, Unwritable> {
        serde_json::to_string(&self.0).map(Value::Text).map_err(|_| Unwritable)
    }

    fn from_value(value: Value) -> Result<Self, Unreadable> {
        let Value::Text(json) = value else { return Err(value.is_not("JSON")) };
        // The error's text may quote the value, so it is not used.
        serde_json::from_str(&json)
            .map(Self)
            .map_err(|error| Unreadable::Json { line: error.line(), column: error.column() })
    }
}

/// Shows no content.
impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json(..)")
    }
}

impl<T: Cacheable> Cacheable for Option<T> {
    fn to_value(&self) -> Result<Value, Unwritable> {
        self.as_ref().map_or(Ok(Value::Nothing), T::to_value)
    }

    fn from_value(value: Value) -> Result<Self, Unreadable> {
        match value {
            Value::Nothing => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// Serde cannot write the value as JSON: it has a map whose keys are not texts, or its own
/// `Serialize` fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value cannot be written as JSON")]
pub struct Unwritable;

/// Why an item is not a value of the cache: it is damaged, or another program's. Quotes nothing of
/// the item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// An attribute of the item is missing, or has another type.
    #[error("its attribute {name} is missing or not of type {attribute_type}")]
    Attribute {
        /// The attribute's name.
        name: String,
        /// DynamoDB's name of the type.
        attribute_type: &'static str,
    },
    /// The expiry is a number, but not a time.
    #[error("its attribute {name} is not a time in seconds since 1970")]
    Expiry {
        /// The attribute's name.
        name: String,
    },
    /// An attribute of the item has a value that this version does not support.
    #[error("its attribute {name} has an unknown value")]
    Unknown {
        /// The attribute's name.
        name: &'static str,
    },
    /// The value is not base64.
    #[error("its attribute {name} is not base64")]
    Base64 {
        /// The attribute's name.
        name: String,
    },
    /// The compressed content is damaged.
    #[error("its content is not valid gzip, or not UTF-8")]
    Compression,
    /// Larger than any value that a cache writes.
    #[error("its content has more than {limit} bytes when decompressed")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// A value of another kind.
    #[error("it is {found}, not {wanted}")]
    Kind {
        /// The kind of the stored value.
        found: &'static str,
        /// The kind that the type of the cache requires.
        wanted: &'static str,
    },
    /// Not JSON, or JSON of another type.
    #[error("it is not the expected JSON from line {line}, column {column} on")]
    Json {
        /// Line in the text, from 1.
        line: usize,
        /// Column in the line, from 1.
        column: usize,
    },
}
