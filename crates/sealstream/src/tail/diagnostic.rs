//! What is worth saying while records are printed.

use std::fmt;

/// Something that a user wants to know. Its text holds nothing of a record.
#[derive(Debug, Clone, PartialEq, Eq)]

pub(crate) enum Diagnostic {
    /// A record was not printed.
    Unreadable {
        /// The shard that has it.
        shard: String,
        /// Its place in the shard.
        sequence_number: String,
        /// What is wrong with it, or with the key.
        reason: String,
    },
    /// AWS does not answer as it should, and is asked again.
    Waiting {
        /// The shard whose records wait.
        shard: String,
        /// What AWS said.
        reason: String,
    },
    /// The one shard that is read is closed, and its records go on in others.
    Closed {
        /// The shard.
        shard: String,
        /// The shards that it was split or merged into.
        children: Vec<String>,
    },
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { shard, sequence_number, reason } => {
                write!(f, "{shard}:{sequence_number}: not printed: {reason}")
            }
            Self::Waiting { shard, reason } => write!(f, "{shard}: {reason}; trying again"),
            Self::Closed { shard, children } => {
                write!(f, "{shard}: closed; its records go on in {}", children.join(", "))
            }
        }
    }
}
