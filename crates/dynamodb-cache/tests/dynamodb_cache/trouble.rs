//! A table that is in trouble for longer: nobody waits for it again and again, and somebody is told.

use std::time::Duration;

use dynamodb_cache::{Cache, CacheError, DynamoDbStore, FailurePolicy, LocalStore, TieredStore};
use fake_aws::{Fault, KeyType, Operation, Rule};
use tracing_subscriber::filter::LevelFilter;

use crate::fixture::{Fixture, REGION, TABLE, in_time};
use crate::log::Log;

/// How long operations fail at once after trouble.
const PAUSE: Duration = Duration::from_secs(5);

async fn load(cache: &Cache<String>, key: &str) -> String {
    let load = async || Ok::<_, CacheError>("loaded".to_owned());
    in_time(cache.get_or_load(key, load)).await.unwrap()
}

fn requests(fixture: &Fixture) -> u64 {
    let calls = fixture.aws.faults().all_calls();
    calls.values().map(|calls| calls.calls).sum()
}

/// Moves tokio's clock, by which the store remembers trouble.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn an_operation_has_one_deadline_however_many_retries_it_may_make() {
    let fixture = Fixture::new().await;
    let policy = FailurePolicy::Miss { retries: 10_000 };
    for fault in [Fault::Hang, Fault::Throttle] {
        let rule = fixture.aws.faults().inject(Rule::new(fault));
        let store = fixture.store_builder().timeout(Duration::from_millis(200));
        let cache = fixture.over::<String>(store.failure_policy(policy).build()).build().unwrap();
        assert_eq!(in_time(cache.get("key")).await.unwrap(), None);
        assert!(in_time(cache.get_many(["a", "b"])).await.unwrap().is_empty());
        assert!(!in_time(cache.set("key", &"a".to_owned())).await.unwrap());
        fixture.aws.faults().lift(rule);
    }
}

#[tokio::test]
async fn after_a_lookup_that_failed_there_is_no_lease_and_the_write_is_not_awaited() {
    let fixture = Fixture::new().await;
    let hang = Rule::new(Fault::Hang).operation(Operation::PutItem);
    fixture.aws.faults().inject(Rule::new(Fault::Throttle).operation(Operation::GetItem));
    fixture.aws.faults().inject(hang);
    // A write that was waited for would take too long for the test.
    let store = fixture.store_builder().timeout(Duration::from_hours(1)).build();
    let cache = fixture.over(store).lease(Duration::from_mins(1)).build().unwrap();
    assert_eq!(load(&cache, "key").await, "loaded");
    assert_eq!(fixture.calls(Operation::BatchGetItem), 0);
    assert!(fixture.aws.dynamodb().items(REGION, TABLE).is_empty());
}

#[tokio::test]
async fn what_was_loaded_while_the_table_hangs_is_in_front() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Hang));
    let store = fixture.store_builder().timeout(Duration::from_millis(200)).build();
    let store = TieredStore::new(LocalStore::new(1 << 20), store);
    let cache = fixture.over(store).lease(Duration::from_mins(1)).build().unwrap();
    for _ in 0..10 {
        assert_eq!(load(&cache, "key").await, "loaded");
    }
    assert_eq!(cache.stats().loads, 1);
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_left_alone_for_a_while() {
    let fixture = Fixture::new().await;
    let hangs = fixture.aws.faults().inject(Rule::new(Fault::Hang));
    let store = fixture.store_builder().timeout(Duration::from_millis(200)).build();
    let cache = fixture.over(store.clone()).lease(Duration::from_mins(1)).build().unwrap();
    load(&cache, "first").await;
    let before = requests(&fixture);
    for key in 0..20 {
        load(&cache, &key.to_string()).await;
        assert!(!cache.set("set", &"a".to_owned()).await.unwrap());
        assert!(!cache.delete("deleted").await.unwrap());
    }
    assert_eq!(requests(&fixture), before);
    assert!(store.stats().skipped >= 60, "{:?}", store.stats());
    // One operation tries again, and the next ones go by its result.
    pass(PAUSE).await;
    load(&cache, "second").await;
    let tried = requests(&fixture) - before;
    assert!((1..=3).contains(&tried), "{tried}");
    load(&cache, "third").await;
    assert_eq!(requests(&fixture) - before, tried);
    fixture.aws.faults().lift(hangs);
    pass(PAUSE).await;
    load(&cache, "fourth").await;
    assert_eq!(cache.get("fourth").await.unwrap().as_deref(), Some("loaded"));
}

