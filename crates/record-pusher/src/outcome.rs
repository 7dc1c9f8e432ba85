//! What became of a record.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_outcome::Cause;
use record_cipher::{CipherError, ErrorKind, Record, RegionName};

use crate::entry::Entry;
use crate::item_key::InvalidItem;

/// Result of a record that was encrypted: one entry per Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    entry: Arc<Entry>,
    /// Shared by the outcomes of records in one message.
    regions: Arc<BTreeMap<RegionName, Result<Delivery, DeliveryError>>>,
    index: usize,
}

impl Outcome {
    pub(crate) fn new(
        entry: Arc<Entry>,
        regions: BTreeMap<RegionName, Result<Delivery, DeliveryError>>,
    ) -> Self {
        Self { entry, regions: Arc::new(regions), index: 0 }
    }

    /// Returns the same outcome for the record at this index in the message.
    pub(crate) fn at(&self, index: usize) -> Self {
        Self { index, ..self.clone() }
    }

    /// Returns whether every Region acknowledged the record.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        self.regions.values().all(Result::is_ok)
    }

    /// Returns the acknowledgement or the error of each Region.
    #[must_use]
    pub fn regions(&self) -> &BTreeMap<RegionName, Result<Delivery, DeliveryError>> {
        &self.regions
    }

    /// Returns the partition key, the same in every Region.
    #[must_use]
    pub fn partition_key(&self) -> &str {
        &self.entry.partition_key
    }

    /// Returns the encrypted message that contains the record, and with aggregation others too. Keep
    /// it to [put it again](crate::MessagePusher) where it was not delivered.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.entry.data
    }

    /// Returns the record's index in the message, 0 for the first. Each message has exactly one
    /// outcome with index 0, so keep the message of that one only.
    #[must_use]
    pub fn index_in_message(&self) -> usize {
        self.index
    }
}

/// Kinesis's acknowledgement of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The shard that has the record.
    pub shard_id: String,
    /// The record's sequence number in the shard.
    pub sequence_number: String,
}

/// Reason why a Region did not acknowledge a record. The record may still be there if the connection
/// broke before the response arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code}, {})", counted(*.attempts))]
#[non_exhaustive]
pub struct DeliveryError {
    /// Kinesis's error code. Without one: the name of the cause, such as `Timeout` or `Refused`;
    /// `InvalidResponse`; `Expired` if the delivery timeout passed before the first attempt; `Silent` if
    /// the Region acknowledged nothing for a delivery timeout and others needed the memory; `Stopped` if
    /// the pusher was stopped; `NotEncrypted` if the Region's key could not be used, so that the message
    /// cannot be decrypted there.
    pub code: String,
    /// The reason in words, in lower case.
    pub reason: String,
    /// Cause of AWS's error; `None` if the error is the pusher's own.
    pub cause: Option<Cause>,
    /// Number of PutRecords requests that contained the record.
    pub attempts: u32,
    /// Who must act.
    pub kind: ErrorKind,
}

const NOT_ENCRYPTED: &str = "NotEncrypted";

impl DeliveryError {
    pub(crate) fn not_encrypted() -> Self {
        let reason = "the Region's KMS key could not be used; push the record again";
        Self {
            code: NOT_ENCRYPTED.to_owned(),
            reason: reason.to_owned(),
            cause: None,
            attempts: 0,
            kind: ErrorKind::Retryable,
        }
    }

    /// Returns whether the existing message can be put to the Region later. If not, push the record
    /// again.
    #[must_use]
    pub fn message_is_readable(&self) -> bool {
        self.code != NOT_ENCRYPTED
    }
}

fn counted(attempts: u32) -> String {
    format!("{attempts} attempt{}", if attempts == 1 { "" } else { "s" })
}

/// Something that a pusher accepted and did not deliver before it was
/// [closed](crate::RecordPusher::close).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undelivered {
    /// A message that some Regions did not acknowledge. With aggregation it contains several
    /// records.
    Message(Outcome),
    /// A record that was not encrypted.
    #[non_exhaustive]
    Record {
        /// The record.
        record: Record,
        /// Why it was not encrypted.
        error: PushError,
    },
}

/// Reason why a record was not sent to any Region.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The record could not be encrypted.
    #[error("not encrypted: {0}")]
    Encryption(#[from] CipherError),
    /// The record has no partition key.
    #[error("the field {field:?} is not a partition key: it must be {}", PARTITION_KEY)]
    PartitionKey {
        /// Field that should contain it.
        field: String,
    },
    /// The table of the consumers cannot store the record.
    #[error(transparent)]
    Item(#[from] InvalidItem),
    /// The encrypted record does not fit into a stream.
    #[error(
        "the encrypted record and its partition key have {size} bytes; the stream in {region} accepts \
         {limit}"
    )]
    TooLarge {
        /// Bytes of the message and the partition key.
        size: usize,
        /// Maximum bytes of a record in the stream.
        limit: usize,
        /// Region whose stream has the limit.
        region: RegionName,
    },
    /// The record is larger than the limit of an ordinary stream, and the limit of this stream is
    /// unknown.
    #[error(
        "the encrypted record and its partition key have {size} bytes, and Kinesis in {region} did not \
         say how many the stream accepts: {code}"
    )]
    UnknownLimit {
        /// Bytes of the message and the partition key.
        size: usize,
        /// Region whose limit is unknown.
        region: RegionName,
        /// Error code of DescribeStreamSummary.
        code: String,
    },
    /// The delivery timeout passed before the record was encrypted.
    #[error("not encrypted: the delivery timeout passed")]
    Expired,
    /// The pusher was stopped before the record was encrypted.
    #[error("not encrypted: the pusher was stopped")]
    Stopped,
}

const PARTITION_KEY: &str = "a string of 1 to 256 characters, or a number";

impl PushError {
    /// Returns who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Encryption(error) => error.kind(),
            Self::PartitionKey { .. } | Self::Item(_) | Self::TooLarge { .. } => ErrorKind::Record,
            Self::UnknownLimit { .. } | Self::Expired | Self::Stopped => ErrorKind::Retryable,
        }
    }
}
