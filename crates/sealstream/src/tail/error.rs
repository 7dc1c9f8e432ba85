//! Why following ended.

use std::io;

use record_cipher::{SetupError, StreamName};

/// Why records are not followed any more. No variant carries anything of a record.
#[derive(Debug, thiserror::Error)]

pub(crate) enum TailError {
    /// A setting is not allowed.
    #[error("the settings do not work: {0}")]
    Setup(#[from] SetupError),
    /// The Region of the stream is not known.
    #[error("no Region is set; give --region or set AWS_REGION")]
    NoRegion,
    /// The stream cannot be read.
    #[error("cannot read stream {stream} in {region}: {reason}")]
    Stream {
        /// The stream.
        stream: StreamName,
        /// Its Region.
        region: String,
        /// What Kinesis said.
        reason: String,
    },
    /// The caller lacks the permission to decrypt, so that no record would be printed.
    #[error(
        "not allowed to decrypt the records of stream {stream} in {region}: AWS KMS denied access; \
         the caller needs kms:Decrypt on {keys}, with the encryption context stream={stream}"
    )]
    NotPermitted {
        /// The stream.
        stream: StreamName,
        /// Its Region.
        region: String,
        /// The ARNs of the keys.
        keys: String,
    },
    /// The output cannot be written to.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
}
