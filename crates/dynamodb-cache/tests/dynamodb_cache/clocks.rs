//! Expiry by the larger of two clocks.

use std::sync::Arc;
use std::time::Duration;

use dynamodb_cache::{Cache, Clock, LocalStore, ManualClock, TieredStore};
use proptest::prelude::*;

use crate::fixture::Fixture;

const SECOND: Duration = Duration::from_secs(1);
const TEN_MINUTES: Duration = Duration::from_mins(10);

/// A cache over each kind of store, on the clock of `fixture`.
fn caches(fixture: &Fixture) -> [Cache<String>; 3] {
    let tiered = TieredStore::new(LocalStore::new(1 << 20), fixture.store()).max_age(5 * SECOND);
    [
        fixture.over(LocalStore::new(1 << 20)).namespace("local").build().unwrap(),
        fixture.over(fixture.store()).namespace("table").build().unwrap(),
        fixture.over(tiered).namespace("tiered").build().unwrap(),
    ]
}

async fn set(cache: &Cache<String>, seconds: u32) {
    assert!(cache.set_for("key", &"value".to_owned(), seconds * SECOND).await.unwrap());
}

async fn has_value(cache: &Cache<String>) -> bool {
    cache.get("key").await.unwrap().is_some()
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_prolongs_no_life() {
    let fixture = Fixture::new().await;
    for cache in caches(&fixture) {
        set(&cache, 8).await;
        fixture.clock.set_wall_back(TEN_MINUTES);
        fixture.clock.advance(6 * SECOND);
        assert!(has_value(&cache).await, "{cache:?}");
        fixture.clock.advance(2 * SECOND);
        for _ in 0..3 {
            assert!(!has_value(&cache).await, "{cache:?}");
            fixture.clock.advance(6 * SECOND);
        }
    }
}

#[tokio::test]
async fn a_cache_stays_useful_after_the_wall_clock_was_set_back() {
    let fixture = Fixture::new().await;
    for cache in caches(&fixture) {
        fixture.clock.set_wall_back(TEN_MINUTES);
        set(&cache, 8).await;
        fixture.clock.advance(6 * SECOND);
        assert!(has_value(&cache).await, "{cache:?}");
        fixture.clock.advance(2 * SECOND);
        assert!(!has_value(&cache).await, "{cache:?}");
    }
}

#[tokio::test]
async fn a_monotonic_clock_that_stands_still_prolongs_no_life() {
    let fixture = Fixture::new().await;
    for cache in caches(&fixture) {
        set(&cache, 8).await;
        fixture.clock.advance_frozen(6 * SECOND);
        assert!(has_value(&cache).await, "{cache:?}");
        fixture.clock.advance_frozen(2 * SECOND);
        assert!(!has_value(&cache).await, "{cache:?}");
    }
}

#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Freeze(u64),
    SetBack(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..6_000_u64).prop_map(Step::Advance),
        (0..6_000_u64).prop_map(Step::Freeze),
        (0..600_000_u64).prop_map(Step::SetBack),
    ];
    prop::collection::vec(step, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_local_entry_never_outlives_either_clock(before in steps(), after in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let clock = Arc::new(ManualClock::default());
            let builder = Cache::builder(LocalStore::new(1 << 20)).clock(clock.clone());
            let cache: Cache<String> = builder.build().unwrap();
            let run = |steps: Vec<Step>| {
                let start = clock.now();
                for step in steps {
                    match step {
                        Step::Advance(ms) => clock.advance(Duration::from_millis(ms)),
                        Step::Freeze(ms) => clock.advance_frozen(Duration::from_millis(ms)),
                        Step::SetBack(ms) => clock.set_wall_back(Duration::from_millis(ms)),
                    }
                }
                clock.now().since(&start)
            };
            run(before);
            set(&cache, 8).await;
            if run(after) >= 8 * SECOND {
                assert!(!has_value(&cache).await);
            }
        });
    }
}
