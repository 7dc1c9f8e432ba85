//! The flags of `sealstream push`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint, value_parser};
use record_cipher::InvalidName;
use record_pusher::{
    Compression, EncryptFor, Engine, ItemKey, KmsKeyId, OnOutage, RecordPusher,
    RecordPusherBuilder, RegionName, StreamName, Suite,
};
use record_telemetry::TraceContext;

use crate::flags::{one_of, seconds};

const EXAMPLES: &str = "\
Examples:
  Push a file to two Regions:
    sealstream push --regions us-east-1,eu-west-1 --kms-key alias/sealstream --stream records FILE

  Push the output of another program, with settings from the environment:
    export SEALSTREAM_REGIONS=us-east-1,eu-west-1 SEALSTREAM_KMS_KEY=alias/sealstream
    export SEALSTREAM_STREAM=records
    generate | sealstream push

  Keep undelivered messages, and send them later:
    sealstream push --spool undelivered.ndjson … FILE
    sealstream resume --spool undelivered.ndjson

  Against a local AWS:
    AWS_ENDPOINT_URL=http://127.0.0.1:4566 sealstream push … FILE

SIGINT (Ctrl-C), SIGTERM and SIGHUP stop the reading. Lines that were read are still delivered. Signals
that are ignored at the start, as with nohup, stay ignored.";

/// Encrypts JSON records and puts them to a Kinesis stream in every Region.
///
/// Reads one JSON object per line, from plain, gzip or zstd files. Each record is encrypted with the
/// AWS Encryption SDK's message format under the KMS keys of all Regions, and the same ciphertext is
/// put to the stream in every Region. Data keys are cached, so KMS is called once per hundred records.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PushArgs {
    /// Files of JSON objects, one per line; standard input without a file or for `-`
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) pusher: PusherArgs,

    #[command(flatten)]
    pub(crate) input: InputArgs,

    #[command(flatten)]
    pub(crate) failures: FailureArgs,

    #[command(flatten)]
    pub(crate) reports: ReportArgs,
}

/// Where records go, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Destination and encryption")]
pub(crate) struct PusherArgs {
    /// Regions to push to, separated by commas; the first one's KMS key generates data keys
    #[arg(long, value_delimiter = ',', required = true)]
    #[arg(value_parser = parse_region)]
    pub(crate) regions: Vec<RegionName>,

    /// KMS key that exists in every Region: alias/NAME, an alias ARN, or a multi-Region key ARN
    #[arg(long)]
    pub(crate) kms_key: KmsKeyId,

    /// Name of the Kinesis stream, the same in every Region
    #[arg(long)]
    pub(crate) stream: StreamName,

    /// Algorithm suite: signed (ECDSA P-384, readers cannot forge records) or unsigned (many times
    /// faster)
    #[arg(long, default_value_t = Suite::Signed)]
    #[arg(value_parser = one_of([Suite::Signed, Suite::Unsigned]))]
    suite: Suite,

    /// Regions whose KMS keys a record must be encrypted for: all, or those that are available (the
    /// others then do not get the record)
    #[arg(long, default_value_t = EncryptFor::All)]
    #[arg(value_parser = one_of([EncryptFor::All, EncryptFor::Available]))]
    encrypt_for: EncryptFor,

    /// Encoder of messages: native, or aws-esdk for AWS's code
    #[arg(long, default_value_t = Engine::Native)]
    #[arg(value_parser = one_of([Engine::Native, Engine::AwsEsdk]))]
    engine: Engine,

    /// Top-level field with the partition key, a string or a number; random keys without it. Records
    /// with the same key stay in order. The key is not encrypted
    #[arg(long)]
    partition_key_field: Option<String>,

    /// Refuse records that do not fit the consumers' table: its key, such as id:S or
    /// account:S,number:N
    #[arg(long, value_name = "KEY")]
    require_key: Option<ItemKey>,

    /// Maximum bytes of JSON in one message, 0 to 1000000; 0 gives each record its own message
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    #[arg(value_parser = value_parser!(u64).range(..=1_000_000))]
    aggregate_bytes: u64,

    /// Compression of messages before they are encrypted: none or zstd. Upgrade consumers first
    #[arg(long, default_value_t = Compression::None)]
    #[arg(value_parser = one_of([Compression::None, Compression::Zstd]))]
    compression: Compression,

    /// Level of the compression, 1 (fastest) to 19 (smallest)
    #[arg(long, value_name = "LEVEL", default_value_t = 1)]
    #[arg(value_parser = value_parser!(i32).range(1..=19))]
    compression_level: i32,

    /// Milliseconds that a record waits for others to share a message or a request, 0 to 60000
    #[arg(long, value_name = "MS", default_value_t = 5)]
    #[arg(value_parser = value_parser!(u64).range(..=60_000))]
    linger_ms: u64,

