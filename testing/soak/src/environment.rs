//! The AWS services of a run.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, KeyType, StreamSettings, kms_key_arn};
use record_cipher::DecryptSettings;
use record_consumer::{Consumer, DynamoDbTable, S3Quarantine, VersionFrom};

/// The Regions. The KMS key of the first one generates the data keys.
pub const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
/// Stream of every Region.
pub const STREAM: &str = "records";
/// KMS key of every Region.
pub const KEY_ALIAS: &str = "alias/records";
/// Table of every Region, with the key attribute `id`.
pub const TABLE: &str = "items";
/// Attribute for the versions of items, if they have any.
pub(crate) const VERSION: &str = "version";
/// Quarantine of every Region.
pub const BUCKET: &str = "quarantine";

/// Streams, tables, keys and buckets in every Region, behind HTTP.
#[derive(Debug)]
pub struct Environment {
    /// Endpoint of all clients.
    pub aws: FakeAws,
    /// Configuration of all clients.
    pub config: SdkConfig,
}

impl Environment {
    /// Starts an environment with empty streams and tables.
    ///
    /// # Errors
    /// There is no free port.
    pub async fn new(shards: u64) -> std::io::Result<Self> {
        let aws = FakeAws::start().await?;
        let environment = Self { config: config(aws.url()), aws };
        environment.empty(shards);
        Ok(environment)
    }

    /// Replaces every stream and table by an empty one.
    pub fn empty(&self, shards: u64) {
        let settings = StreamSettings { shards, ..StreamSettings::default() };
        for region in REGIONS {
            self.aws.dynamodb().create_table(region, TABLE, &[("id", KeyType::Text)]);
            self.aws.kinesis().create_stream(region, STREAM, settings);
        }
    }

    /// Returns a Region's consumer, with the function's defaults and a quarantine. With `versions`, the
    /// sequence number is an item's version.
    ///
    /// # Errors
    /// The services do not answer.
    pub async fn consumer(&self, region: &'static str, versions: bool) -> anyhow::Result<Consumer> {
        let config = self.config.clone().into_builder().region(Region::new(region)).build();
        let keys = vec![kms_key_arn(region, KEY_ALIAS).parse()?];
        let cipher = DecryptSettings::with_keys(keys).build(&config).await?;
        let table = DynamoDbTable::new(&config, TABLE)?;
        let key = table.key_attributes().await?;
        let quarantine = S3Quarantine::new(&config, &BUCKET.parse()?);
        let consumer = Consumer::builder(cipher, table, key).quarantine(quarantine);
        let consumer = match versions {
            true => consumer.version_attribute(VERSION).version_from(VersionFrom::SequenceNumber),
            false => consumer,
        };
        Ok(consumer.build()?)
    }
}

/// The SDK's retries have short pauses, so that a run spends its time on records.
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
