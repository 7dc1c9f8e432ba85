//! The crate's own sources, compiled on a scheduler that explores how threads and tasks interleave.
//!
//! [`sync`] replaces the module of that name. Each check runs its scenario on thousands of schedules,
//! some random and some made to find orders that are rare.

#![expect(
    clippy::enum_variant_names,
    reason = "public in the crate, and the specification's names"
)]
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]
#![expect(
    dead_code,
    unreachable_pub,
    reason = "the sources' public interface is not all used here"
)]

#[cfg(feature = "aws-esdk")]
#[path = "../../src/adapter/mod.rs"]
mod adapter;
#[path = "../../src/builder.rs"]
mod builder;
#[path = "../../src/cache.rs"]
mod cache;
#[path = "../../src/cache_id.rs"]
mod cache_id;
#[path = "../../src/clock.rs"]
mod clock;
#[path = "../../src/cmm.rs"]
mod cmm;
#[path = "../../src/entry.rs"]
mod entry;
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/flight.rs"]
mod flight;
#[path = "../../src/limits.rs"]
mod limits;
#[path = "../../src/local_cache.rs"]
mod local_cache;
#[path = "../../src/manager.rs"]
mod manager;
#[path = "../../src/request.rs"]
mod request;
#[path = "../../src/suite.rs"]
mod suite;

mod sync;
#[path = "manager.rs"]
mod test_manager;
#[cfg(feature = "aws-esdk")]
mod through_aws_esdk;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shuttle::future::{JoinHandle, block_on, spawn};

use clock::ManualClock;
use cmm::CachingCmm;
use error::Error;
use local_cache::LocalCache;
use test_manager::{Down, Manager, request};

const MAX_AGE: Duration = Duration::from_secs(300);
const SCHEDULES: usize = 2_000;

/// Runs a scenario on many schedules.
fn explore(scenario: impl Fn() + Send + Sync + Copy + 'static) {
    let scenario = move || {
        scenario();
        sync::settle();
    };
    shuttle::check_random(scenario, SCHEDULES);
    shuttle::check_pct(scenario, SCHEDULES, 3);
}

struct Fixture {
    cmm: CachingCmm<Manager>,
    cache: Arc<LocalCache>,
    clock: Arc<ManualClock>,
    manager: Manager,
}

impl Fixture {
    fn new(capacity: usize, max_messages: u64, grace_period: Duration) -> Self {
        let clock = Arc::new(ManualClock::default());
        let cache = Arc::new(LocalCache::with_clock(capacity, clock.clone()));
        let manager = Manager::default();
        let cmm = CachingCmm::builder(manager.clone())
            .cache(cache.clone())
            .clock(clock.clone())
            .max_age(MAX_AGE)
            .max_messages(max_messages)
            .max_concurrent_calls(2)
            .refresh_ahead(grace_period)
            .build();
        Self { cmm: cmm.unwrap(), cache, clock, manager }
    }

    /// A task that asks for materials and gives its data key.
    fn request(&self) -> JoinHandle<Result<u64, Error<Down>>> {
        self.request_of(0)
    }

    fn request_of(&self, tenant: usize) -> JoinHandle<Result<u64, Error<Down>>> {
        let cmm = self.cmm.clone();
        spawn(async move { Ok(cmm.encryption_materials(request(tenant)).await?.0) })
    }

    fn requests(&self, number: usize) -> Vec<Result<u64, Error<Down>>> {
        let tasks: Vec<_> = (0..number).map(|_| self.request()).collect();
        tasks.into_iter().map(|task| block_on(task).unwrap()).collect()
    }
}

fn uses(keys: Vec<Result<u64, Error<Down>>>) -> HashMap<u64, u64> {
    let mut uses = HashMap::new();
    for key in keys {
        *uses.entry(key.unwrap()).or_insert(0) += 1;
    }
    uses
}

#[test]
fn requests_on_a_cold_cache_make_one_call() {
    explore(|| {
        let fixture = Fixture::new(9, 100, Duration::ZERO);
        assert_eq!(uses(fixture.requests(4)).len(), 1);
        assert_eq!(fixture.manager.calls(), 1);
    });
}

