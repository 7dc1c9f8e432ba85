//! Errors.

/// Why a message was not encoded or not accepted. No variant carries anything of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is the base64 text of a message.
    #[error("the input is base64; decode it first")]
    Base64,
    /// The data is no message, or one of another format version. The first byte, which would tell,
    /// is not shown: if the data is no message, the byte is content.
    #[error("the data is no AWS Encryption SDK message of format version 2")]
    Version,
    /// The message has another algorithm suite.
    #[error("algorithm suite {0:#06x} is not supported; 0x0478 and 0x0578 are")]
    Suite(u16),
    /// The message ends too early, or a length in it is wrong.
    #[error("the message ends within the {what} at byte {at}")]
    Truncated {
        /// The field that is cut off.
        what: &'static str,
        /// Where it begins.
        at: usize,
    },
    /// A field has a value that the format does not allow.
    #[error("the {what} at byte {at} is not allowed: {reason}")]
    Field {
        /// The field.
        what: &'static str,
        /// Where it begins.
        at: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The message goes on after its end.
    #[error("the message ends at byte {at}, and more bytes follow")]
    Trailing {
        /// Where the message ends.
        at: usize,
    },
    /// The data key is not the one that the message commits to.
    #[error("the data key is not the one that the message was encrypted under")]
    Commitment,
    /// The header is not what was encrypted.
    #[error("the header's authentication tag does not match")]
    HeaderTag,
    /// A part of the body is not what was encrypted.
    #[error("the authentication tag of the body does not match in the frame at byte {at}")]
    BodyTag {
        /// Where the frame, or the body without frames, begins.
        at: usize,
    },
    /// The message is not what was signed.
    #[error("the signature does not match")]
    Signature,
    /// The message and the key for it are of different suites.
    #[error("the key is for another algorithm suite than the message's")]
    SuiteMismatch,
    /// A key to encode or decode with has the wrong form.
    #[error("the {0} is not valid")]
    Key(&'static str),
    /// What is to be encoded does not fit the format.
    #[error("the message cannot be encoded: {0}")]
    Unencodable(&'static str),
    /// AWS-LC failed.
    #[error("the cryptographic library failed")]
    Crypto,
}

impl From<aws_lc_rs::error::Unspecified> for Error {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Crypto
    }
}
