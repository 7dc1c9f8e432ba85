//! What is to be followed, and how.

use std::time::Duration;

use aws_config::SdkConfig;
use clap::{Args, value_parser};
use record_cipher::{
    DecryptSettings, Engine, KmsKeyId, RecordCipher, RegionName, SetupError, StreamName,
};

use crate::tail::since::Since;

const EXAMPLES: &str = "\
Examples:
  Follow a stream from now on:
    sealstream tail --stream records --region eu-west-1 --cmk-arn arn:aws:kms:eu-west-1:…:key/…

  The last ten minutes, once, with the settings from the environment:
    export STREAM=records AWS_REGION=eu-west-1 CMK_ARN=arn:aws:kms:eu-west-1:…:key/…
    sealstream tail --since 10m --no-follow | jq .id

  One record with its place in the stream:
    sealstream tail --since trim-horizon --count 1 --with-metadata

What is printed is plaintext: mind who sees the terminal, its scrollback, and files.
Credentials, profiles and endpoints are found the way the AWS CLI finds them.
The exit code is 0 when all records that were read were printed, 1 when some could not be, 2 when a
setting is wrong or the stream cannot be read, and 3 when the caller may not decrypt.
SIGINT (Ctrl-C) and SIGTERM end the program; a second one ends it at once.";

/// Those that describe the pipeline can be environment variables, as everywhere. Those of one run
/// are flags only.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TailSettings {
    /// Name of the Kinesis stream
    #[arg(long, env)]
    pub(crate) stream: StreamName,

    /// Region of the stream; found as the AWS CLI finds it if not set
    #[arg(long, env = "AWS_REGION")]
    pub(crate) region: Option<RegionName>,

    /// KMS keys to decrypt with, key ARNs or aliases, separated by commas; this Region's first
    #[arg(long, env, value_delimiter = ',', required = true)]
    pub(crate) cmk_arn: Vec<KmsKeyId>,

    /// Who decodes messages: native, or aws-esdk for the vendor's code; what they read is the same
    #[arg(long, env, default_value_t = Engine::Native)]
    pub(crate) engine: Engine,

    /// Data keys held in the cache; 0 turns caching off
    #[arg(long, env, default_value_t = 100)]
    pub(crate) cache_capacity: usize,

    /// Seconds for which a decrypted data key is used
    #[arg(long, env, default_value_t = 600, value_parser = value_parser!(u64).range(1..))]
    pub(crate) cache_max_age_seconds: u64,

    /// Where to begin: latest, trim-horizon, a time before now such as 10m, or a time such as
    /// 2026-01-31T12:00:00Z
    #[arg(long, default_value_t = Since::Latest)]
    pub(crate) since: Since,

    /// Read this shard only, and not those that it is split or merged into
    #[arg(long)]
    pub(crate) shard: Option<String>,

    /// Stop when every shard has been read up to its newest record
    #[arg(long)]
    pub(crate) no_follow: bool,

    /// Stop after so many records
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Print each record in an object with its shard, sequence number, time of arrival and
    /// partition key
    #[arg(long)]
    pub(crate) with_metadata: bool,
}

impl TailSettings {
    pub(crate) async fn cipher(&self, config: &SdkConfig) -> Result<RecordCipher, SetupError> {
        let mut settings = DecryptSettings::with_keys(self.cmk_arn.clone());
        settings.engine = self.engine;
        settings.cache_capacity = self.cache_capacity;
        settings.max_age = Duration::from_secs(self.cache_max_age_seconds);
        settings.build(config).await
    }
}
