//! Errors, and who must act on them.

use crate::compression::InvalidFrame;
use crate::context::ContextStream;
use crate::keys::InvalidKey;
use crate::kms::KmsError;
use crate::names::StreamName;

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
    #[error("{}", .found.mismatch(.expected))]
    WrongStream {
        /// Stream that the record came from.
        expected: StreamName,
        /// Stream that the record's encryption context names.
        found: ContextStream,
    },
    /// The data is not a message that the commitment policy allows, or was damaged or changed.
    #[error("the message was refused: {0}")]
    Message(esdk_message::Error),
    /// The AWS Encryption SDK, as the engine of the cipher, refused the message.
    #[error("the message was refused: it is damaged, was changed, or breaks the commitment policy")]
    NotAuthentic,
    /// The plaintext is compressed in a way that readers do not accept.
    #[error(transparent)]
    Compression(#[from] InvalidFrame),
    /// None of the message's encrypted data keys is of a configured key.
    #[error("no configured key can decrypt the record")]
    NoUsableKey,
    /// AWS KMS failed, or could not be called.
    #[error(transparent)]
    Kms(#[from] KmsError),
    /// AWS KMS refused to use the key, says the AWS Encryption SDK as the engine of the cipher.
    #[error("the KMS key {0}")]
    AwsEsdkKey(&'static str),
    /// A call to AWS KMS failed in the AWS Encryption SDK as the engine of the cipher, which does
    /// not tell the cause.
    #[error(
        "a call to AWS KMS failed for a reason that aws-esdk does not tell; engine 'native' does"
    )]
    AwsEsdkCall,
    /// The cipher failed in a way that says nothing about the record.
    #[error("the record cipher failed: {0}")]
    Internal(&'static str),
}

impl CipherError {
    /// Names the AWS profile in what the error says about credentials.
    #[must_use]
    pub fn with_profile(self, profile: &str) -> Self {
        match self {
            Self::Kms(error) => Self::Kms(error.with_profile(profile)),
            error => error,
        }
    }

    /// Returns who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongStream { .. }
            | Self::Message(_)
            | Self::NotAuthentic
            | Self::Compression(_)
            | Self::NoUsableKey => ErrorKind::Record,
            Self::Kms(error) => error.kind(),
            Self::AwsEsdkKey(_) => ErrorKind::Operator,
            Self::AwsEsdkCall | Self::Internal(_) => ErrorKind::Retryable,
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
    /// An alias that is to decrypt could not be resolved to its key.
    #[error(transparent)]
    Alias(KmsError),
    /// The frame length is out of range.
    #[error("frame length {0} is out of range; it must be 1024 to 4294967295 bytes")]
    FrameLength(u64),
    /// A limit of the data key cache is out of range.
    #[error(transparent)]
    Cache(#[from] esdk_caching_cmm::BuildError),
    /// The compression level is out of range.
    #[error("compression_level is {0}; it must be 1 to 19")]
    CompressionLevel(i32),
    /// No data key could ever be made.
    #[error("kms_concurrency is 0; it must be 1 or more")]
    KmsConcurrency,
    /// The engine is not part of this build.
    #[error(
        "engine 'aws-esdk' is not part of this build; build with the cargo feature 'aws-esdk', or \
         use 'native'"
    )]
    MissingFeature,
    /// The engine cannot encrypt for some of the Regions only.
    #[error("engine 'aws-esdk' encrypts for all Regions only; use encrypt_for 'all', or 'native'")]
    EncryptFor,
    /// The runtime cannot carry the blocking calls of the engine.
    #[error("engine 'aws-esdk' needs Tokio's multi-thread runtime")]
    Runtime,
    /// The AWS Encryption SDK, as the engine of the cipher, refused its setup.
    #[error("the AWS Encryption SDK could not be set up: {0}")]
    AwsEsdk(String),
}

impl SetupError {
    /// Names the AWS profile in what the error says about credentials.
    #[must_use]
    pub fn with_profile(self, profile: &str) -> Self {
        match self {
            Self::Alias(error) => Self::Alias(error.with_profile(profile)),
            error => error,
        }
    }

    /// Returns who must act: for a bad setting, the operator.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Alias(error) => error.kind(),
            _ => ErrorKind::Operator,
        }
    }
}
