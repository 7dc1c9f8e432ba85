//! The AWS services that a run is against.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, KeyType, StreamSettings, kms_key_arn};
use record_cipher::DecryptSettings;
use record_consumer::{Consumer, DynamoDbTable, S3Quarantine};

/// The Regions, the first of which makes the data keys.
pub const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
/// The stream in every Region.
pub const STREAM: &str = "records";
/// The KMS key in every Region.
pub const KEY_ALIAS: &str = "alias/records";
/// The table in every Region; its key attribute is `id`.
pub const TABLE: &str = "items";
/// The quarantine in every Region.
pub const BUCKET: &str = "quarantine";

/// Streams, tables, keys and buckets in every Region, behind HTTP.
#[derive(Debug)]
pub struct Stage {
    /// What the clients talk to.
    pub aws: FakeAws,
    /// For the clients.
    pub config: SdkConfig,
}

impl Stage {
    /// Starts it, with empty streams and tables.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn new(shards: u64) -> std::io::Result<Self> {
        let aws = FakeAws::start().await?;
        let stage = Self { config: config(aws.url()), aws };
        stage.empty(shards);
        Ok(stage)
    }

    /// Puts an empty stream and an empty table in the place of each.
    pub fn empty(&self, shards: u64) {
        let settings = StreamSettings { shards, ..StreamSettings::default() };
        for region in REGIONS {
            self.aws.dynamodb().create_table(region, TABLE, &[("id", KeyType::Text)]);
            self.aws.kinesis().create_stream(region, STREAM, settings);
        }
    }

    /// A Region's consumer, with the defaults of the function and a quarantine.
    ///
    /// # Errors
    /// The services do not answer.
    pub async fn consumer(&self, region: &'static str) -> anyhow::Result<Consumer> {
        let config = self.config.clone().into_builder().region(Region::new(region)).build();
        let keys = vec![kms_key_arn(region, KEY_ALIAS).parse()?];
        let cipher = DecryptSettings::with_keys(keys).build(&config).await?;
        let table = DynamoDbTable::new(&config, TABLE)?;
        let key = table.key_attributes().await?;
        let quarantine = S3Quarantine::new(&config, &BUCKET.parse()?);
        Ok(Consumer::builder(cipher, table, key).quarantine(quarantine).build()?)
    }
}

/// The SDK's own retries have short pauses, so that a run spends its time on records.
fn config(url: &str) -> SdkConfig {
    let credentials = Credentials::new("id", "secret", None, None, "soak");
    let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(10));
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .retry_config(retries)
        .build()
}
