//! Errors of caches.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use aws_outcome::Failure;

/// Most bytes of a key with its namespace and its two marks. DynamoDB's limit on a partition key is
/// 2,048 bytes, and leases have two more:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>
pub(crate) const MAX_ID_BYTES: usize = 2046;

/// Why a cache operation failed. Quotes keys, and never values.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The key cannot be used.
    #[error("key {key:?}: {reason}")]
    InvalidKey {
        /// The key, shortened.
        key: String,
        /// What is wrong with it.
        reason: InvalidKeyReason,
    },
    /// The namespace is empty or contains `#`.
    #[error("namespace {namespace:?} is empty or contains #")]
    InvalidNamespace {
        /// The namespace.
        namespace: String,
    },
    /// A duration of a setting or a call is out of range.
    #[error(
        "{setting} is {value:?}: it must be at least {}, and end within the clock's range",
        with_unit(*least)
    )]
    InvalidDuration {
        /// The setting.
        setting: &'static str,
        /// The value that was given.
        value: Duration,
        /// The shortest value that is allowed.
        least: Duration,
    },
    /// Entries would be due for a refresh as soon as they are stored.
    #[error(
        "refresh_ahead is {refresh_ahead:?} and the time-to-live {time_to_live:?}: refresh_ahead \
         must be shorter"
    )]
    RefreshAheadTooLong {
        /// The setting that was given.
        refresh_ahead: Duration,
        /// The cache's time-to-live.
        time_to_live: Duration,
    },
    /// The value cannot be written as JSON.
    #[error("key {key:?}: the value cannot be written as JSON")]
    Unwritable {
        /// The table's partition key.
        key: String,
    },
    /// The value does not fit into an item.
    #[error(
        "key {key:?}: the item would have {bytes} bytes, and DynamoDB's limit is {limit}; \
         store less, or compress it"
    )]
    TooLarge {
        /// The table's partition key.
        key: String,
        /// Bytes of the item, compressed if compression is on.
        bytes: usize,
        /// The most bytes that an item may have.
        limit: usize,
    },
    /// A request to DynamoDB failed, and the store is set to
    /// [`FailurePolicy::Fail`](crate::FailurePolicy::Fail).
    #[error("table {table}: {failure}")]
    Table {
        /// The table's name.
        table: String,
        /// Why the request failed.
        failure: Failure,
    },
    /// The loader failed. All callers that waited for it get this error.
    #[error("key {key:?} was not loaded")]
    Load {
        /// The table's partition key.
        key: String,
        /// The loader's error.
        source: Arc<dyn Error + Send + Sync>,
    },
}

fn with_unit(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{} s", duration.as_secs()),
        _ => format!("{} ms", duration.as_millis()),
    }
}

impl CacheError {
    /// Returns `true` if the same call may succeed later. A loader's failure counts as retryable,
    /// since only the loader knows.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Table { failure, .. } => failure.is_retryable(),
            Self::Load { .. } => true,
            _ => false,
        }
    }
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeyReason {
    /// DynamoDB has no empty keys.
    #[error("it is empty")]
    Empty,
    /// Without a namespace, ids that begin with `#` belong to namespaces.
    #[error("it begins with #, which is reserved for namespaces")]
    Reserved,
    /// DynamoDB limits the length of keys.
    #[error("with its namespace it has {bytes} bytes, and the limit is {MAX_ID_BYTES}")]
    TooLong {
        /// Bytes of the key and of its namespace with its two marks.
        bytes: usize,
    },
}
