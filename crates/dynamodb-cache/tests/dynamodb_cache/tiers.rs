//! A local store, alone and in front of another: what it saves, and when it shows what others
//! wrote.

use std::sync::Arc;
use std::time::Duration;

use dynamodb_cache::{
    AddOutcome, Cache, CacheError, Entry, FailurePolicy, Freshness, Key, LocalStore, Lookup, Now,
    Store, TieredStore,
};
use fake_aws::{Fault, Operation, Rule};
use futures::future::{BoxFuture, FutureExt};
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, in_time, until};

const MINUTE: Duration = Duration::from_mins(1);

fn value(text: &str) -> String {
    text.to_owned()
}

fn tiered(fixture: &Fixture) -> Cache<String> {
    fixture.over(TieredStore::new(LocalStore::new(1 << 20), fixture.store())).build().unwrap()
}

#[tokio::test]
async fn what_is_in_front_costs_no_call() {
    let fixture = Fixture::new().await;
    let cache = tiered(&fixture);
    fixture.cache().set_many([("a", &value("1")), ("b", &value("2"))]).await.unwrap();
    for _ in 0..10 {
        assert_eq!(cache.get("a").await.unwrap(), Some(value("1")));
        assert_eq!(cache.get_many(["a", "b"]).await.unwrap().len(), 2);
    }
    // One of each, because only what is not in front is asked for.
    assert_eq!(fixture.calls(Operation::GetItem), 2);
    assert_eq!(fixture.calls(Operation::BatchGetItem), 0);
    cache.set("c", &value("3")).await.unwrap();
    assert_eq!(cache.get("c").await.unwrap(), Some(value("3")));
    assert_eq!(fixture.calls(Operation::GetItem), 2);
}

#[tokio::test]
async fn what_others_write_shows_when_the_copy_is_as_old_as_it_may_be() {
    let fixture = Fixture::new().await;
    let (cache, others) = (tiered(&fixture), fixture.cache());
    others.set("changed", &value("old")).await.unwrap();
    others.set("deleted", &value("old")).await.unwrap();
    assert_eq!(cache.get_many(["changed", "deleted"]).await.unwrap().len(), 2);
    others.set("changed", &value("new")).await.unwrap();
    others.delete("deleted").await.unwrap();
    fixture.clock.advance(MINUTE - Duration::from_nanos(1));
    assert_eq!(cache.get("changed").await.unwrap(), Some(value("old")));
    assert_eq!(cache.get("deleted").await.unwrap(), Some(value("old")));
    fixture.clock.advance(Duration::from_nanos(1));
    assert_eq!(cache.get("changed").await.unwrap(), Some(value("new")));
    assert_eq!(cache.get("deleted").await.unwrap(), None);
}

#[tokio::test]
async fn a_copy_does_not_outlive_its_entry() {
    let fixture = Fixture::new().await;
    let cache = tiered(&fixture);
    cache.set_for("a", &value("1"), Duration::from_secs(10)).await.unwrap();
    fixture.clock.advance(Duration::from_secs(9));
    assert!(cache.get("a").await.unwrap().is_some());
    fixture.clock.advance(Duration::from_secs(1));
    assert!(cache.get("a").await.unwrap().is_none());
}

#[tokio::test]
async fn a_refresh_goes_by_the_entrys_end_and_not_by_the_copys() {
    let fixture = Fixture::new().await;
    let store = TieredStore::new(LocalStore::new(1 << 20), fixture.store());
    let cache = fixture.over(store).refresh_ahead(2 * MINUTE).build().unwrap();
    let load = async || Ok::<_, CacheError>(value("1"));
    for _ in 0..3 {
        cache.get_or_load("a", load).await.unwrap();
    }
    assert_eq!(cache.stats().loads, 1);
}

#[tokio::test]
async fn what_the_table_does_not_take_is_in_front_all_the_same() {
    let fixture = Fixture::new().await;
    fixture.aws.faults().inject(Rule::new(Fault::Throttle));
    let back = fixture.store_builder().failure_policy(FailurePolicy::Miss { retries: 0 }).build();
    let cache = fixture.over(TieredStore::new(LocalStore::new(1 << 20), back)).build().unwrap();
    for _ in 0..10 {
        let loaded = cache.get_or_load("a", async || Ok::<_, CacheError>(value("1")));
        assert_eq!(loaded.await.unwrap(), value("1"));
    }
    assert_eq!(cache.stats().loads, 1);
}

#[tokio::test]
async fn a_write_that_may_have_failed_leaves_nothing_in_front() {
    let fixture = Fixture::new().await;
    let back = fixture.store_builder().failure_policy(FailurePolicy::Fail { retries: 0 }).build();
    let cache = fixture.over(TieredStore::new(LocalStore::new(1 << 20), back)).build().unwrap();
    cache.set("a", &value("old")).await.unwrap();
    let lost = Rule::new(Fault::AnswerLost).operation(Operation::PutItem).times(1);
    fixture.aws.faults().inject(lost);
    assert!(cache.set("a", &value("new")).await.is_err());
    assert_eq!(cache.get("a").await.unwrap(), Some(value("new")));
}

#[tokio::test]
async fn what_is_too_large_for_the_table_is_in_front_and_the_old_value_is_gone() {
    let fixture = Fixture::new().await;
    let (cache, large) = (tiered(&fixture), "x".repeat(500_000));
    cache.set("a", &value("fits")).await.unwrap();
    let values = [("a", &large), ("b", &value("1")), ("c", &large)];
    let mut unwritten = cache.set_many(values).await.unwrap();
    unwritten.sort_unstable();
    assert_eq!(unwritten, ["a", "c"]);
    for (key, expected) in values {
        assert_eq!(cache.get(key).await.unwrap().as_ref(), Some(expected));
    }
    assert_eq!(fixture.cache::<String>().get("a").await.unwrap(), None);
    assert_eq!(fixture.cache().get("b").await.unwrap(), Some(value("1")));
}

