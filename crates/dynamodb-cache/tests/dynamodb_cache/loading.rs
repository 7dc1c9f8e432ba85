//! What is missing is loaded, by one caller at a time.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use dynamodb_cache::{AddOutcome, Cache, CacheError, Clock, Json, Loaded, LocalStore, TieredStore};
use fake_aws::Operation;
use futures::future::join_all;
use proptest::prelude::*;
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, in_time, until};

const MINUTE: Duration = Duration::from_mins(1);

#[derive(Debug, thiserror::Error)]
#[error("the source is down")]
struct Down;

/// A source that answers when it is let, with how often it was asked.
#[derive(Clone)]
struct Source {
    asked: Arc<AtomicU64>,
    answers: Arc<Semaphore>,
}

impl Source {
    fn new() -> Self {
        Self { asked: Arc::default(), answers: Arc::new(Semaphore::new(0)) }
    }

    fn open() -> Self {
        let source = Self::new();
        source.answer();
        source
    }

    fn answer(&self) {
        self.answers.add_permits(1000);
    }

    fn asked(&self) -> u64 {
        self.asked.load(SeqCst)
    }

    async fn load(&self) -> Result<Json<u64>, Down> {
        let number = self.asked.fetch_add(1, SeqCst) + 1;
        self.answers.acquire().await.unwrap().forget();
        Ok(Json(number))
    }

    async fn fail(&self) -> Result<Json<u64>, Down> {
        self.load().await.and(Err(Down))
    }
}

fn local() -> Cache<Json<u64>> {
    Cache::new(LocalStore::new(1 << 20))
}

#[tokio::test]
async fn two_hundred_callers_make_one_load_and_one_call() {
    let fixture = Fixture::new().await;
    let (cache, source) = (fixture.cache::<Json<u64>>(), Source::new());
    let calls: Vec<_> = (0..200)
        .map(|_| {
            let (cache, source) = (cache.clone(), source.clone());
            tokio::spawn(async move { cache.get_or_load("key", || source.load()).await.unwrap().0 })
        })
        .collect();
    until(|| source.asked() > 0).await;
    source.answer();
    let numbers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(numbers, [1; 200]);
    assert_eq!(source.asked(), 1);
    let calls = (fixture.calls(Operation::GetItem), fixture.calls(Operation::PutItem));
    assert_eq!(calls, (1, 1));
    assert_eq!((cache.stats().loads, cache.stats().joined), (1, 199));
    // And then it is there.
    assert_eq!(cache.get_or_load("key", || source.load()).await.unwrap(), Json(1));
}

#[tokio::test]
async fn keys_do_not_wait_for_each_other() {
    let (cache, source) = (local(), Source::new());
    let slow = tokio::spawn({
        let (cache, source) = (cache.clone(), source.clone());
        async move { cache.get_or_load("slow", || source.load()).await }
    });
    until(|| source.asked() > 0).await;
    let fast = cache.get_or_load("fast", async || Ok::<_, Down>(Json(7)));
    assert_eq!(in_time(fast).await.unwrap(), Json(7));
    source.answer();
    assert_eq!(slow.await.unwrap().unwrap(), Json(1));
}

#[tokio::test]
async fn all_who_wait_get_the_loaders_error_and_the_next_tries_again() {
    let (cache, source) = (local(), Source::new());
    let calls = join_all((0..50).map(|_| cache.get_or_load("key", || source.fail())));
    let (all, ()) = tokio::join!(calls, async { source.answer() });
    for got in all {
        let CacheError::Load { key, source } = got.unwrap_err() else { panic!("not the loader's") };
        assert_eq!(key, "key");
        assert!(source.downcast_ref::<Down>().is_some());
    }
    assert_eq!((source.asked(), cache.stats().failed_loads), (1, 1));
    assert_eq!(cache.get_or_load("key", || source.load()).await.unwrap(), Json(2));
}

#[tokio::test]
async fn another_takes_over_from_a_caller_who_stops_waiting() {
    let (cache, source) = (local(), Source::open());
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_load("key", pending::<Result<Json<u64>, Down>>).await }
    });
    until(|| cache.stats().loads == 1).await;
    let others = (0..10).map(|_| {
        let (cache, source) = (cache.clone(), source.clone());
        tokio::spawn(async move { cache.get_or_load("key", || source.load()).await.unwrap() })
    });
    let others: Vec<_> = others.collect();
    tokio::task::yield_now().await;
    first.abort();
    for other in in_time(join_all(others)).await {
        assert_eq!(other.unwrap(), Json(1));
    }
    assert_eq!(source.asked(), 1);
}

