//! A table that throttles, fails or does not answer.

use std::collections::HashMap;
use std::time::Duration;

use dynamodb_cache::{CacheError, DynamoDbStats, FailurePolicy};
use fake_aws::{Fault, Operation, Rule};

use crate::fixture::{Fixture, in_time};

const FAULTS: [Fault; 6] = [
    Fault::Throttle,
    Fault::InternalError,
    Fault::Unavailable,
    Fault::Reset,
    Fault::Hang,
    Fault::AnswerLost,
];

fn value() -> String {
    "a".to_owned()
}

#[tokio::test]
async fn short_failures_are_retried() {
    for fault in FAULTS {
        let fixture = Fixture::new().await;
        let store = fixture.store_builder().timeout(Duration::from_millis(200)).build();
        let cache = fixture.over(store.clone()).build().unwrap();
        fixture.aws.faults().inject(Rule::new(fault).operation(Operation::PutItem).times(2));
        fixture.aws.faults().inject(Rule::new(fault).operation(Operation::GetItem).times(2));
        assert!(in_time(cache.set("key", &value())).await.unwrap(), "{fault:?}");
        assert_eq!(in_time(cache.get("key")).await.unwrap(), Some(value()), "{fault:?}");
        let DynamoDbStats { requests, throttled, failed, .. } = store.stats();
        let expected = if fault == Fault::Throttle { (6, 4, 0) } else { (6, 0, 4) };
        assert_eq!((requests, throttled, failed), expected, "{fault:?}");
        assert_eq!(fixture.calls(Operation::GetItem), 3, "the SDK makes no retries of its own");
    }
}

#[tokio::test]
async fn by_default_lasting_failures_count_as_misses() {
    for fault in FAULTS {
        let fixture = Fixture::new().await;
        let store = fixture.store_builder().timeout(Duration::from_millis(50)).build();
        let cache = fixture.over(store).build().unwrap();
        fixture.aws.faults().inject(Rule::new(fault));
        let failing = async {
            assert!(!cache.set("key", &value()).await.unwrap());
            assert_eq!(cache.get("key").await.unwrap(), None);
            assert!(cache.get_many(["key", "other"]).await.unwrap().is_empty());
            assert!(!cache.delete("key").await.unwrap());
            let load = async || Ok::<_, CacheError>(value());
            assert_eq!(cache.get_or_load("key", load).await.unwrap(), value());
        };
        in_time(failing).await;
        let stats = cache.stats();
        assert_eq!((stats.unavailable, stats.hits, stats.absent), (4, 0, 0), "{fault:?}");
        assert_eq!((stats.written, stats.not_written, stats.loads), (0, 3, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn no_retries_means_one_attempt() {
    let fixture = Fixture::new().await;
    let store = fixture.store_builder().failure_policy(FailurePolicy::Miss { retries: 0 }).build();
    let cache = fixture.over(store).build().unwrap();
    fixture.aws.faults().inject(Rule::new(Fault::Throttle));
    assert_eq!(cache.get("key").await.unwrap(), None);
    assert!(!cache.set("key", &value()).await.unwrap());
    assert_eq!((fixture.calls(Operation::GetItem), fixture.calls(Operation::PutItem)), (1, 1));
}

#[tokio::test]
async fn failures_are_errors_if_that_is_the_policy() {
    let fixture = Fixture::new().await;
    let store = fixture.store_builder().failure_policy(FailurePolicy::Fail { retries: 1 }).build();
    let cache = fixture.over(store).build().unwrap();
    fixture.aws.faults().inject(Rule::new(Fault::Throttle));
    let load = async || Ok::<_, CacheError>(value());
    for error in [
        cache.get("key").await.unwrap_err(),
        cache.get_many(["a", "b"]).await.unwrap_err(),
        cache.set("key", &value()).await.unwrap_err(),
        cache.set_many([("a", &value()), ("b", &value())]).await.unwrap_err(),
        cache.delete("key").await.unwrap_err(),
        cache.delete_many(["a", "b"]).await.unwrap_err(),
        cache.get_or_load("key", load).await.unwrap_err(),
    ] {
        assert_eq!(error.to_string(), "table orders-cache-test: throttled (ThrottlingException)");
        assert!(error.is_retryable());
    }
    assert_eq!(fixture.calls(Operation::BatchGetItem), 2);
    let stats = cache.stats();
    assert_eq!((stats.written, stats.not_written, stats.loads), (0, 6, 0));
}

#[tokio::test]
async fn a_missing_table_is_not_retried() {
    let fixture = Fixture::new().await;
    let table = "missing".parse().unwrap();
    let store = dynamodb_cache::DynamoDbStore::new(&fixture.client, table);
    let cache = fixture.over::<String>(store).build().unwrap();
    assert_eq!(cache.get("key").await.unwrap(), None);
    assert_eq!(fixture.calls(Operation::GetItem), 1);
}

#[tokio::test]
async fn unprocessed_entries_of_batches_are_retried() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let cache = fixture.over(store.clone()).build().unwrap();
    fixture.aws.faults().inject(Rule::new(Fault::Partial { every: 2 }));
    let values: HashMap<_, _> = (0..230).map(|n| (format!("key {n}"), format!("{n}"))).collect();
    assert!(cache.set_many(&values).await.unwrap().is_empty());
    assert_eq!(cache.get_many(values.keys()).await.unwrap(), values);
    assert!(cache.delete_many(values.keys()).await.unwrap().is_empty());
    assert!(cache.get_many(values.keys()).await.unwrap().is_empty());
    assert!(store.stats().unprocessed > 230, "{:?}", store.stats());
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.absent, stats.unavailable), (230, 230, 0));
    assert_eq!((stats.written, stats.not_written), (460, 0));
}

#[tokio::test]
async fn entries_that_stay_unprocessed_are_returned() {
    let fixture = Fixture::new().await;
    let store = fixture.store_builder().failure_policy(FailurePolicy::Miss { retries: 1 }).build();
    let cache = fixture.over(store).build().unwrap();
    let values: HashMap<_, _> = (0..30).map(|n| (format!("key {n}"), format!("{n}"))).collect();
    let rule = fixture.aws.faults().inject(Rule::new(Fault::Partial { every: 1 }));
    let mut left = cache.set_many(&values).await.unwrap();
    left.sort_unstable();
    let mut all: Vec<_> = values.keys().cloned().collect();
    all.sort_unstable();
    assert_eq!(left, all);
    assert_eq!(fixture.calls(Operation::BatchWriteItem), 4, "two batches, twice");
    assert!(cache.get_many(values.keys()).await.unwrap().is_empty());
    assert_eq!((cache.stats().unavailable, cache.stats().not_written), (30, 30));
    fixture.aws.faults().lift(rule);
    assert_eq!(cache.set_many(&values).await.unwrap(), [""; 0]);
    assert_eq!(cache.get_many(values.keys()).await.unwrap(), values);
}

#[tokio::test]
async fn a_failed_batch_does_not_affect_others() {
    let fixture = Fixture::new().await;
    let store = fixture.store_builder().failure_policy(FailurePolicy::Miss { retries: 0 }).build();
    let cache = fixture.over(store).build().unwrap();
    let values: HashMap<_, _> = (0..50).map(|n| (format!("key {n}"), format!("{n}"))).collect();
    fixture.aws.faults().inject(Rule::new(Fault::Throttle).times(1));
    let left = cache.set_many(&values).await.unwrap();
    assert_eq!(left.len(), 25);
    let found = cache.get_many(values.keys()).await.unwrap();
    assert_eq!(found.len(), 25);
    assert!(left.iter().all(|key| !found.contains_key(key)));
}
