//! A value, as it is handed out.

use std::fmt;
use std::time::Duration;

use hyper::body::Bytes;
use serde::{Deserialize, Serialize};

/// A value, in the form in which requests are answered with it. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// The text of a parameter, or the JSON of an item.
    pub body: Bytes,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A parameter that Systems Manager keeps as it is: `String` or `StringList`.
    Plain,
    /// A parameter that Systems Manager keeps encrypted, `SecureString`: a secret.
    Secret,
    /// An item of a table.
    Item,
}

/// A value that has been loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The value.
    pub value: Value,
    /// For how long the value was kept elsewhere before it was loaded.
    pub age: Duration,
}

impl From<Value> for Loaded {
    fn from(value: Value) -> Self {
        Self { value, age: Duration::ZERO }
    }
}
