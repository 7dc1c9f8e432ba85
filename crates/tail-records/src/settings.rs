//! What is to be followed, and how.

use std::time::Duration;

use aws_config::SdkConfig;
use clap::{Args, value_parser};
use record_cipher::{Engine, KeyArn, Keys, RecordCipher, RegionName, SetupError, StreamName};

use crate::since::Since;

/// The settings of [`tail`](crate::tail).
///
/// Those that describe the pipeline can be environment variables, as everywhere. Those of one run
/// are flags only.
#[derive(Debug, Clone, Args)]
pub struct TailSettings {
    /// Name of the Kinesis stream
    #[arg(long, env)]
    pub stream: StreamName,

    /// Region of the stream; found as the AWS CLI finds it if not set
    #[arg(long, env = "AWS_REGION")]
    pub region: Option<RegionName>,

    /// ARNs of the KMS keys to decrypt with, separated by commas; this Region's first
    #[arg(long, env, value_delimiter = ',', required = true)]
    pub cmk_arn: Vec<KeyArn>,

    /// Who decodes messages: native, or aws-esdk for the vendor's code; what they read is the same
    #[arg(long, env, default_value_t = Engine::Native)]
    pub engine: Engine,

    /// Data keys held in the cache; 0 turns caching off
    #[arg(long, env, default_value_t = 100)]
    pub cache_capacity: usize,

    /// Seconds for which a decrypted data key is used
    #[arg(long, env, default_value_t = 600, value_parser = value_parser!(u64).range(1..))]
    pub cache_max_age_seconds: u64,

    /// Where to begin: latest, trim-horizon, a time before now such as 10m, or a time such as
    /// 2026-01-31T12:00:00Z
    #[arg(long, default_value_t = Since::Latest)]
    pub since: Since,

    /// Read this shard only, and not those that it is split or merged into
    #[arg(long)]
    pub shard: Option<String>,

    /// Stop when every shard has been read up to its newest record
    #[arg(long)]
    pub no_follow: bool,

    /// Stop after so many records
    #[arg(long, value_parser = value_parser!(u64).range(1..))]
    pub count: Option<u64>,

    /// Print each record in an object with its shard, sequence number, time of arrival and
    /// partition key
    #[arg(long)]
    pub with_metadata: bool,
}

impl TailSettings {
    pub(crate) async fn cipher(&self, config: &SdkConfig) -> Result<RecordCipher, SetupError> {
        RecordCipher::builder(Keys::Decrypt(self.cmk_arn.clone()), config)
            .engine(self.engine)
            .cache_capacity(self.cache_capacity)
            .max_age(Duration::from_secs(self.cache_max_age_seconds))
            .build()
            .await
    }
}
