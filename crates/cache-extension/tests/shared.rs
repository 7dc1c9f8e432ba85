//! The table that execution environments share, in `fake-aws`.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::AttributeValue;
use cache_extension::{
    Freshness, Kind, Load, LoadError, Parameter, Request, SharedTable, SharedTier, Source,
    Upstream, Value,
};
use dynamodb_cache::ManualClock;
use fake_aws::{FakeAws, Fault, KeyType, Operation, Rule, Service as AwsService};
use futures::future::{BoxFuture, join_all};

const REGION: &str = "us-east-1";
const TABLE: &str = "shared";
const TTL: Duration = Duration::from_secs(600);

/// Systems Manager, for all environments.
#[derive(Debug, Default)]
struct Service {
    /// The number of names in each request.
    requests: Mutex<Vec<usize>>,
    version: AtomicU64,
    is_down: std::sync::atomic::AtomicBool,
}

impl Upstream for Service {
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>> {
        Box::pin(async {
            self.requests.lock().unwrap().push(batch.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
            if self.is_down.load(Ordering::Relaxed) {
                return vec![Err(LoadError::Unavailable("down".to_owned())); batch.len()];
            }
            let version = self.version.load(Ordering::Relaxed);
            let value = |request: &Request| {
                let kind = match name(request).starts_with("secret") {
                    true => Kind::Secret,
                    false => Kind::Plain,
                };
                let body = format!("marked {} {version}", name(request)).into();
                Ok(Value { kind, body }.into())
            };
            batch.iter().map(value).collect()
        })
    }
}

fn name(request: &Request) -> &str {
    let Source::Parameter(Parameter { name, .. }) = &request.source else { panic!("no parameter") };
    name
}

struct Fleet {
    aws: FakeAws,
    config: SdkConfig,
    service: Arc<Service>,
    clock: Arc<ManualClock>,
}

impl Fleet {
    async fn new() -> Self {
        let aws = FakeAws::start().await.unwrap();
        aws.dynamodb().create_table(REGION, TABLE, &[("id", KeyType::Text)]);
        let credentials = Credentials::new("id", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(aws.url())
            .build();
        Self { aws, config, service: Arc::default(), clock: Arc::default() }
    }

    fn environment(&self, with_secrets: bool) -> SharedTier {
        let table = SharedTable {
            name: TABLE.parse().unwrap(),
            kms_key: "alias/shared".to_owned(),
            with_secrets,
        };
        let service = Arc::clone(&self.service) as Arc<dyn Upstream>;
        SharedTier::new(service, table, &self.config, Arc::clone(&self.clock) as Arc<_>)
    }

    fn requests(&self) -> Vec<usize> {
        self.service.requests.lock().unwrap().clone()
    }

    fn calls(&self, operation: Operation) -> u64 {
        self.aws.faults().calls(REGION, operation).calls
    }

    /// All that is in the table.
    fn content(&self) -> String {
        format!("{:?}", self.aws.dynamodb().items(REGION, TABLE))
    }
}

fn wanted(names: &[&str], freshness: Freshness) -> Vec<Request> {
    let request = |name: &&str| {
        let parameter = Parameter { region: REGION.to_owned(), name: (*name).to_owned() };
        Request { source: Source::Parameter(parameter), ttl: TTL, freshness }
    };
    names.iter().map(request).collect()
}

async fn load(tier: &SharedTier, names: &[&str], freshness: Freshness) -> Vec<String> {
    let loads = tier.load(&wanted(names, freshness)).await;
    let body = |load: Load| String::from_utf8(load.unwrap().value.body.to_vec()).unwrap();
    loads.into_iter().map(body).collect()
}

#[tokio::test]
async fn a_hundred_cold_starts_load_a_value_once() {
    let fleet = Fleet::new().await;
    let environments: Vec<_> = (0..100).map(|_| fleet.environment(false)).collect();
    let cold_starts = environments.iter().map(|tier| load(tier, &["a", "b"], Freshness::Cached));
    for values in join_all(cold_starts).await {
        assert_eq!(values, ["marked a 0", "marked b 0"]);
    }
    assert_eq!(fleet.requests(), [1, 1]);
}

#[tokio::test]
async fn a_batch_is_one_read_and_one_decryption() {
    let fleet = Fleet::new().await;
    load(&fleet.environment(false), &["a", "b", "c"], Freshness::Cached).await;
    let before = fleet.calls(Operation::Decrypt);
    let reads = fleet.calls(Operation::BatchGetItem);
    assert_eq!(fleet.calls(Operation::GenerateDataKey), 1);
    let values = load(&fleet.environment(false), &["c", "a", "b"], Freshness::Cached).await;
    assert_eq!(values, ["marked c 0", "marked a 0", "marked b 0"]);
    assert_eq!(fleet.calls(Operation::Decrypt) - before, 1);
    assert_eq!(fleet.calls(Operation::BatchGetItem) - reads, 1);
    assert_eq!(fleet.requests(), [1, 1, 1]);
}

#[tokio::test]
async fn nothing_in_the_table_can_be_read_and_secrets_are_not_in_it_unless_asked_for() {
    let fleet = Fleet::new().await;
    for _ in 0..2 {
        let values = load(&fleet.environment(false), &["secret-a", "b"], Freshness::Cached).await;
        assert_eq!(values, ["marked secret-a 0", "marked b 0"]);
    }
    assert_eq!(fleet.requests(), [1, 1, 1], "the secret is loaded by each environment");
    assert!(!fleet.content().contains("marked"), "{}", fleet.content());
    let items = fleet.aws.dynamodb().items(REGION, TABLE);
    let secret = items.iter().find(|item| format!("{item:?}").contains("secret-a")).unwrap();
    assert!(format!("{secret:?}").len() < 300, "{secret:?}");
    for _ in 0..2 {
        load(&fleet.environment(true), &["secret-c"], Freshness::Cached).await;
    }
    assert_eq!(fleet.requests().len(), 4);
    assert!(!fleet.content().contains("marked"), "{}", fleet.content());
}

#[tokio::test]
async fn a_value_keeps_the_age_that_it_has() {
    let fleet = Fleet::new().await;
    load(&fleet.environment(false), &["a"], Freshness::Cached).await;
    fleet.clock.advance(Duration::from_secs(100));
    let loaded = fleet.environment(false).load(&wanted(&["a"], Freshness::Cached)).await.remove(0);
    let age = loaded.unwrap().age.as_secs();
    assert!((100..=101).contains(&age), "{age}");
}

#[tokio::test]
async fn the_newest_value_comes_from_its_service_and_is_shared() {
    let fleet = Fleet::new().await;
    let tier = fleet.environment(false);
    load(&tier, &["a"], Freshness::Cached).await;
    fleet.service.version.store(1, Ordering::Relaxed);
    assert_eq!(load(&tier, &["a"], Freshness::Cached).await, ["marked a 0"]);
    assert_eq!(load(&tier, &["a"], Freshness::Latest).await, ["marked a 1"]);
    assert_eq!(load(&fleet.environment(false), &["a"], Freshness::Cached).await, ["marked a 1"]);
}

#[tokio::test]
async fn a_table_or_a_key_in_trouble_is_done_without() {
    for service in [AwsService::DynamoDb, AwsService::Kms] {
        let fleet = Fleet::new().await;
        let trouble = Rule::new(Fault::InternalError).service(service);
        fleet.aws.faults().inject(trouble);
        for _ in 0..2 {
            let values = load(&fleet.environment(false), &["a", "b"], Freshness::Cached).await;
            assert_eq!(values, ["marked a 0", "marked b 0"]);
        }
    }
}

#[tokio::test]
async fn a_service_in_trouble_is_told_as_it_is() {
    let fleet = Fleet::new().await;
    fleet.service.is_down.store(true, Ordering::Relaxed);
    let load = fleet.environment(false).load(&wanted(&["a"], Freshness::Cached)).await.remove(0);
    assert_eq!(load, Err(LoadError::Unavailable("down".to_owned())));
}

#[tokio::test]
async fn a_value_in_the_place_of_another_is_not_taken() {
    let fleet = Fleet::new().await;
    load(&fleet.environment(false), &["a", "b"], Freshness::Cached).await;
    let items = fleet.aws.dynamodb().items(REGION, TABLE);
    let [a, b] = items.as_slice() else { panic!("{items:?}") };
    let text = |item: &fake_aws::Item, name: &str| {
        AttributeValue::S(item[name]["S"].as_str().unwrap().to_owned())
    };
    let expires_at = AttributeValue::N(a["expires_at"]["N"].as_str().unwrap().to_owned());
    let put = aws_sdk_dynamodb::Client::new(&fleet.config).put_item().table_name(TABLE);
    let put = put.item("id", text(a, "id")).item("kind", text(a, "kind"));
    let put = put.item("cached_value", text(b, "cached_value")).item("expires_at", expires_at);
    put.send().await.unwrap();
    let values = load(&fleet.environment(false), &["a", "b"], Freshness::Cached).await;
    assert_eq!(values, ["marked a 0", "marked b 0"]);
}
