//! One load across processes. Caches that are built apart are like caches of different processes.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use dynamodb_cache::{Cache, CacheError, Clock};
use fake_aws::{Fault, Operation, Rule};
use futures::future::join_all;
use tokio::sync::Notify;

use crate::fixture::{Fixture, REGION, TABLE, in_time, until};

const LENGTH: Duration = Duration::from_mins(1);

fn process(fixture: &Fixture) -> Cache<String> {
    fixture.over(fixture.store()).lease(LENGTH).build().unwrap()
}

async fn load(cache: &Cache<String>, value: &str) -> Result<String, CacheError> {
    in_time(cache.get_or_load("key", async || Ok::<_, CacheError>(value.to_owned()))).await
}

#[tokio::test]
async fn one_process_loads_and_the_others_wait_for_its_value() {
    let fixture = Fixture::new().await;
    let (one, other) = (process(&fixture), process(&fixture));
    let source = Arc::new(Notify::new());
    let first = tokio::spawn({
        let (one, source) = (one.clone(), Arc::clone(&source));
        async move {
            let load = async || {
                source.notified().await;
                Ok::<_, CacheError>("first".to_owned())
            };
            one.get_or_load("key", load).await
        }
    });
    until(|| one.stats().loads == 1).await;
    let second = tokio::spawn({
        let other = other.clone();
        async move { load(&other, "second").await }
    });
    // It has asked for the lease in vain, and for the value.
    until(|| fixture.calls(Operation::PutItem) >= 2 && fixture.calls(Operation::BatchGetItem) >= 2)
        .await;
    source.notify_one();
    assert_eq!(first.await.unwrap().unwrap(), "first");
    assert_eq!(second.await.unwrap().unwrap(), "first");
    assert_eq!((one.stats().loads, other.stats().loads, other.stats().joined), (1, 0, 1));
    let items = fixture.aws.dynamodb().items(REGION, TABLE);
    assert_eq!(items.len(), 1, "the lease was given back");
}

#[tokio::test]
async fn a_failed_load_gives_the_lease_back() {
    let fixture = Fixture::new().await;
    let (one, other) = (process(&fixture), process(&fixture));
    let failed = one.get_or_load("key", async || Err::<String, _>("down"));
    assert!(matches!(failed.await, Err(CacheError::Load { .. })));
    assert_eq!(load(&other, "second").await.unwrap(), "second");
}

/// A process that has ended, or given up, while it loaded.
async fn hold_the_lease(fixture: &Fixture, cache: &Cache<String>) {
    let loading = cache.get_or_load("key", pending::<Result<String, CacheError>>);
    tokio::select! {
        _ = loading => panic!("it never ends"),
        () = until(|| cache.stats().loads == 1) => {}
    }
    assert!(fixture.item("##key").await.is_some());
}

#[tokio::test]
async fn a_lease_ends_by_itself() {
    let fixture = Fixture::new().await;
    hold_the_lease(&fixture, &process(&fixture)).await;
    let other = process(&fixture);
    let waiting = tokio::spawn(async move { load(&other, "second").await });
    until(|| fixture.calls(Operation::BatchGetItem) >= 2).await;
    assert!(!waiting.is_finished());
    // Ends are whole seconds, and never early.
    fixture.clock.advance(LENGTH + Duration::from_secs(1));
    assert_eq!(waiting.await.unwrap().unwrap(), "second");
}

#[tokio::test]
async fn one_takes_the_place_of_a_dead_owner_whatever_the_clocks_say() {
    let fixture = Fixture::new().await;
    hold_the_lease(&fixture, &process(&fixture)).await;
    // They wait by the real clock, and the other one stands.
    let short = || fixture.over(fixture.store()).lease(Duration::from_millis(300)).build().unwrap();
    let others: Vec<Cache<String>> = (0..8).map(|_| short()).collect();
    let all = join_all(others.iter().map(|other| load(other, "second"))).await;
    assert!(all.into_iter().all(|value| value.unwrap() == "second"));
    assert_eq!(others.iter().map(|other| other.stats().loads).sum::<u64>(), 1);
    assert!(fixture.item("##key").await.is_none(), "the lease was given back");
}

