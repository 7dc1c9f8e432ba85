//! Errors that end `sealstream tail`.

use std::io;

use aws_outcome::{Cause, Failure};
use record_cipher::{CipherError, ErrorKind, SetupError, StreamName};

use crate::aws_failure;
use crate::exit_code::{CommandError, ExitCode};
use crate::tail::since::Since;

/// Why records are not followed any more. No variant holds anything of a record.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TailError {
    /// A setting is not allowed, or a key's alias cannot be resolved.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The stream cannot be read.
    #[error("cannot read stream {stream} in {region}: {failure}")]
    Stream { stream: StreamName, region: String, failure: Failure },
    /// The only shard to read is not in the stream.
    #[error("stream {stream} in {region} has no shard {shard} with records since {since}")]
    NoSuchShard {
        stream: StreamName,
        region: String,
        shard: String,
        since: Since,
        /// The shards of the stream.
        shards: String,
    },
    /// No record can be decrypted until an operator acts.
    #[error("cannot decrypt the records of stream {stream} in {region}: {error}")]
    Cipher {
        stream: StreamName,
        region: String,
        /// The keys given.
        keys: String,
        error: CipherError,
    },
    /// The records are encrypted under other keys than those given.
    #[error(
        "cannot decrypt the records of stream {stream} in {region}: they are encrypted under {used}"
    )]
    WrongKey {
        stream: StreamName,
        region: String,
        /// The keys of the first record, which nothing authenticates.
        used: String,
    },
    /// Standard output cannot be written to.
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
}

impl TailError {
    /// Converts the error to the one that ends the command.
    pub(crate) fn into_command_error(self) -> CommandError {
        let (exit_code, next_step) = (self.exit_code(), self.next_step());
        CommandError::new(exit_code, self).with_next_step(next_step)
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Setup(error @ SetupError::Alias { .. }) => match error.kind() {
                ErrorKind::Retryable => ExitCode::Incomplete,
                ErrorKind::Operator | ErrorKind::Record => ExitCode::Operator,
            },
            Self::Setup(_) | Self::NoSuchShard { .. } => ExitCode::Usage,
            Self::Stream { failure, .. } => aws_failure::exit_code(failure),
            Self::Cipher { .. } | Self::WrongKey { .. } => ExitCode::Operator,
            Self::Output(_) => ExitCode::Incomplete,
        }
    }

    fn next_step(&self) -> Option<String> {
        match self {
            Self::Setup(SetupError::Alias(error)) => alias_next_step(error.failure()?.cause()),
            Self::Setup(_) | Self::Output(_) => None,
            Self::NoSuchShard { shards, .. } => Some(format!("choose --shard from {shards}")),
            Self::Stream { region, failure, .. } => match failure.cause() {
                Cause::NotFound => Some(format!(
                    "check --stream and --region, or list streams with \
                     `aws kinesis list-streams --region {region}`"
                )),
                Cause::AccessDenied => Some(
                    "allow the caller kinesis:ListShards, kinesis:GetShardIterator and \
                     kinesis:GetRecords on the stream"
                        .to_owned(),
                ),
                cause => aws_failure::next_step(cause).map(str::to_owned),
            },
            Self::Cipher { stream, keys, error, .. } => {
                let cause = match error {
                    CipherError::Kms(error) => error.failure().map(Failure::cause),
                    _ => None,
                };
                let of_caller = cause.and_then(aws_failure::next_step).map(str::to_owned);
                of_caller.or_else(|| {
                    Some(format!(
                        "check that the caller is allowed kms:Decrypt on {keys}, with the encryption \
                         context stream={stream}"
                    ))
                })
            }
            Self::WrongKey { .. } => Some("check --kms-key".to_owned()),
        }
    }
}

/// Returns what to do after an alias was not resolved to its key.
fn alias_next_step(cause: Cause) -> Option<String> {
    match cause {
        Cause::NotFound => Some("check --kms-key and --region".to_owned()),
        Cause::AccessDenied => {
            Some("allow the caller kms:DescribeKey on the key, or give the key's ARN".to_owned())
        }
        cause => aws_failure::next_step(cause).map(str::to_owned),
    }
}
