//! Why a record was not written.

use record_cipher::aggregate::{InvalidMember, InvalidPlaintext};
use record_cipher::{CipherError, ErrorKind, InvalidName};

use crate::item::ItemError;
use crate::quarantine::NotStored;
use crate::table::WriteError;

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
    /// The plaintext holds no records.
    #[error(transparent)]
    Plaintext(#[from] InvalidPlaintext),
    /// A member of an aggregate is not a record.
    #[error(transparent)]
    Member(#[from] InvalidMember),
    /// One of the objects in a list cannot be written, and so the list as a whole has failed.
    #[error("element [{at}] of the list: {failure}")]
    Element {
        /// Where it is in the list, from 0.
        at: usize,
        /// What is wrong with it.
        failure: Box<RecordFailure>,
    },
    /// The record does not fit into the table.
    #[error(transparent)]
    Item(#[from] ItemError),
    /// DynamoDB found the item invalid.
    #[error("DynamoDB refused the item: {0}")]
    Refused(String),
    /// DynamoDB did not take the item, for a reason that is not the item's.
    #[error("DynamoDB did not take the item: {0}")]
    NotTaken(String),
    /// The record can never be written, and was not stored in the quarantine either.
    #[error("{failure}; it could not be quarantined: {reason}")]
    NotQuarantined {
        /// What is wrong with the record.
        failure: Box<RecordFailure>,
        /// Why it was not stored.
        reason: NotStored,
    },
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
            Self::Element { failure, .. } => failure.kind(),
            Self::EventSource(_)
            | Self::Plaintext(_)
            | Self::Member(_)
            | Self::Item(_)
            | Self::Refused(_) => ErrorKind::Record,
            Self::NotTaken(_) | Self::NotQuarantined { .. } | Self::OutOfTime => {
                ErrorKind::Retryable
            }
        }
    }

    /// The same failure, of an element of a list if one is given.
    pub(crate) fn in_element(self, element: Option<usize>) -> Self {
        match element {
            None => self,
            Some(at) => Self::Element { at, failure: Box::new(self) },
        }
    }
}

/// The failure of the items of a request that is not sent again as it is.
impl From<WriteError> for RecordFailure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Invalid(code) => Self::Refused(code),
            WriteError::Unavailable(code) | WriteError::Denied(code) => Self::NotTaken(code),
        }
    }
}