#[tokio::test]
async fn a_load_that_is_longer_than_its_lease_is_the_only_one() {
    let fixture = Fixture::new().await;
    let length = Duration::from_millis(600);
    let caches: Vec<Cache<String>> =
        (0..6).map(|_| fixture.over(fixture.store()).lease(length).build().unwrap()).collect();
    let slow = async |cache: &Cache<String>| {
        let load = async || {
            tokio::time::sleep(4 * length).await;
            fixture.clock.advance(4 * length);
            Ok::<_, CacheError>("slow".to_owned())
        };
        cache.get_or_load("key", load).await.unwrap()
    };
    let all = in_time(join_all(caches.iter().map(slow))).await;
    assert!(all.iter().all(|value| value == "slow"));
    assert_eq!(caches.iter().map(|cache| cache.stats().loads).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_lease_shorter_than_a_tenth_of_a_second_is_refused() {
    let fixture = Fixture::new().await;
    let build = |length| fixture.over::<String>(fixture.store()).lease(length).build();
    let error = build(Duration::from_millis(99)).unwrap_err();
    assert!(error.to_string().contains("at least 100 ms"), "{error}");
    build(Duration::from_millis(100)).unwrap();
}

#[tokio::test]
async fn a_process_does_not_wait_for_itself() {
    let fixture = Fixture::new().await;
    let cache = process(&fixture);
    hold_the_lease(&fixture, &cache).await;
    assert_eq!(load(&cache, "again").await.unwrap(), "again");
    assert!(fixture.item("##key").await.is_none());
}

#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_held() {
    let fixture = Fixture::new().await;
    let lost = Rule::new(Fault::AnswerLost).operation(Operation::PutItem).times(1);
    fixture.aws.faults().inject(lost);
    assert_eq!(load(&process(&fixture), "a").await.unwrap(), "a");
}

#[tokio::test]
async fn a_table_in_trouble_gives_every_lease() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Throttle));
    assert_eq!(load(&process(&fixture), "a").await.unwrap(), "a");
}

#[tokio::test]
async fn who_gets_the_lease_looks_again() {
    let fixture = Fixture::new().await;
    let (one, other) = (process(&fixture), process(&fixture));
    // The other looks before there is a value, and asks for the lease when there is one.
    let slow =
        fixture.aws.faults().inject(Rule::new(Fault::Throttle).operation(Operation::PutItem));
    let second = tokio::spawn({
        let other = other.clone();
        async move { load(&other, "second").await }
    });
    until(|| fixture.calls(Operation::PutItem) >= 1).await;
    fixture.aws.faults().lift(slow);
    one.set("key", &"first".to_owned()).await.unwrap();
    assert_eq!(second.await.unwrap().unwrap(), "first");
    assert_eq!(other.stats().loads, 0);
}

#[tokio::test]
async fn one_process_refreshes() {
    let fixture = Fixture::new().await;
    let process = || {
        let cache = fixture.over(fixture.store()).lease(LENGTH).refresh_ahead(LENGTH);
        cache.time_to_live(2 * LENGTH).build().unwrap()
    };
    let (one, other) = (process(), process());
    one.set("key", &"old".to_owned()).await.unwrap();
    fixture.clock.advance(LENGTH);
    hold_the_lease(&fixture, &one).await;
    assert_eq!(load(&other, "new").await.unwrap(), "old");
    assert_eq!(load(&one, "new").await.unwrap(), "new");
    assert_eq!(load(&other, "newer").await.unwrap(), "new");
}

#[tokio::test]
async fn a_lease_is_an_item_that_dynamodb_removes_in_time() {
    let fixture = Fixture::new().await;
    hold_the_lease(&fixture, &process(&fixture)).await;
    let lease = fixture.item("##key").await.unwrap();
    let end: u64 = lease["expires_at"].as_n().unwrap().parse().unwrap();
    let now = fixture.clock.now().wall.duration_since(UNIX_EPOCH).unwrap();
    assert_eq!(end, now.as_secs() + 61, "rounded up");
}
