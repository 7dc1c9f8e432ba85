//! The command line.

use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum, ValueHint};
use clap_complete::Shell;
use record_pusher::{PusherSettings, TraceSettings};
use record_telemetry::TraceContext;

const EXAMPLES: &str = "\
Examples:
  Push a file to two Regions:
    push-records --regions us-east-1,eu-west-1 --kms-key alias/sealstream --stream records FILE

  Push what another program writes, with the settings from the environment:
    export REGIONS=us-east-1,eu-west-1 KMS_KEY=alias/sealstream STREAM=records
    generate | push-records

  Keep what does not get through, and send it later:
    push-records --spool undelivered.ndjson … FILE
    push-records resume --spool undelivered.ndjson

  Against a local AWS:
    AWS_ENDPOINT_URL=http://127.0.0.1:4566 push-records … FILE

Credentials, profiles and endpoints are found the way the AWS CLI finds them.
The exit code is 0 only when every record reached every Region, 1 when one did not or a line
held no record, and 2 when a setting or a file name is wrong and nothing was pushed.
SIGINT (Ctrl-C) and SIGTERM end the reading of input; what was read is still sent.";

const RESUME_EXAMPLES: &str = "\
Example:
  push-records resume --spool undelivered.ndjson

What is delivered is taken out of the file, which is removed when nothing is left. That happens in one
step at the end, so that a run which is interrupted loses nothing: the next one sends again what this one
sent, and consumers write such a record once. The exit code is 0 only when nothing is left.";

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

    #[command(flatten)]
    pub(crate) trace: TraceSettings,

    /// Trace context for --trace-attribute, such as 00-TRACE-PARENT-01
    #[arg(long, env)]
    pub(crate) traceparent: Option<TraceContext>,

    /// Stop reading at the first line that is not a JSON object
    #[arg(long, env)]
    pub(crate) fail_fast: bool,

    /// File to append messages to that did not reach a Region, encrypted as they are, for
    /// `push-records resume`
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

    /// Print the completion script for a shell and exit
    #[arg(long, value_name = "SHELL", exclusive = true)]
    pub(crate) completions: Option<Shell>,
}

/// Sends the messages of a spool file to the Regions that they did not reach.
#[derive(Debug, Parser)]
#[command(version, after_help = RESUME_EXAMPLES)]
pub(crate) struct ResumeArgs {
    /// The file that `push-records --spool` has written
    #[arg(long, env, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) spool: PathBuf,

    /// Seconds after which a message that a Region has not acknowledged stays in the file
    #[arg(long, env, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) delivery_timeout_seconds: u64,
}

/// What the program is asked to do.
pub(crate) enum Command {
    Push(Box<Args>),
    Resume(ResumeArgs),
}

/// The whole command line.
pub(crate) fn command() -> clap::Command {
    let resume = ResumeArgs::command().name("resume").display_name("push-records resume");
    // `resume` needs none of the settings for pushing.
    Args::command().subcommand(resume).subcommand_negates_reqs(true)
}

/// Reads the command line, and ends the program if it asks for help or cannot be understood.
pub(crate) fn parse() -> Command {
    let matches = command().get_matches();
    let command = match matches.subcommand() {
        Some((_, matches)) => ResumeArgs::from_arg_matches(matches).map(Command::Resume),
        None => Args::from_arg_matches(&matches).map(Box::new).map(Command::Push),
    };
    command.unwrap_or_else(|error| error.exit())
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
