//! The command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum, ValueHint};
use clap_complete::Shell;
use record_pusher::PusherSettings;

const EXAMPLES: &str = "\
Examples:
  Push a file to two Regions:
    push-records --regions us-east-1,eu-west-1 --kms-key alias/sealstream --stream records FILE

  Push what another program writes, with the settings from the environment:
    export REGIONS=us-east-1,eu-west-1 KMS_KEY=alias/sealstream STREAM=records
    generate | push-records

  Against a local AWS:
    AWS_ENDPOINT_URL=http://127.0.0.1:4566 push-records … FILE

Credentials, profiles and endpoints are found the way the AWS CLI finds them.
The exit code is 0 only when every record reached every Region, 1 when one did not or a line
held no record, and 2 when a setting or a file name is wrong and nothing was pushed.";

/// Encrypts records and puts them to a Kinesis stream in every Region.
///
/// Reads one JSON object per line. Each is encrypted with the AWS Encryption SDK under the KMS keys
/// of all Regions, and the same ciphertext is put to the stream in every Region. Data keys are
/// cached, so that KMS is called once per hundred records.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Files of JSON objects, one per line; standard input if none is given or for `-`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) settings: PusherSettings,

    /// Stop reading at the first line that is not a JSON object
    #[arg(long, env)]
    pub(crate) fail_fast: bool,

    /// The summary: text on standard error, or JSON on standard output
    #[arg(long, env, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,

    /// Print the completion script for a shell and exit
    #[arg(long, value_name = "SHELL", exclusive = true)]
    pub(crate) completions: Option<Shell>,
}

/// A command line that asks for completions and nothing else.
#[derive(Debug, Parser)]
pub(crate) struct Completions {
    #[arg(long)]
    pub(crate) completions: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Human,
    /// For programs
    Json,
}
