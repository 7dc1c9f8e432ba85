//! What became of a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use record_cipher::{CipherError, ErrorKind, RegionName};

use crate::kinesis::Entry;

/// What became of a record that was encrypted: one entry per Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    entry: Arc<Entry>,
    /// Shared by the outcomes of records in one message.
    regions: Arc<BTreeMap<RegionName, Result<Delivery, DeliveryError>>>,
}

impl Outcome {
    pub(crate) fn new(
        entry: Arc<Entry>,
        regions: BTreeMap<RegionName, Result<Delivery, DeliveryError>>,
    ) -> Self {
        Self { entry, regions: Arc::new(regions) }
    }

    /// Whether every Region acknowledged the record.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.regions.values().all(Result::is_ok)
    }

    /// Where the record is, or why it is not there.
    #[must_use]
    pub fn regions(&self) -> &BTreeMap<RegionName, Result<Delivery, DeliveryError>> {
        &self.regions
    }

    /// The partition key, the same in every Region.
    #[must_use]
    pub fn partition_key(&self) -> &str {
        &self.entry.partition_key
    }

    /// The encrypted message that holds the record, and with aggregation others too. Keep it to
    /// [put it again](crate::MessagePusher) where it was not delivered.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.entry.data
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
    /// Kinesis's error code; `Unreachable`, `Timeout` or `NoAnswer` where it gave none; `Stopped`
    /// if the pusher was stopped; `NotEncrypted` if the Region's key could not be used, so that
    /// nobody there could read the message.
    pub code: String,
    /// An explanation, as a rule Kinesis's.
    pub message: Option<String>,
    /// How many times the record was sent.
    pub tries: u32,
    /// Whether sending the record again can help.
    pub kind: ErrorKind,
}

const NOT_ENCRYPTED: &str = "NotEncrypted";

impl DeliveryError {
    pub(crate) fn not_encrypted() -> Self {
        Self {
            code: NOT_ENCRYPTED.to_owned(),
            message: Some(
                "the Region's KMS key could not be used; push the record anew".to_owned(),
            ),
            tries: 0,
            kind: ErrorKind::Retryable,
        }
    }

    /// Whether the message that was made can be put to the Region later. If not, the record has to be
    /// pushed anew.
    #[must_use]
    pub fn message_is_readable(&self) -> bool {
        self.code != NOT_ENCRYPTED
    }
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
    /// The record has no partition key.
    #[error("the field {field:?} is no partition key: it must be {}", PARTITION_KEY)]
    PartitionKey {
        /// The field that should hold it.
        field: String,
    },
    /// The encrypted record does not fit into a stream.
    #[error(
        "the encrypted record and its partition key have {size} bytes; the stream in {region} takes \
         {limit}"
    )]
    TooLarge {
        /// Bytes of the message and the partition key.
        size: usize,
        /// Bytes that a record of the stream may have.
        limit: usize,
        /// Where the stream takes no more.
        region: RegionName,
    },
    /// The record is larger than every stream takes, and it is not known what this stream takes.
    #[error(
        "the encrypted record and its partition key have {size} bytes, and Kinesis in {region} does not \
         tell how many the stream takes: {code}"
    )]
    UnknownLimit {
        /// Bytes of the message and the partition key.
        size: usize,
        /// Where the limit is not known.
        region: RegionName,
        /// The error code of DescribeStreamSummary.
        code: String,
    },
    /// The pusher was stopped before the record was encrypted.
    #[error("the pusher was stopped before the record was sent")]
    Stopped,
}

const PARTITION_KEY: &str = "a string of 1 to 256 characters, or a number";

impl PushError {
    /// Whether another try can help.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Encryption(error) => error.kind(),
            Self::PartitionKey { .. } | Self::TooLarge { .. } => ErrorKind::Record,
            Self::UnknownLimit { .. } | Self::Stopped => ErrorKind::Retryable,
        }
    }
}
