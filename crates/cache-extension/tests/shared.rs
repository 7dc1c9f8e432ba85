//! The table that execution environments share, in `fake-aws`.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    is_down: AtomicBool,
    is_slow: AtomicBool,
}

impl Upstream for Service {
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>> {
        Box::pin(async {
            self.requests.lock().unwrap().push(batch.len());
            let slow = self.is_slow.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(if slow { 60_000 } else { 20 })).await;
            if self.is_down.load(Ordering::Relaxed) {
                return vec![Err(LoadError::Unavailable("down".to_owned())); batch.len()];
            }
            let version = self.version.load(Ordering::Relaxed);
            let value = |request: &Request| {
                let kind = match name(request).starts_with("secret") {
                    true => Kind::Secret,
                    false => Kind::Plain,
                };
                let body = match name(request) {
                    "large" => "x".repeat(500_000).into(),
                    name => format!("marked {name} {version}").into(),
                };
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
async fn many_cold_starts_load_a_value_once() {
    let fleet = Fleet::new().await;
    // So few that a busy machine answers each of them in the time that the table has.
    let environments: Vec<_> = (0..20).map(|_| fleet.environment(false)).collect();
    let cold_starts = environments.iter().map(|tier| load(tier, &["a", "b"], Freshness::Cached));
    for values in join_all(cold_starts).await {
        assert_eq!(values, ["marked a 0", "marked b 0"]);
    }
    assert_eq!(fleet.requests(), [2]);
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
    assert_eq!(fleet.requests(), [3]);
}

#[tokio::test]
async fn nothing_in_the_table_can_be_read_and_secrets_are_not_in_it_unless_asked_for() {
    let fleet = Fleet::new().await;
    for _ in 0..2 {
        let values = load(&fleet.environment(false), &["secret-a", "b"], Freshness::Cached).await;
        assert_eq!(values, ["marked secret-a 0", "marked b 0"]);
    }
    assert_eq!(fleet.requests(), [2, 1], "the secret is loaded by each environment");
    assert!(!fleet.content().contains("marked"), "{}", fleet.content());
    let items = fleet.aws.dynamodb().items(REGION, TABLE);
    let secret = items.iter().find(|item| format!("{item:?}").contains("secret-a")).unwrap();
    assert!(format!("{secret:?}").len() < 300, "{secret:?}");
    for _ in 0..2 {
        load(&fleet.environment(true), &["secret-c"], Freshness::Cached).await;
    }
    assert_eq!(fleet.requests().len(), 3);
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
    let value = |name: &str| {
        let name = format!("\"{name}\"");
        items.iter().find(|item| item["id"]["S"].as_str().unwrap().contains(&name)).unwrap()
    };
    let (a, b) = (value("a"), value("b"));
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

fn all_calls(fleet: &Fleet) -> u64 {
    fleet.aws.faults().all_calls().values().map(|calls| calls.calls).sum()
}

#[tokio::test]
async fn a_lone_cold_start_makes_four_calls_and_the_next_one_three() {
    let fleet = Fleet::new().await;
    let names: Vec<_> = (0..10).map(|number| format!("p{number}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let first = fleet.environment(false);
    load(&first, &names, Freshness::Cached).await;
    // The fourth is to Systems Manager.
    assert_eq!((all_calls(&fleet), fleet.requests()), (3, vec![10]));
    load(&fleet.environment(false), &names, Freshness::Cached).await;
    assert_eq!((all_calls(&fleet), fleet.requests()), (6, vec![10]));
    // A refresh needs no other data key.
    fleet.clock.advance(TTL);
    load(&first, &names, Freshness::Cached).await;
    assert_eq!((all_calls(&fleet), fleet.requests()), (9, vec![10, 10]));
}

#[tokio::test]
async fn an_environment_that_dies_while_it_loads_holds_the_others_up_for_a_few_seconds() {
    let fleet = Fleet::new().await;
    let dying = fleet.environment(false);
    fleet.service.is_slow.store(true, Ordering::Relaxed);
    let died = tokio::time::timeout(
        Duration::from_millis(500),
        load(&dying, &["a", "b"], Freshness::Cached),
    );
    assert!(died.await.is_err());
    fleet.service.is_slow.store(false, Ordering::Relaxed);
    let environments: Vec<_> = (0..5).map(|_| fleet.environment(false)).collect();
    let all = environments.iter().map(|tier| load(tier, &["a", "b"], Freshness::Cached));
    let clock = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        fleet.clock.advance(Duration::from_secs(4));
    };
    let (all, ()) = tokio::join!(join_all(all), clock);
    assert!(all.into_iter().all(|values| values == ["marked a 0", "marked b 0"]));
    assert_eq!(fleet.requests(), [2, 2], "one of the others loads");
}

#[tokio::test]
async fn a_failed_load_lets_others_try_at_once() {
    let fleet = Fleet::new().await;
    fleet.service.is_down.store(true, Ordering::Relaxed);
    let tier = fleet.environment(false);
    assert!(tier.load(&wanted(&["a"], Freshness::Cached)).await[0].is_err());
    fleet.service.is_down.store(false, Ordering::Relaxed);
    assert_eq!(load(&fleet.environment(false), &["a"], Freshness::Cached).await, ["marked a 0"]);
    assert_eq!(fleet.content().matches("marked").count(), 0);
}

/// Puts items back as they were, with an expiry in the far future.
async fn put_back(fleet: &Fleet, items: &[fake_aws::Item]) {
    let client = aws_sdk_dynamodb::Client::new(&fleet.config);
    for item in items {
        let mut put = client.put_item().table_name(TABLE);
        for (name, value) in item.iter().filter(|(name, _)| *name != "expires_at") {
            put = put.item(name, AttributeValue::S(value["S"].as_str().unwrap_or("0").to_owned()));
        }
        put.item("expires_at", AttributeValue::N("9999999999".to_owned())).send().await.unwrap();
    }
}

#[tokio::test]
async fn whoever_writes_to_the_table_cannot_pin_an_old_value() {
    let fleet = Fleet::new().await;
    let tier = fleet.environment(false);
    load(&tier, &["a", "b"], Freshness::Cached).await;
    let old = fleet.aws.dynamodb().items(REGION, TABLE);
    fleet.service.version.store(1, Ordering::Relaxed);
    fleet.clock.advance(TTL);
    for environment in [&fleet.environment(false), &tier] {
        put_back(&fleet, &old).await;
        let values = load(environment, &["a", "b"], Freshness::Cached).await;
        assert_eq!(values, ["marked a 1", "marked b 1"]);
        // The old ones were replaced.
        let requests = fleet.requests().len();
        let values = load(&fleet.environment(false), &["a", "b"], Freshness::Cached).await;
        assert_eq!(values, ["marked a 1", "marked b 1"]);
        assert_eq!(fleet.requests().len(), requests);
    }
}

#[tokio::test]
async fn a_value_from_the_future_is_refused_and_replaced() {
    let fleet = Fleet::new().await;
    let ahead = Arc::new(ManualClock::default());
    ahead.advance(Duration::from_secs(120));
    let table = SharedTable {
        name: TABLE.parse().unwrap(),
        kms_key: "alias/shared".to_owned(),
        with_secrets: false,
    };
    let service = Arc::clone(&fleet.service) as Arc<dyn Upstream>;
    let ahead = SharedTier::new(service, table, &fleet.config, ahead);
    load(&ahead, &["a"], Freshness::Cached).await;
    fleet.service.version.store(1, Ordering::Relaxed);
    assert_eq!(load(&fleet.environment(false), &["a"], Freshness::Cached).await, ["marked a 1"]);
    assert_eq!(load(&fleet.environment(false), &["a"], Freshness::Cached).await, ["marked a 1"]);
    assert_eq!(fleet.requests().len(), 2);
}

#[tokio::test]
async fn a_key_that_cannot_be_used_costs_one_call_and_no_waiting() {
    let fleet = Fleet::new().await;
    fleet.aws.faults().inject(Rule::new(Fault::AccessDenied).service(AwsService::Kms));
    let tier = fleet.environment(false);
    for _ in 0..5 {
        assert_eq!(load(&tier, &["a"], Freshness::Cached).await, ["marked a 0"]);
    }
    assert_eq!(fleet.calls(Operation::GenerateDataKey), 1);
    assert_eq!(fleet.calls(Operation::PutItem), 1);
    assert_eq!(fleet.aws.dynamodb().items(REGION, TABLE).len(), 0, "the mark was removed");
}

#[tokio::test]
async fn a_value_that_lives_for_a_second_or_is_too_large_is_not_shared() {
    let fleet = Fleet::new().await;
    let mut short = wanted(&["a"], Freshness::Cached);
    short[0].ttl = Duration::from_secs(1);
    for _ in 0..2 {
        assert!(fleet.environment(false).load(&short).await[0].is_ok());
    }
    assert_eq!((fleet.requests().len(), all_calls(&fleet)), (2, 0));
    for _ in 0..2 {
        let values = load(&fleet.environment(false), &["large", "b"], Freshness::Cached).await;
        assert_eq!((values[0].len(), values[1].as_str()), (500_000, "marked b 0"));
    }
    assert_eq!(fleet.requests()[2..], [2, 1]);
}
