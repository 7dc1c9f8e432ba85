//! Errors.

/// The reason why a message was not encoded or not accepted.
///
/// No variant holds content of a message: only names of fields, positions, limits, and the
/// identifiers of known algorithm suites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data is the base64 text of a message.
    #[error("the message is encoded as base64; decode it first")]
    Base64,
    /// The data does not begin like a message of any version.
    #[error("the data is not an AWS Encryption SDK message")]
    NotAMessage,
    /// The message has format version 1, whose algorithm suites have no key commitment.
    #[error(
        "the message has format version 1{}, which has no key commitment; encrypt it with a committing \
         suite (0x0478 or 0x0578)",
        in_parentheses(*.suite)
    )]
    Version1 {
        /// The identifier of the algorithm suite, if the specification lists it.
        suite: Option<u16>,
    },
    /// The message has format version 2, but an algorithm suite without key commitment. Version 2
    /// has none: the message was changed, or its writer is faulty.
    #[error("algorithm suite {suite:#06x} has no key commitment; 0x0478 and 0x0578 are supported")]
    SuiteWithoutCommitment {
        /// The identifier of the algorithm suite.
        suite: u16,
    },
    /// The data begins like a message of format version 2, but its algorithm suite is unknown. The
    /// identifier is not shown, since it is content if the data is not a message.
    #[error(
        "the data has an unknown algorithm suite (0x0478 and 0x0578 are supported), or is not an AWS \
         Encryption SDK message"
    )]
    UnknownSuite,
    /// The message ends too early, or has a wrong length field.
    #[error("the message ends within the {what} at byte {at}")]
    Truncated {
        /// The field that is cut off.
        what: &'static str,
        /// The position where the field begins.
        at: usize,
    },
    /// A field has a value that the format does not allow.
    #[error("invalid {what} at byte {at}: {reason}")]
    Field {
        /// The field.
        what: &'static str,
        /// The position where the field begins.
        at: usize,
        /// What is wrong with the field.
        reason: &'static str,
    },
    /// The message exceeds one of the [`Limits`](crate::Limits).
    #[error("the message has more than {limit} {what}")]
    Limit {
        /// What the message has too much of.
        what: &'static str,
        /// The limit.
        limit: u32,
    },
    /// More bytes follow the end of the message.
    #[error("the message ends at byte {at}, but more bytes follow")]
    Trailing {
        /// The position where the message ends.
        at: usize,
    },
    /// The data key is not the one that the message commits to.
    #[error("the message was encrypted under another data key")]
    Commitment,
    /// The header is not the one that was encrypted. The same error follows if the message needs
    /// context pairs that it does not store, and the caller did not supply them.
    #[error("the header's authentication tag does not match")]
    HeaderTag,
    /// A part of the body is not what was encrypted.
    #[error("the authentication tag of the frame at byte {at} does not match")]
    BodyTag {
        /// The position where the frame, or the body without frames, begins.
        at: usize,
    },
    /// The message is not what was signed.
    #[error("the signature does not match")]
    Signature,
    /// A pair that the caller reproduced differs from the one in the message.
    #[error("the message's encryption context differs from the expected one")]
    ContextMismatch,
    /// The message and its decryption key are for different suites.
    #[error("the key is for another algorithm suite than the message")]
    SuiteMismatch,
    /// A key to encode or decode with has the wrong form.
    #[error("invalid {0}")]
    Key(&'static str),
    /// An encryption context that the caller supplied does not fit the format.
    #[error("invalid encryption context: {0}")]
    InvalidContext(&'static str),
    /// The input to encode does not fit the format.
    #[error("the message cannot be encoded: {0}")]
    Unencodable(&'static str),
    /// AWS-LC failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

fn in_parentheses(suite: Option<u16>) -> String {
    suite.map(|id| format!(" (algorithm suite {id:#06x})")).unwrap_or_default()
}

impl From<aws_lc_rs::error::Unspecified> for Error {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}