#[test]
fn no_data_key_serves_more_messages_than_the_limit_and_none_is_wasted() {
    explore(|| {
        let fixture = Fixture::new(9, 2, Duration::ZERO);
        let uses = uses(fixture.requests(6));
        assert!(uses.values().all(|uses| *uses == 2), "{:?}", uses.values());
    });
}

#[test]
fn limits_hold_without_capacity_too() {
    explore(|| {
        let fixture = Fixture::new(0, 2, Duration::ZERO);
        assert!(uses(fixture.requests(5)).values().all(|uses| *uses <= 2));
    });
}

#[test]
fn a_failed_call_fails_only_the_requests_that_waited() {
    explore(|| {
        let fixture = Fixture::new(9, 100, Duration::ZERO);
        fixture.manager.fail_once();
        let (failed, served): (Vec<_>, Vec<_>) =
            fixture.requests(4).into_iter().partition(Result::is_err);
        assert!(!failed.is_empty());
        assert_eq!(fixture.manager.calls(), if served.is_empty() { 1 } else { 2 });
        assert_eq!(uses(fixture.requests(1)).len(), 1);
    });
}

#[test]
fn cancelling_a_request_does_not_affect_the_others() {
    explore(|| {
        let fixture = Fixture::new(9, 100, Duration::ZERO);
        let dropped = fixture.request();
        let other = fixture.request();
        dropped.abort();
        block_on(other).unwrap().unwrap();
        let _ = block_on(dropped);
        assert!(fixture.manager.calls() <= 2);
    });
}

#[test]
fn a_panic_of_the_manager_fails_only_the_requests_that_waited() {
    explore(|| {
        let fixture = Fixture::new(9, 100, Duration::ZERO);
        fixture.manager.panic_once();
        let failed = fixture.requests(3).into_iter().filter(Result::is_err).count();
        assert!(failed >= 1);
        assert!(fixture.requests(1)[0].is_ok());
    });
}

#[test]
fn one_of_many_refreshes_an_entry() {
    explore(|| {
        let fixture = Fixture::new(9, 100, MAX_AGE / 10);
        fixture.requests(1);
        fixture.clock.advance(MAX_AGE - MAX_AGE / 10);
        assert!(fixture.requests(4).iter().all(Result::is_ok));
        assert!(fixture.manager.calls() <= 2);
    });
}

#[test]
fn a_failed_refresh_affects_no_request() {
    explore(|| {
        let fixture = Fixture::new(9, 100, MAX_AGE / 10);
        fixture.requests(1);
        fixture.clock.advance(MAX_AGE - MAX_AGE / 10);
        fixture.manager.fail_once();
        assert!(fixture.requests(4).iter().all(Result::is_ok));
    });
}

#[test]
fn calls_for_different_materials_run_side_by_side_up_to_the_bound() {
    explore(|| {
        let fixture = Fixture::new(9, 100, Duration::ZERO);
        let tasks: Vec<_> = (0..4).map(|tenant| fixture.request_of(tenant)).collect();
        for task in tasks {
            block_on(task).unwrap().unwrap();
        }
        assert_eq!(fixture.manager.calls(), 4);
        assert!(fixture.manager.most_in_flight() <= 2);
    });
}

#[test]
fn a_request_after_a_clearing_gets_no_data_key_from_before() {
    explore(|| {
        let fixture = Fixture::new(9, 100, Duration::ZERO);
        let before = fixture.request();
        shuttle::thread::yield_now();
        fixture.cache.clear();
        let made_before = fixture.manager.calls();
        let after = fixture.requests(2);
        assert!(after.iter().all(|key| *key.as_ref().unwrap() >= made_before));
        block_on(before).unwrap().unwrap();
        assert!(fixture.requests(1).iter().all(|key| *key.as_ref().unwrap() >= made_before));
    });
}

#[test]
fn cancelled_requests_keep_no_place_among_the_calls() {
    explore(|| {
        let fixture = Fixture::new(9, 100, Duration::ZERO);
        let tasks: Vec<_> = (0..3).map(|tenant| fixture.request_of(tenant)).collect();
        tasks.iter().for_each(JoinHandle::abort);
        assert!(fixture.requests(1)[0].is_ok());
        for task in tasks {
            let _ = block_on(task);
        }
    });
}