#[tokio::test]
async fn several_failures_in_a_row_count_as_trouble_and_single_ones_do_not() {
    let fixture = Fixture::new().await;
    let store = fixture.store_builder().failure_policy(FailurePolicy::Miss { retries: 0 }).build();
    let cache = fixture.over::<String>(store.clone()).build().unwrap();
    for _ in 0..10 {
        fixture.aws.faults().inject(Rule::new(Fault::Throttle).times(2));
        for _ in 0..3 {
            cache.get("key").await.unwrap();
        }
    }
    assert_eq!((requests(&fixture), store.stats().skipped), (30, 0));
    fixture.aws.faults().inject(Rule::new(Fault::Throttle));
    for _ in 0..10 {
        cache.get("key").await.unwrap();
    }
    assert_eq!((requests(&fixture), store.stats().skipped), (33, 7));
}

/// What does not work until somebody acts, and what the log says of it.
async fn lasting_trouble() -> [(Fixture, DynamoDbStore, &'static str); 3] {
    let store = |fixture: &Fixture, table: &str| {
        DynamoDbStore::new(&fixture.client, table.parse().unwrap())
    };
    let fixtures = [Fixture::new().await, Fixture::new().await, Fixture::new().await];
    let [missing, denied, schema] = fixtures;
    let stores = [store(&missing, "missing"), store(&denied, "orders-cache-test")];
    denied.aws.faults().inject(Rule::new(Fault::AccessDenied));
    schema.aws.dynamodb().create_table(REGION, "schema", &[("pk", KeyType::Text)]);
    let other = store(&schema, "schema");
    let [missing_store, denied_store] = stores;
    [
        (missing, missing_store, "ResourceNotFoundException"),
        (denied, denied_store, "AccessDeniedException"),
        (schema, other, "ValidationException"),
    ]
}

#[tokio::test]
async fn trouble_that_lasts_is_logged_once_for_each_kind_of_operation_and_counted() {
    for (fixture, store, code) in lasting_trouble().await {
        let (log, _guard) = Log::start(LevelFilter::INFO);
        let tiered = TieredStore::new(LocalStore::new(1 << 20), store.clone());
        let cache = fixture.over(tiered).lease(Duration::from_secs(3)).build().unwrap();
        for key in 0..5 {
            assert_eq!(load(&cache, &key.to_string()).await, "loaded");
        }
        let text = log.text();
        for operation in ["lookup", "write"] {
            let about = |line: &&str| line.contains(&format!("operation=\"{operation}\""));
            let lines: Vec<_> = text.lines().filter(about).collect();
            assert_eq!(lines.len(), 1, "{text}");
            assert!(lines[0].contains("WARN") && lines[0].contains(code), "{text}");
        }
        assert!(store.stats().refused >= 9, "{:?}", store.stats());
        assert_eq!((store.stats().failed, store.stats().skipped), (0, 0));
    }
}

#[tokio::test]
async fn a_check_finds_trouble_that_lasts() {
    for (fixture, store, code) in lasting_trouble().await {
        let tiered = TieredStore::new(LocalStore::new(1 << 20), store);
        let cache: Cache<String> = fixture.over(tiered).build().unwrap();
        let error = in_time(cache.check()).await.unwrap_err();
        assert!(error.to_string().contains(code), "{error}");
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn a_check_makes_each_kind_of_request() {
    for operation in [
        Operation::GetItem,
        Operation::PutItem,
        Operation::DeleteItem,
        Operation::BatchGetItem,
        Operation::BatchWriteItem,
    ] {
        let fixture = Fixture::new().await;
        fixture.aws.faults().inject(Rule::new(Fault::AccessDenied).operation(operation));
        in_time(fixture.cache::<String>().check()).await.unwrap_err();
    }
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Throttle).times(1));
    in_time(fixture.cache::<String>().check()).await.unwrap();
}