#[tokio::test]
async fn another_takes_over_from_a_caller_who_panics() {
    let (cache, source) = (local(), Source::open());
    let release = Arc::new(Semaphore::new(0));
    let first = tokio::spawn({
        let (cache, release) = (cache.clone(), Arc::clone(&release));
        async move {
            let load = async || -> Result<Json<u64>, Down> {
                let _ = release.acquire().await;
                panic!("as expected");
            };
            cache.get_or_load("key", load).await
        }
    });
    until(|| cache.stats().loads == 1).await;
    let second = tokio::spawn({
        let (cache, source) = (cache.clone(), source.clone());
        async move { cache.get_or_load("key", || source.load()).await }
    });
    tokio::task::yield_now().await;
    release.add_permits(1);
    assert!(first.await.unwrap_err().is_panic());
    assert_eq!(in_time(second).await.unwrap().unwrap(), Json(1));
}

#[tokio::test]
async fn a_loader_says_how_long_its_value_lives() {
    let fixture = Fixture::new().await;
    let cache = fixture.over(LocalStore::new(1 << 20)).build().unwrap();
    let load = async || Ok::<_, Down>(Loaded::for_time(Json(1), 10 * Duration::from_secs(1)));
    assert_eq!(cache.get_or_load("key", load).await.unwrap(), Json(1));
    fixture.clock.advance(Duration::from_secs(9));
    assert_eq!(cache.get("key").await.unwrap(), Some(Json(1)));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get("key").await.unwrap(), None);
    let ended = async || Ok::<_, Down>(Loaded::for_time(Json(2), Duration::from_millis(999)));
    assert_eq!(cache.get_or_load("key", ended).await.unwrap(), Json(2));
    assert_eq!(cache.get("key").await.unwrap(), None, "what is about to end is not stored");
}

#[tokio::test]
async fn that_there_is_nothing_is_remembered_on_request() {
    let cache = Cache::<Option<String>>::new(LocalStore::new(1 << 20));
    let asked = AtomicU64::new(0);
    let nothing = async || {
        asked.fetch_add(1, SeqCst);
        Ok::<_, Down>(Loaded::for_time(None, MINUTE))
    };
    for _ in 0..3 {
        assert_eq!(cache.get_or_load("key", nothing).await.unwrap(), None);
    }
    assert_eq!(asked.load(SeqCst), 1);
    assert_eq!(cache.get("key").await.unwrap(), Some(None));
    assert_eq!(cache.get("other").await.unwrap(), None);
}

/// A cache with a value that is about to end.
async fn stale(fixture: &Fixture) -> Cache<Json<u64>> {
    let store = LocalStore::new(1 << 20);
    let cache = fixture.over(store).time_to_live(MINUTE).refresh_ahead(MINUTE / 2);
    let cache = cache.build().unwrap();
    cache.set("key", &Json(0)).await.unwrap();
    fixture.clock.advance(MINUTE / 2);
    cache
}

#[tokio::test]
async fn one_caller_refreshes_and_the_others_are_served_what_is_there() {
    let fixture = Fixture::new().await;
    let (cache, source) = (stale(&fixture).await, Source::new());
    let refreshing = tokio::spawn({
        let (cache, source) = (cache.clone(), source.clone());
        async move { cache.get_or_load("key", || source.load()).await }
    });
    until(|| source.asked() > 0).await;
    for _ in 0..3 {
        let served = in_time(cache.get_or_load("key", || source.load())).await;
        assert_eq!(served.unwrap(), Json(0));
    }
    source.answer();
    assert_eq!(refreshing.await.unwrap().unwrap(), Json(1));
    assert_eq!(cache.get_or_load("key", || source.load()).await.unwrap(), Json(1));
    assert_eq!(source.asked(), 1);
}

#[tokio::test]
async fn a_refresh_that_fails_or_is_cancelled_harms_nobody() {
    let fixture = Fixture::new().await;
    let (cache, source) = (stale(&fixture).await, Source::open());
    assert_eq!(cache.get_or_load("key", || source.fail()).await.unwrap(), Json(0));
    let cancelled = cache.get_or_load("key", pending::<Result<Json<u64>, Down>>);
    assert!(tokio::time::timeout(Duration::ZERO, cancelled).await.is_err());
    assert_eq!(cache.get_or_load("key", || source.load()).await.unwrap(), Json(2));
    assert_eq!(cache.stats().failed_loads, 1);
}

#[tokio::test]
async fn without_refresh_ahead_an_entry_is_used_to_its_end() {
    let fixture = Fixture::new().await;
    let store = LocalStore::new(1 << 20);
    let cache = fixture.over(store).time_to_live(MINUTE).build().unwrap();
    cache.set("key", &Json(0)).await.unwrap();
    fixture.clock.advance(MINUTE - Duration::from_secs(1));
    let source = Source::open();
    assert_eq!(cache.get_or_load("key", || source.load()).await.unwrap(), Json(0));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get_or_load("key", || source.load()).await.unwrap(), Json(1));
}

