//! Why following ended.

use std::io;

use record_cipher::{SetupError, StreamName};

use crate::exit_code::{CommandError, ExitCode};
use crate::tail::since::Since;

/// Why records are not followed any more. No variant carries anything of a record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// A setting is not allowed.
    #[error("the settings do not work: {0}")]
    Setup(#[from] SetupError),
    /// The Region of the stream is not known.
    #[error("no Region is set")]
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
    /// The one shard that should be read is not among those of the stream.
    #[error("the stream has no shard {shard} with records since {since}")]
    NoSuchShard {
        /// The name given.
        shard: String,
        /// Where reading should begin.
        since: Since,
        /// The shards that there are.
        shards: String,
    },
    /// The caller lacks the permission to decrypt, so that no record would be printed.
    #[error(
        "not allowed to decrypt the records of stream {stream} in {region}: AWS KMS denied access"
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

impl TailError {
    /// Converts the error to the one that ends the command.
    pub(crate) fn into_command_error(self) -> CommandError {
        let (exit_code, next_step) = match &self {
            Self::Setup(_) => (ExitCode::Usage, None),
            Self::NoSuchShard { shards, .. } => {
                (ExitCode::Usage, Some(format!("choose --shard from {shards}")))
            }
            Self::NoRegion => (ExitCode::Usage, Some("set --region or AWS_REGION".to_owned())),
            Self::Stream { .. } => (ExitCode::Operator, None),
            Self::NotPermitted { stream, keys, .. } => (
                ExitCode::Operator,
                Some(format!(
                    "allow the caller kms:Decrypt on {keys}, with the encryption context \
                     stream={stream}"
                )),
            ),
            Self::Output(_) => (ExitCode::Incomplete, None),
        };
        CommandError::new(exit_code, self).with_next_step(next_step)
    }
}
