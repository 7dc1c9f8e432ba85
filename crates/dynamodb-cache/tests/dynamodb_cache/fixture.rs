//! A table in a fake DynamoDB, or in the one that the environment names.

use std::collections::HashMap;
use std::env;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::AttributeValue;
use dynamodb_cache::{
    Cache, CacheBuilder, Cacheable, DynamoDbStore, DynamoDbStoreBuilder, ManualClock, Store,
    TableName,
};
use fake_aws::{FakeAws, KeyType, Operation};
use uuid::Uuid;

pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const TABLE: &str = "orders-cache-test";
/// The table of `tools/tests/test_dynamodb_cache.py`.
const TABLE_VARIABLE: &str = "DYNAMODB_CACHE_TEST_TABLE";

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) struct Fixture {
    pub(crate) aws: FakeAws,
    pub(crate) client: Client,
    pub(crate) clock: Arc<ManualClock>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let aws = FakeAws::start().await.unwrap();
        aws.dynamodb().create_table(REGION, TABLE, &[("id", KeyType::Text)]);
        let client = client(aws.url());
        Self { aws, client, clock: Arc::default() }
    }

    pub(crate) fn store(&self) -> DynamoDbStore {
        DynamoDbStore::new(&self.client, table_name())
    }

    pub(crate) fn store_builder(&self) -> DynamoDbStoreBuilder {
        DynamoDbStore::builder(&self.client, table_name())
    }

    /// A cache over the table, without a namespace.
    pub(crate) fn cache<V: Cacheable>(&self) -> Cache<V> {
        self.over(self.store()).build().unwrap()
    }

    pub(crate) fn over<V>(&self, store: impl Store + 'static) -> CacheBuilder<V> {
        Cache::builder(store).clock(self.clock.clone())
    }

    pub(crate) async fn put(&self, item: Item) {
        self.client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    }

    pub(crate) async fn item(&self, id: &str) -> Option<Item> {
        let request = self.client.get_item().table_name(TABLE).key("id", text(id));
        request.send().await.unwrap().item
    }

    pub(crate) fn calls(&self, operation: Operation) -> u64 {
        self.aws.faults().calls(REGION, operation).calls
    }
}

/// A client of the fake DynamoDB at `url`.
pub(crate) fn client(url: &str) -> Client {
    let credentials = Credentials::new("id", "secret", None, None, "tests");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url)
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // The store retries by itself, so the client must not.
        .retry_config(RetryConfig::standard().with_max_attempts(5))
        .build();
    Client::new(&config)
}

/// A store over the table that the environment names, or over the fixture's.
pub(crate) async fn store_under_test(fixture: &Fixture) -> DynamoDbStore {
    match env::var(TABLE_VARIABLE) {
        Ok(table) => {
            let client = Client::new(&aws_config::load_from_env().await);
            let timeout = Duration::from_secs(30);
            DynamoDbStore::builder(&client, table.parse().unwrap()).timeout(timeout).build()
        }
        Err(_) => fixture.store(),
    }
}

pub(crate) fn table_name() -> TableName {
    TableName::for_app("orders", "test").unwrap()
}

/// A namespace that no other test uses.
pub(crate) fn fresh_namespace() -> String {
    Uuid::new_v4().simple().to_string()
}

pub(crate) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

pub(crate) fn number(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

pub(crate) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Lets other tasks of this runtime go on until something is so.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    in_time(wait).await;
}

/// Nothing here takes so long.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it ends in time")
}
