//! A pusher beside the services of AWS that it needs.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, Fault, Rule, Service, StreamSettings, kms_key_arn};
use record_cipher::{Keys, RecordCipher};
use record_pusher::{Outcome, Record, RecordPusher, RecordPusherBuilder, RegionName, Suite};
use serde_json::{Value, json};

pub(crate) const HERE: &str = "us-east-1";
pub(crate) const THERE: &str = "eu-west-1";
const ALIAS: &str = "alias/records";

pub(crate) struct Fixture {
    pub(crate) aws: FakeAws,
    pub(crate) config: SdkConfig,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let aws = FakeAws::start().await.unwrap();
        for region in [HERE, THERE] {
            aws.kinesis().create_stream(region, "records", StreamSettings::default());
        }
        let credentials = Credentials::new("id", "secret", None, None, "tests");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(aws.url())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build();
        Self { aws, config }
    }

    pub(crate) fn builder(&self) -> RecordPusherBuilder {
        self.builder_for(vec![name(HERE), name(THERE)])
    }

    pub(crate) fn builder_for(&self, regions: Vec<RegionName>) -> RecordPusherBuilder {
        RecordPusher::builder("records".parse().unwrap(), ALIAS.parse().unwrap(), regions)
            .suite(Suite::Unsigned)
    }

    pub(crate) async fn build(&self, builder: RecordPusherBuilder) -> RecordPusher {
        builder.build(&self.config).await.unwrap()
    }

    pub(crate) async fn pusher(&self) -> RecordPusher {
        self.build(self.builder()).await
    }

    /// The plaintexts that are in a Region's stream, in the order in which it took them.
    pub(crate) async fn plaintexts(&self, region: &str) -> Vec<Value> {
        let keys = Keys::Decrypt(vec![kms_key_arn(region, ALIAS).parse().unwrap()]);
        let cipher = RecordCipher::builder(keys, &self.config).build().await.unwrap();
        let mut plaintexts = Vec::new();
        for record in self.aws.kinesis().records(region, "records") {
            let plaintext = cipher.decrypt(&"records".parse().unwrap(), record.data).await.unwrap();
            plaintexts.push(serde_json::from_slice(&plaintext).unwrap());
        }
        plaintexts
    }

    /// The same, without the faults.
    pub(crate) async fn plaintexts_lifted(&self, region: &str) -> Vec<Value> {
        self.aws.faults().lift_all();
        self.plaintexts(region).await
    }

    /// Decrypts the message of an outcome.
    pub(crate) async fn plaintext(&self, region: &str, outcome: &Outcome) -> Value {
        let keys = Keys::Decrypt(vec![kms_key_arn(region, ALIAS).parse().unwrap()]);
        let cipher = RecordCipher::builder(keys, &self.config).build().await.unwrap();
        let message = outcome.message().to_vec();
        let plaintext = cipher.decrypt(&"records".parse().unwrap(), message).await.unwrap();
        serde_json::from_slice(&plaintext).unwrap()
    }

    pub(crate) fn count(&self, region: &str) -> usize {
        self.aws.kinesis().records(region, "records").len()
    }
}

/// What stands between a record and its acknowledgement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Obstacle {
    None,
    KmsHangs,
    KmsThrottles,
    KinesisHangs,
    KinesisThrottles,
    OneRegionHangs,
}

impl Obstacle {
    pub(crate) const ALL: [Self; 6] = [
        Self::None,
        Self::KmsHangs,
        Self::KmsThrottles,
        Self::KinesisHangs,
        Self::KinesisThrottles,
        Self::OneRegionHangs,
    ];

    pub(crate) fn inject(self, aws: &FakeAws) {
        let rule = match self {
            Self::None => return,
            Self::KmsHangs => Rule::new(Fault::Hang).service(Service::Kms),
            Self::KmsThrottles => Rule::new(Fault::Throttle).service(Service::Kms),
            Self::KinesisHangs => Rule::new(Fault::Hang).service(Service::Kinesis),
            Self::KinesisThrottles => Rule::new(Fault::Throttle).service(Service::Kinesis),
            Self::OneRegionHangs => Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE),
        };
        aws.faults().inject(rule);
    }
}

pub(crate) fn name(region: &str) -> RegionName {
    region.parse().unwrap()
}

pub(crate) fn record(value: &Value) -> Record {
    Record::from_json(value.to_string().as_bytes()).unwrap()
}

pub(crate) fn records(count: u32) -> Vec<Record> {
    (0..count).map(|number| record(&json!({ "id": number }))).collect()
}

pub(crate) fn of_size(bytes: usize) -> Record {
    record(&json!({ "id": "1", "text": "x".repeat(bytes) }))
}

/// A message holds one record, or a list.
pub(crate) fn records_of(message: Value) -> Vec<Value> {
    match message {
        Value::Array(records) => records,
        record => vec![record],
    }
}

pub(crate) fn code(outcome: &Outcome, region: &str) -> String {
    outcome.regions()[&name(region)].clone().unwrap_err().code
}

/// Waits until something is so, on whatever time that takes.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it takes too long");
}
