//! What goes wrong.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::key::KeyProblem;

/// Why a cache could not do what it was asked to. It quotes keys, and nothing of values.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// A key that cannot be.
    #[error("key {key:?}: {problem}")]
    InvalidKey {
        /// The key, shortened.
        key: String,
        /// What is wrong with it.
        problem: KeyProblem,
    },
    /// A namespace that cannot be.
    #[error("namespace {namespace:?}: a namespace has a name, and no # in it")]
    InvalidNamespace {
        /// The namespace.
        namespace: String,
    },
    /// A duration of a setting or of a call is out of range.
    #[error(
        "{setting} is {value:?}: it has to be at least a second, and to end in the clock's range"
    )]
    InvalidDuration {
        /// What it is for.
        setting: &'static str,
        /// What was given.
        value: Duration,
    },
    /// The value cannot be written.
    #[error("key {key:?}: the value cannot be written as JSON")]
    Unwritable {
        /// The table's partition key.
        key: String,
    },
    /// The value does not fit into an item.
    #[error(
        "key {key:?}: the item would have {bytes} bytes, and DynamoDB's limit is {limit}; \
         store less, or have it compressed"
    )]
    TooLarge {
        /// The table's partition key.
        key: String,
        /// Bytes of the item, compressed if compression is on.
        bytes: usize,
        /// The most that an item may have.
        limit: usize,
    },
    /// DynamoDB failed, and the store is set to [`OnTrouble::Fail`](crate::OnTrouble::Fail).
    #[error("table {table}: {reason}")]
    Unavailable {
        /// The table.
        table: String,
        /// DynamoDB's error code, or what else happened.
        reason: String,
    },
    /// The loader failed. All who waited for it get this.
    #[error("key {key:?} was not loaded")]
    Load {
        /// The table's partition key.
        key: String,
        /// The loader's error.
        source: Arc<dyn Error + Send + Sync>,
    },
}

/// Whether another try can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The same call may soon succeed.
    Transient,
    /// The same call will always fail.
    Permanent,
}

impl CacheError {
    /// Whether another try can help. Of a loader's failure only the loader knows; it counts as
    /// transient.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unavailable { .. } | Self::Load { .. } => ErrorKind::Transient,
            _ => ErrorKind::Permanent,
        }
    }
}