    /// Seconds after which a record without an acknowledgement is undelivered, 1 to 86400
    #[arg(long, value_name = "SECONDS")]
    #[arg(default_value = "30", value_parser = seconds(1..=86_400))]
    delivery_timeout_seconds: Duration,

    /// Data keys in the cache, 0 to 1000000; 0 turns caching off
    #[arg(long, value_name = "KEYS", default_value_t = 100)]
    #[arg(value_parser = value_parser!(u64).range(..=1_000_000))]
    cache_capacity: u64,

    /// Seconds that a data key is used, 1 to 31536000
    #[arg(long, value_name = "SECONDS")]
    #[arg(default_value = "300", value_parser = seconds(1..=31_536_000))]
    cache_max_age_seconds: Duration,

    /// Messages that one data key encrypts, 1 to 4294967296
    #[arg(long, value_name = "MESSAGES")]
    #[arg(default_value_t = 100, value_parser = value_parser!(u64).range(1..=1 << 32))]
    cache_max_messages: u64,
}

/// What is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input")]
pub(crate) struct InputArgs {
    /// First line to push, counted from 1; needs a single input
    #[arg(long, value_name = "LINE", default_value_t = 1)]
    #[arg(value_parser = value_parser!(u64).range(1..))]
    pub(crate) from_line: u64,

    /// Stop reading at the first line that is rejected
    #[arg(long)]
    pub(crate) fail_fast: bool,

    /// Top-level attribute for the trace context, added to each record that lacks it
    #[arg(long, value_name = "NAME")]
    pub(crate) trace_attribute: Option<String>,

    /// Trace context for --trace-attribute, such as 00-TRACE-PARENT-01
    #[arg(long)]
    pub(crate) traceparent: Option<TraceContext>,
}

/// What happens to records that cannot be delivered.
#[derive(Debug, Args)]
#[command(next_help_heading = "Failures")]
pub(crate) struct FailureArgs {
    /// File to append undelivered messages to, encrypted, for `sealstream resume`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) spool: Option<PathBuf>,

    /// File for the position and the reason of each line that must be pushed again, as JSON lines
    /// without the content
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) rejects: Option<PathBuf>,

    /// Policy while an operator has to act; by default wait for standard input, and fail for files
    #[arg(long, value_enum, value_name = "POLICY")]
    pub(crate) on_outage: Option<OutagePolicy>,

    /// Seconds for delivering what was read, after the first signal
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) drain_seconds: u64,
}

/// What is reported.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reports")]
pub(crate) struct ReportArgs {
    /// Summary as text on standard error, or as JSON on standard output
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub(crate) output: Output,

    /// File to append metrics to at the end, in CloudWatch's embedded metric format
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) metrics: Option<PathBuf>,
}

/// The policy for errors that only an operator can resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutagePolicy {
    /// Pause reading until the outage ends
    Wait,
    /// Deliver what is possible and exit with code 3
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Human,
    /// For programs
    Json,
}

/// There may be a space after the comma.
fn parse_region(name: &str) -> Result<RegionName, InvalidName> {
    name.trim().parse()
}

impl PushArgs {
    /// Returns the builder of the pusher.
    pub(crate) fn builder(&self) -> RecordPusherBuilder {
        let args = &self.pusher;
        let builder =
            RecordPusher::builder(args.stream.clone(), args.kms_key.clone(), args.regions.clone())
                .suite(args.suite)
                .encrypt_for(args.encrypt_for)
                .engine(args.engine)
                .aggregate_bytes(saturating(args.aggregate_bytes))
                .compression(args.compression)
                .compression_level(args.compression_level)
                .linger(Duration::from_millis(args.linger_ms))
                .delivery_timeout(args.delivery_timeout_seconds)
                .on_outage(match self.outage_policy() {
                    OutagePolicy::Wait => OnOutage::Wait,
                    OutagePolicy::Fail => OnOutage::Fail,
                })
                .cache_capacity(saturating(args.cache_capacity))
                .cache_max_age(args.cache_max_age_seconds)
                .cache_max_messages(args.cache_max_messages);
        let builder = match &args.partition_key_field {
            Some(field) => builder.partition_key_field(field),
            None => builder,
        };
        match &args.require_key {
            Some(key) => builder.require_key(key.clone()),
            None => builder,
        }
    }

    /// Standard input cannot be read again, so its records are waited for.
    fn outage_policy(&self) -> OutagePolicy {
        let reads_standard_input =
            self.files.is_empty() || self.files.iter().any(is_standard_input);
        let default = if reads_standard_input { OutagePolicy::Wait } else { OutagePolicy::Fail };
        self.failures.on_outage.unwrap_or(default)
    }
}

pub(crate) fn is_standard_input(path: impl AsRef<Path>) -> bool {
    path.as_ref().as_os_str() == "-"
}

fn saturating(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