#[tokio::test]
async fn a_refresh_window_is_shorter_than_the_time_to_live() {
    for refresh_ahead in [MINUTE, 2 * MINUTE] {
        let builder = Cache::<String>::builder(LocalStore::new(1 << 20)).time_to_live(MINUTE);
        let error = builder.refresh_ahead(refresh_ahead).build().unwrap_err();
        assert!(matches!(error, CacheError::RefreshAheadTooLong { .. }), "{error}");
        assert!(error.to_string().contains("must be shorter"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever the window, the life of a loaded value and the store: none is loaded again in the
    /// first half of its life, and none is returned after its end.
    #[test]
    fn a_value_is_used_for_at_least_half_its_life(
        life in 2..600_u64, refresh_ahead in 1..3000_u64, in_table in any::<bool>()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new().await;
            let window = Duration::from_secs(refresh_ahead);
            let cache: Cache<Json<u64>> = if in_table {
                fixture.over(fixture.store()).refresh_ahead(window).build().unwrap()
            } else {
                fixture.over(LocalStore::new(1 << 20)).refresh_ahead(window).build().unwrap()
            };
            let source = Source::open();
            let life = Duration::from_secs(life);
            let load = async || Ok::<_, Down>(Loaded::for_time(source.load().await?, life));
            cache.get_or_load("key", load).await.unwrap();
            // Ends are whole seconds, so a life may be one shorter.
            let half = (life - Duration::from_secs(1)) / 2;
            fixture.clock.advance(half.saturating_sub(Duration::from_secs(1)));
            assert_eq!(cache.get_or_load("key", load).await.unwrap(), Json(1));
            fixture.clock.advance(life);
            assert_eq!(cache.get_or_load("key", load).await.unwrap(), Json(2));
        });
    }
}

#[tokio::test]
async fn the_expiry_comes_with_the_value() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache::<Json<u64>>();
    let load = async || Ok::<_, Down>(Loaded::for_time(Json(1), MINUTE));
    let loaded = cache.get_or_load_with_expiry("key", load).await.unwrap();
    let left = loaded.expires_at.duration_since(fixture.clock.now().wall).unwrap();
    assert!(left <= MINUTE && left > MINUTE - Duration::from_secs(1), "{left:?}");
    let found = cache.get_with_expiry("key").await.unwrap().unwrap();
    assert_eq!((found.value, found.expires_at), (loaded.value, loaded.expires_at));
    let short = async || Ok::<_, Down>(Loaded::for_time(Json(2), Duration::from_millis(10)));
    let short = cache.get_or_load_with_expiry("short", short).await.unwrap();
    assert!(short.expires_at <= fixture.clock.now().wall + Duration::from_millis(10));
    assert!(!format!("{loaded:?}").contains("value"));
}

/// A write of a key while it is loaded.
#[derive(Debug, Clone, Copy)]
enum Overtaking {
    Delete,
    Set,
    Add,
}

#[tokio::test]
async fn what_is_written_or_removed_during_a_load_wins() {
    let fixture = Fixture::new().await;
    let tiered = || TieredStore::new(LocalStore::new(1 << 20), fixture.store());
    for overtaking in [Overtaking::Delete, Overtaking::Set, Overtaking::Add] {
        for cache in [
            fixture.over(LocalStore::new(1 << 20)).build().unwrap(),
            fixture.over(fixture.store()).namespace(format!("{overtaking:?}")).build().unwrap(),
            fixture.over(tiered()).namespace(format!("t{overtaking:?}")).build().unwrap(),
        ] {
            let source = Source::new();
            let loading = tokio::spawn({
                let (cache, source) = (cache.clone(), source.clone());
                async move { cache.get_or_load("key", || source.load()).await }
            });
            until(|| source.asked() == 1).await;
            let expected = match overtaking {
                Overtaking::Delete => {
                    cache.delete("key").await.unwrap();
                    None
                }
                Overtaking::Set => {
                    cache.set("key", &Json(7)).await.unwrap();
                    Some(Json(7))
                }
                Overtaking::Add => {
                    assert_eq!(cache.add("key", &Json(7)).await.unwrap(), AddOutcome::Added);
                    Some(Json(7))
                }
            };
            source.answer();
            assert_eq!(loading.await.unwrap().unwrap(), Json(1), "it began before");
            assert_eq!(cache.get("key").await.unwrap(), expected, "{overtaking:?}");
            assert_eq!(cache.stats().superseded, 1);
            assert_eq!(
                cache.get_or_load("key", || source.load()).await.unwrap().0,
                expected.map_or(2, |value| value.0)
            );
        }
    }
}

#[tokio::test]
async fn who_asks_after_a_removal_does_not_get_what_was_loaded_before() {
    let (cache, source) = (local(), Source::new());
    let load = || {
        let (cache, source) = (cache.clone(), source.clone());
        tokio::spawn(async move { cache.get_or_load("key", || source.load()).await })
    };
    let before = load();
    until(|| source.asked() == 1).await;
    cache.delete("key").await.unwrap();
    let after = load();
    until(|| source.asked() == 2).await;
    source.answer();
    assert_eq!(before.await.unwrap().unwrap(), Json(1));
    assert_eq!(after.await.unwrap().unwrap(), Json(2));
    assert_eq!(cache.get("key").await.unwrap(), Some(Json(2)));
}
