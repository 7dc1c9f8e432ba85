//! Why a record was not written.

use record_cipher::{CipherError, ErrorKind, InvalidName};

use crate::item::ItemError;

/// Why a record was not written. Shows nothing of what is in the record but attributes' names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFailure {
    /// The event does not say which stream the record came from.
    #[error("the record's eventSourceARN names no stream: {0}")]
    EventSource(#[from] InvalidName),
    /// The record could not be decrypted, or was encrypted for another stream.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The plaintext is not JSON.
    #[error("the plaintext is not valid JSON (line {line}, column {column})")]
    NotJson {
        /// Line of the plaintext, from 1.
        line: usize,
        /// Column of the line.
        column: usize,
    },
    /// The plaintext is JSON, but no record.
    #[error("the plaintext is neither a JSON object nor a list of JSON objects")]
    NotARecord,
    /// The record does not fit into the table.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// DynamoDB found the item invalid.
    #[error("DynamoDB refused the item: {0}")]
    Refused(String),
    /// DynamoDB did not take the item, for a reason that is not the item's.
    #[error("DynamoDB did not take the item: {0}")]
    NotTaken(String),
    /// The invocation was about to end.
    #[error("the function's time ended before the record was written")]
    OutOfTime,
}

impl RecordFailure {
    /// Whether another try can help.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Cipher(error) => error.kind(),
            Self::EventSource(_)
            | Self::NotJson { .. }
            | Self::NotARecord
            | Self::Item(_)
            | Self::Refused(_) => ErrorKind::Permanent,
            Self::NotTaken(_) | Self::OutOfTime => ErrorKind::Transient,
        }
    }
}
