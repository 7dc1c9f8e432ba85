//! Errors, and whether another try can help.

use crate::keys::InvalidKey;
use crate::names::{RegionName, StreamName};

/// Whether another try can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The record is not at fault: the same call may succeed later.
    Transient,
    /// The record is at fault: the same call will always fail.
    Permanent,
}

/// Why a record was not encrypted or decrypted.
///
/// No variant carries anything of a plaintext, key or ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The record was encrypted for another stream, or for none.
    #[error("the record was encrypted for {}, not for stream {expected}", or_none(.found.as_ref()))]
    WrongStream {
        /// The stream that the record is said to come from.
        expected: StreamName,
        /// The stream that its encryption context names, if that is a stream's name.
        found: Option<StreamName>,
    },
    /// The data is no message that the commitment policy allows, or was damaged or changed. Says
    /// where.
    #[error("the message was refused: {0}")]
    Message(esdk_message::Error),
    /// The AWS Encryption SDK refused the message, as the engine of the cipher.
    #[error("the message was refused: it is damaged, was changed, or breaks the commitment policy")]
    NotAuthentic,
    /// None of the message's encrypted data keys can be decrypted with the configured keys.
    #[error("no configured key can decrypt the record")]
    NoUsableKey,
    /// AWS KMS was throttling, unreachable or out of order.
    #[error("AWS KMS{} is unavailable: {reason}", in_region(.region.as_ref()))]
    KmsUnavailable {
        /// Where, if that is known.
        region: Option<RegionName>,
        /// What is known of the failure.
        reason: &'static str,
    },
    /// AWS KMS refused to use the key: it is disabled or gone, or permission is missing. An
    /// operator can mend that, so it is transient.
    #[error(
        "AWS KMS{} refused to use the key: {reason}; check the key's state and permissions",
        in_region(.region.as_ref())
    )]
    KmsRefused {
        /// Where, if that is known.
        region: Option<RegionName>,
        /// What is known of the failure.
        reason: &'static str,
    },
    /// The AWS Encryption SDK failed in a way that says nothing about the record.
    #[error("the AWS Encryption SDK failed: {0}")]
    Engine(&'static str),
}

/// The reason for which AWS KMS refuses a caller that lacks permission.
pub(crate) const ACCESS_DENIED: &str = "access was denied";

fn in_region(region: Option<&RegionName>) -> String {
    region.map(|region| format!(" in {region}")).unwrap_or_default()
}

fn or_none(stream: Option<&StreamName>) -> String {
    stream.map_or_else(|| "no stream".to_owned(), |name| format!("stream {name}"))
}

impl CipherError {
    /// Whether AWS KMS said that the caller lacks permission, which is then so for every record of
    /// the key.
    #[must_use]
    pub fn is_access_denied(&self) -> bool {
        matches!(self, Self::KmsRefused { reason: ACCESS_DENIED, .. })
    }

    /// Whether another try can help.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongStream { .. }
            | Self::Message(_)
            | Self::NotAuthentic
            | Self::NoUsableKey => ErrorKind::Permanent,
            Self::KmsUnavailable { .. } | Self::KmsRefused { .. } | Self::Engine(_) => {
                ErrorKind::Transient
            }
        }
    }
}

/// A setting of a [`RecordCipher`](crate::RecordCipher) that is not allowed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A key cannot be used as it is named.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// A list that needs entries has none.
    #[error("{0} is empty; give at least one")]
    Empty(&'static str),
    /// A Region is listed twice.
    #[error("Region {0} is listed twice")]
    RepeatedRegion(String),
    /// An account id is not twelve digits.
    #[error("'{0}' is no account id; an account id has twelve digits")]
    Account(String),
    /// A Region was needed and the configuration names none.
    #[error("discovery needs a Region: set AWS_REGION")]
    NoRegion,
    /// The frame length is out of range.
    #[error("frame length {0} is out of range; it must be 1024 to 4294967295 bytes")]
    FrameLength(u64),
    /// A limit of the data key cache is out of range.
    #[error(transparent)]
    Cache(#[from] esdk_caching_cmm::BuildError),
    /// The runtime cannot carry the blocking calls.
    #[error("a RecordCipher needs Tokio's multi-thread runtime")]
    Runtime,
    /// The AWS Encryption SDK refused the keyring or its own self-test.
    #[error("the AWS Encryption SDK could not be set up: {0}")]
    Sdk(String),
}
