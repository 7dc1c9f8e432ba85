//! What became of a record.

use std::collections::BTreeMap;

use record_cipher::{CipherError, ErrorKind, RegionName};

/// What became of a record that was encrypted: one entry per Region.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// The partition key, the same in every Region.
    pub partition_key: String,
    /// Where the record is, or why it is not there.
    pub regions: BTreeMap<RegionName, Result<Delivery, DeliveryError>>,
}

impl Outcome {
    /// Whether every Region acknowledged the record.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.regions.values().all(Result::is_ok)
    }
}

/// Kinesis's acknowledgement of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The shard that holds the record.
    pub shard_id: String,
    /// The record's place in the shard.
    pub sequence_number: String,
}

/// Why a Region did not acknowledge a record. The record may still be there if the connection
/// broke before the answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}{} (tries: {tries})", detail(.message.as_deref()))]
#[non_exhaustive]
pub struct DeliveryError {
    /// Kinesis's error code, or `Unreachable`, `Timeout` or `NoAnswer` where it gave none.
    pub code: String,
    /// Kinesis's explanation.
    pub message: Option<String>,
    /// How many times the record was sent.
    pub tries: u32,
    /// Whether sending the record again can help.
    pub kind: ErrorKind,
}

fn detail(message: Option<&str>) -> String {
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

/// Why a record was not sent to any Region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The record could not be encrypted.
    #[error("not encrypted: {0}")]
    Encryption(#[from] CipherError),
    /// The encrypted record does not fit into a stream.
    #[error("the encrypted record and its partition key have {size} bytes; a stream takes {limit}")]
    TooLarge {
        /// Bytes of the message and the partition key.
        size: usize,
        /// Bytes that a Kinesis record may have.
        limit: usize,
    },
}

impl PushError {
    /// Whether another try can help.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Encryption(error) => error.kind(),
            Self::TooLarge { .. } => ErrorKind::Permanent,
        }
    }
}
