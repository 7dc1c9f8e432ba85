//! The flags of `sealstream push`.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use record_pusher::{PusherSettings, TraceSettings};
use record_telemetry::TraceContext;

const EXAMPLES: &str = "\
Examples:
  Push a file to two Regions:
    sealstream push --regions us-east-1,eu-west-1 --kms-key alias/sealstream --stream records FILE

  Push what another program writes, with the settings from the environment:
    export REGIONS=us-east-1,eu-west-1 KMS_KEY=alias/sealstream STREAM=records
    generate | sealstream push

  Keep what does not get through, and send it later:
    sealstream push --spool undelivered.ndjson … FILE
    sealstream resume --spool undelivered.ndjson

  Against a local AWS:
    AWS_ENDPOINT_URL=http://127.0.0.1:4566 sealstream push … FILE

Credentials, profiles and endpoints are found the way the AWS CLI finds them.
The exit code is 0 only when every record reached every Region, 1 when one did not or a line
held no record, and 2 when a setting or a file name is wrong and nothing was pushed.
SIGINT (Ctrl-C) and SIGTERM end the reading of input; what was read is still sent.";

/// Encrypts records and puts them to a Kinesis stream in every Region.
///
/// Reads one JSON object per line. Each is encrypted with the AWS Encryption SDK under the KMS keys
/// of all Regions, and the same ciphertext is put to the stream in every Region. Data keys are
/// cached, so that KMS is called once per hundred records.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PushArgs {
    /// Files of JSON objects, one per line; standard input if none is given or for `-`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) settings: PusherSettings,

    #[command(flatten)]
    pub(crate) trace: TraceSettings,

    /// Trace context for --trace-attribute, such as 00-TRACE-PARENT-01
    #[arg(long, env)]
    pub(crate) traceparent: Option<TraceContext>,

    /// Stop reading at the first line that is not a JSON object
    #[arg(long, env)]
    pub(crate) fail_fast: bool,

    /// File to append messages to that did not reach a Region, encrypted as they are, for
    /// `sealstream resume`
    #[arg(long, env, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) spool: Option<PathBuf>,

    /// Seconds that what was read may take to be sent after SIGINT or SIGTERM; a second signal ends
    /// the program at once
    #[arg(long, env, default_value_t = 10)]
    pub(crate) drain_seconds: u64,

    /// The summary: text on standard error, or JSON on standard output
    #[arg(long, env, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,

    /// File to append metrics to when the program ends, in CloudWatch's embedded metric format, one line
    /// of JSON each
    #[arg(long, env = "METRICS_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) metrics: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Human,
    /// For programs
    Json,
}
