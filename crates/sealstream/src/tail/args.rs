//! The flags of `sealstream tail`.

use std::time::Duration;

use aws_config::SdkConfig;
use clap::{Args, value_parser};
use record_cipher::{
    DEFAULT_MAX_DECOMPRESSED_BYTES, DecryptSettings, Engine, KmsKeyId, RecordCipher, SetupError,
};

use crate::aws_failure::with_profile;
use crate::flags::{heading, one_of, seconds};
use crate::stream::args::StreamArgs;
use crate::tail::since::Since;

const EXAMPLES: &str = "\
Examples:
  Follow a stream from now on:
    sealstream tail --stream records --region eu-west-1 --kms-key alias/sealstream

  Print the last ten minutes and stop, with the settings from the environment:
    export SEALSTREAM_STREAM=records SEALSTREAM_KMS_KEY=alias/sealstream
    sealstream tail --since 10m --no-follow | jq .id

  Print one record with its position in the stream:
    sealstream tail --since trim-horizon --count 1 --with-metadata

The output is plaintext: mind who sees the terminal, its scrollback, and files.";

/// Follow a stream and print its records decrypted
///
/// Prints one JSON object per line, in order within each shard. Records that cannot be decrypted are
/// listed on standard error.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub(crate) stream: StreamArgs,

    /// Position to start at: latest, trim-horizon, an age (30s, 10m, 2h, 1d), or a time
    /// (2026-01-31T12:00:00Z)
    #[arg(long, default_value_t = Since::Latest, help_heading = heading::STREAM)]
    pub(crate) since: Since,

    /// Read this shard only, without its child shards
    #[arg(long, value_name = "ID", help_heading = heading::STREAM)]
    pub(crate) shard: Option<String>,

    /// Stop at the newest record of every shard
    #[arg(long, help_heading = heading::STREAM)]
    pub(crate) no_follow: bool,

    /// KMS keys to decrypt with, this Region's first: key ARNs or aliases, comma-separated
    #[arg(long, value_name = "KEY", value_delimiter = ',', required = true, help_heading = heading::ENCRYPTION)]
    pub(crate) kms_key: Vec<KmsKeyId>,

    /// Implementation that decodes messages
    #[arg(
        long,
        default_value_t = Engine::Native,
        value_parser = one_of([Engine::Native, Engine::AwsEsdk]),
        help_heading = heading::ENCRYPTION
    )]
    pub(crate) engine: Engine,

    /// Maximum data keys in the cache; 0 turns caching off
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = heading::ENCRYPTION)]
    pub(crate) cache_capacity: usize,

    /// Maximum age of a cached data key
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "600",
        value_parser = seconds(1..=86_400),
        help_heading = heading::ENCRYPTION
    )]
    pub(crate) cache_max_age_seconds: Duration,

    /// Maximum bytes of a message's JSON after decompression
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = DEFAULT_MAX_DECOMPRESSED_BYTES,
        help_heading = heading::ENCRYPTION
    )]
    pub(crate) max_decompressed_bytes: usize,

    /// Stop after N records
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..), help_heading = heading::OUTPUT)]
    pub(crate) count: Option<u64>,

    /// Print each record in an object with shard, sequence number, arrival time and partition key
    #[arg(long, help_heading = heading::OUTPUT)]
    pub(crate) with_metadata: bool,
}

impl TailArgs {
    pub(crate) async fn cipher(&self, config: &SdkConfig) -> Result<RecordCipher, SetupError> {
        let mut settings = DecryptSettings::with_keys(self.kms_key.clone());
        settings.engine = self.engine;
        settings.cache_capacity = self.cache_capacity;
        settings.max_age = self.cache_max_age_seconds;
        settings.max_decompressed_bytes = self.max_decompressed_bytes;
        let cipher = settings.build(config).await;
        cipher.map_err(|error| with_profile(error, SetupError::with_profile))
    }
}
