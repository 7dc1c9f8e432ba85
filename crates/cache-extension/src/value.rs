//! Values in the form of answers.

use std::fmt;
use std::time::Duration;

use hyper::body::Bytes;
use serde::{Deserialize, Serialize};

/// A value in the form of an answer. `Debug` does not show its content.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// The kind of the value.
    pub kind: Kind,
    /// The text of a parameter, or the JSON of an item or an answer.
    pub body: Bytes,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A parameter that Systems Manager stores as plain text: `String` or `StringList`.
    Plain,
    /// A parameter that Systems Manager stores encrypted, `SecureString`: a secret.
    Secret,
    /// An item of a table.
    Item,
    /// The answer to a call, as JSON.
    Call,
}

/// A loaded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The value.
    pub value: Value,
    /// How old the value was already when it was loaded.
    pub age: Duration,
}

impl From<Value> for Loaded {
    fn from(value: Value) -> Self {
        Self { value, age: Duration::ZERO }
    }
}
