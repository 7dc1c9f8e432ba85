//! Messages for the user while records are printed.

use std::fmt;

/// A message about a shard or one of its records. It never shows the content of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Diagnostic {
    /// A record was not printed.
    Unreadable {
        /// Shard of the record.
        shard: String,
        /// Sequence number of the record.
        sequence_number: String,
        /// What is wrong with the record.
        reason: String,
    },
    /// A request to AWS failed and is retried.
    Retrying {
        /// Shard whose records wait.
        shard: String,
        /// The failure.
        reason: String,
    },
    /// The only shard that is read is closed.
    Closed {
        /// The shard.
        shard: String,
        /// Its child shards.
        children: Vec<String>,
    },
    /// A shard was deleted before it was read to its end: its records are past the retention period.
    Gone {
        /// The shard.
        shard: String,
    },
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { shard, sequence_number, reason } => {
                write!(f, "{shard}:{sequence_number}: not printed: {reason}")
            }
            Self::Retrying { shard, reason } => write!(f, "{shard}: {reason}; retrying"),
            Self::Closed { shard, children } => {
                write!(f, "{shard}: closed; its records continue in {}", children.join(", "))
            }
            Self::Gone { shard } => {
                write!(f, "{shard}: no longer exists; its unread records have expired")
            }
        }
    }
}