#[tokio::test]
async fn what_is_too_large_for_the_table_is_loaded_once() {
    let fixture = Fixture::new().await;
    let cache = tiered(&fixture);
    for _ in 0..3 {
        let load = async || Ok::<_, CacheError>("x".repeat(500_000));
        assert_eq!(cache.get_or_load("a", load).await.unwrap().len(), 500_000);
    }
    assert_eq!((cache.stats().loads, cache.stats().not_written), (1, 1));
}

#[tokio::test]
async fn a_local_store_stays_within_its_bytes() {
    for max_bytes in [10_000, 3 << 20] {
        let store = LocalStore::new(max_bytes);
        let cache = Cache::new(store.clone());
        for number in 0..10_000 {
            cache.set(&number.to_string(), &"x".repeat(number % 2000)).await.unwrap();
            assert!(store.stats().bytes <= max_bytes);
        }
        assert!(store.stats().bytes > max_bytes / 2, "{:?}", store.stats());
        assert!(store.stats().entries > 0);
    }
}

#[tokio::test]
async fn what_is_too_large_for_a_local_store_replaces_what_it_has() {
    let cache = Cache::new(LocalStore::new(10_000));
    cache.set("a", &value("small")).await.unwrap();
    cache.set("a", &"x".repeat(20_000)).await.unwrap();
    assert_eq!(cache.get("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_local_store_counts_and_forgets_what_has_ended() {
    let fixture = Fixture::new().await;
    let store = LocalStore::new(10_000);
    let cache = fixture.over(store.clone()).build().unwrap();
    cache.get("a").await.unwrap();
    cache.set("a", &value("1")).await.unwrap();
    cache.get("a").await.unwrap();
    assert_eq!((store.stats().hits, store.stats().misses, store.stats().entries), (1, 1, 1));
    fixture.clock.advance(54 * MINUTE);
    assert_eq!(cache.get("a").await.unwrap(), Some(value("1")), "alone it holds it to its end");
    fixture.clock.advance(MINUTE);
    assert_eq!(cache.get("a").await.unwrap(), None);
    assert_eq!((store.stats().misses, store.stats().entries, store.stats().bytes), (2, 0, 0));
}

/// A store whose lookups, once made, are held back.
#[derive(Debug, Clone)]
struct Slow {
    store: LocalStore,
    looked_up: Arc<Semaphore>,
    let_go: Arc<Semaphore>,
}

impl Slow {
    fn new() -> Self {
        let closed = || Arc::new(Semaphore::new(0));
        Self { store: LocalStore::new(1 << 20), looked_up: closed(), let_go: closed() }
    }
}

impl Store for Slow {
    fn get<'a>(
        &'a self,
        keys: &'a [Key],
        freshness: Freshness,
        now: Now,
    ) -> BoxFuture<'a, Result<Vec<Lookup>, CacheError>> {
        assert_eq!(freshness, Freshness::Latest, "a copy of what is behind may be used for long");
        async move {
            let found = self.store.get(keys, freshness, now).await;
            self.looked_up.add_permits(1);
            self.let_go.acquire().await.unwrap().forget();
            found
        }
        .boxed()
    }

    fn set(
        &self,
        entries: Vec<(Key, Entry)>,
        now: Now,
    ) -> BoxFuture<'_, Result<Vec<Key>, CacheError>> {
        self.store.set(entries, now)
    }

    fn delete<'a>(&'a self, keys: &'a [Key]) -> BoxFuture<'a, Result<Vec<Key>, CacheError>> {
        self.store.delete(keys)
    }

    fn add(
        &self,
        key: Key,
        entry: Entry,
        now: Now,
    ) -> BoxFuture<'_, Result<AddOutcome, CacheError>> {
        self.store.add(key, entry, now)
    }
}

#[tokio::test]
async fn a_slow_lookup_does_not_bring_back_what_was_replaced_or_removed() {
    for removed in [false, true] {
        let slow = Slow::new();
        let direct = Cache::new(slow.store.clone());
        direct.set("a", &value("old")).await.unwrap();
        let cache = Cache::new(TieredStore::new(LocalStore::new(1 << 20), slow.clone()));
        let lookup = tokio::spawn({
            let cache = cache.clone();
            async move { cache.get("a").await.unwrap() }
        });
        until(|| slow.looked_up.available_permits() == 1).await;
        let now = if removed {
            cache.delete("a").await.unwrap();
            None
        } else {
            cache.set("a", &value("new")).await.unwrap();
            Some(value("new"))
        };
        slow.let_go.add_permits(2);
        assert_eq!(in_time(lookup).await.unwrap(), Some(value("old")), "it began before");
        assert_eq!(in_time(cache.get("a")).await.unwrap(), now);
    }
}

#[tokio::test]
async fn clones_and_caches_of_several_types_share_a_store() {
    let store = LocalStore::new(1 << 20);
    let texts = Cache::<String>::new(store.clone());
    texts.clone().set("a", &value("1")).await.unwrap();
    assert_eq!(Cache::new(store).get("a").await.unwrap(), Some(dynamodb_cache::Json(1)));
    assert_eq!(texts.stats().written, 1);
}
