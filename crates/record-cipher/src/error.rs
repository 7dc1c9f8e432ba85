//! Errors, and who must act on them.

use crate::keys::InvalidKey;
use crate::names::{RegionName, StreamName};

/// Who must act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The same call may succeed later: a service was throttling or unreachable.
    Retryable,
    /// An operator must act: on credentials, permissions, a missing or disabled key, or the clock.
    /// No record is at fault, so none must be dropped or quarantined.
    Operator,
    /// The record is at fault: the same call always fails.
    Record,
}

/// Why a record was not encrypted or decrypted.
///
/// No variant contains any part of a plaintext, key or ciphertext.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The record was encrypted for another stream, or for none.
    #[error("the record was encrypted for {}, not for stream {expected}", or_none(.found.as_ref()))]
    WrongStream {
        /// Stream that the record came from.
        expected: StreamName,
        /// Stream that the record's encryption context names, if that is the name of a stream.
        found: Option<StreamName>,
    },
    /// The data is not a message that the commitment policy allows, or was damaged or changed.
    #[error("the message was refused: {0}")]
    Message(esdk_message::Error),
    /// The AWS Encryption SDK, as the engine of the cipher, refused the message.
    #[error("the message was refused: it is damaged, was changed, or breaks the commitment policy")]
    NotAuthentic,
    /// None of the message's encrypted data keys is of a configured key.
    #[error("no configured key can decrypt the record")]
    NoUsableKey,
    /// AWS KMS failed, or could not be called.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// The cipher failed in a way that says nothing about the record.
    #[error("the record cipher failed: {0}")]
    Internal(&'static str),
}

/// Failure of a call to AWS KMS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("AWS KMS{} failed: {reason}", in_region(.region.as_ref()))]
pub struct KmsError {
    pub(crate) kind: ErrorKind,
    pub(crate) region: Option<RegionName>,
    pub(crate) reason: &'static str,
}

impl KmsError {
    /// Returns who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the Region that was called, if it is known.
    #[must_use]
    pub fn region(&self) -> Option<&RegionName> {
        self.region.as_ref()
    }
}

/// Reason for which AWS KMS refuses a caller that lacks permission.
pub(crate) const ACCESS_DENIED: &str =
    "access was denied; check the caller's permissions and the key policy";

fn in_region(region: Option<&RegionName>) -> String {
    region.map(|region| format!(" in {region}")).unwrap_or_default()
}

fn or_none(stream: Option<&StreamName>) -> String {
    stream.map_or_else(|| "no stream".to_owned(), |name| format!("stream {name}"))
}

impl CipherError {
    /// Returns `true` if AWS KMS said that the caller lacks permission, which holds for every
    /// record of the key.
    #[must_use]
    pub fn is_access_denied(&self) -> bool {
        matches!(self, Self::Kms(KmsError { reason: ACCESS_DENIED, .. }))
    }

    /// Returns who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongStream { .. }
            | Self::Message(_)
            | Self::NotAuthentic
            | Self::NoUsableKey => ErrorKind::Record,
            Self::Kms(error) => error.kind(),
            Self::Internal(_) => ErrorKind::Retryable,
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
    #[error("{0} needs a Region, and none is configured; set AWS_REGION")]
    NoRegion(&'static str),
    /// AWS KMS could not resolve an alias to a key.
    #[error("cannot resolve '{alias}': {error}")]
    Alias {
        /// The alias, as it was given.
        alias: String,
        /// Failure of `kms:DescribeKey`.
        error: KmsError,
    },
    /// The frame length is out of range.
    #[error("frame length {0} is out of range; it must be 1024 to 4294967295 bytes")]
    FrameLength(u64),
    /// A limit of the data key cache is out of range.
    #[error(transparent)]
    Cache(#[from] esdk_caching_cmm::BuildError),
    /// The runtime cannot carry blocking calls.
    #[error("a RecordCipher needs Tokio's multi-thread runtime")]
    Runtime,
    /// The AWS Encryption SDK refused the keyring or its own self-test.
    #[error("the AWS Encryption SDK could not be set up: {0}")]
    Sdk(String),
}

impl SetupError {
    /// Returns who must act: for a bad setting, the operator.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Alias { error, .. } => error.kind(),
            _ => ErrorKind::Operator,
        }
    }
}
