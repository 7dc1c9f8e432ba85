//! Requests at the same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use esdk_caching_cmm::{CachingCmm, Error, NoCache};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::fixture::{Fixture, Manager, Refusal, request};

fn spawn(cmm: &CachingCmm<Manager>, tenant: usize) -> JoinHandle<Result<u64, Error<Refusal>>> {
    let cmm = cmm.clone();
    tokio::spawn(async move { Ok(cmm.encryption_materials(request(tenant)).await?.number) })
}

/// This many requests for the same materials, all of which wait for one call.
async fn waiting(
    manager: &Manager,
    cmm: &CachingCmm<Manager>,
    requests: u64,
) -> Vec<JoinHandle<Result<u64, Error<Refusal>>>> {
    manager.hold();
    let tasks = (0..requests).map(|_| spawn(cmm, 0)).collect();
    while cmm.stats().requests < requests {
        tokio::task::yield_now().await;
    }
    tasks
}

async fn all<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.unwrap());
    }
    outputs
}

#[tokio::test(start_paused = true)]
async fn misses_of_different_data_keys_run_side_by_side() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.take(Duration::from_millis(10));
    let begun = Instant::now();
    let keys = all((0..100).map(|tenant| spawn(&cmm, tenant)).collect()).await;
    assert!(keys.iter().all(Result::is_ok));
    assert_eq!(fixture.manager.calls(), 100);
    assert_eq!(fixture.manager.most_in_flight(), 16);
    // Seven rounds of up to 16 calls; 1,000 ms if they ran one after another.
    assert_eq!(begun.elapsed(), Duration::from_millis(70));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_calls_at_once_can_be_set() {
    for bound in [1, 3, 200] {
        let fixture = Fixture::new();
        let cmm = fixture.builder.max_concurrent_calls(bound).build().unwrap();
        fixture.manager.take(Duration::from_millis(10));
        all((0..100).map(|tenant| spawn(&cmm, tenant)).collect()).await;
        assert_eq!(fixture.manager.most_in_flight(), bound.min(100) as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_outside_the_cache_are_bounded_too() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.max_concurrent_calls(4).build().unwrap();
    fixture.manager.take(Duration::from_millis(10));
    let tasks = (0..20).map(|_| {
        let cmm = cmm.clone();
        let mut request = request(0);
        request.plaintext_length = None;
        tokio::spawn(async move { cmm.encryption_materials(request).await.map(|key| key.number) })
    });
    all(tasks.collect()).await;
    assert_eq!((fixture.manager.calls(), fixture.manager.most_in_flight()), (20, 4));
}

/// On one thread, so that anything which blocks it would show.
#[tokio::test]
async fn hits_and_blocking_threads_do_not_wait_for_hundreds_of_misses() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    let cached = spawn(&cmm, 0).await.unwrap().unwrap();
    fixture.manager.hold();
    let misses: Vec<_> = (1..=700).map(|tenant| spawn(&cmm, tenant)).collect();
    fixture.manager.called(1 + 16).await;
    while cmm.stats().requests < 701 {
        tokio::task::yield_now().await;
    }
    // Nothing else has to happen for either: no time passes, and no call ends.
    let waits = Duration::from_secs(60);
    let hit = timeout(waits, cmm.encryption_materials(request(0))).await.unwrap().unwrap();
    assert_eq!(hit.number, cached);
    timeout(waits, tokio::task::spawn_blocking(|| ())).await.unwrap().unwrap();
    assert_eq!(fixture.manager.calls(), 1 + 16);
    fixture.manager.release();
    assert!(all(misses).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn requests_that_miss_together_make_one_call_on_one_thread() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    let requests = waiting(&fixture.manager, &cmm, 64).await;
    fixture.manager.release();
    assert!(all(requests).await.iter().all(|key| *key == Ok(0)));
    assert_eq!((cmm.stats().requests, cmm.stats().hits, cmm.stats().calls), (64, 63, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_holds_exactly_between_requests_on_threads() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.max_messages(10).build().unwrap();
    let mut uses = HashMap::new();
    for key in all((0..400).map(|_| spawn(&cmm, 0)).collect()).await {
        *uses.entry(key.unwrap()).or_insert(0) += 1;
    }
    assert!(uses.values().all(|uses| *uses == 10), "{:?}", uses.values());
    assert_eq!(uses.len(), 40);
}

#[tokio::test]
async fn a_failed_call_fails_all_who_wait_and_the_next_request_tries_again() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.fail_once();
    let requests = waiting(&fixture.manager, &cmm, 8).await;
    fixture.manager.release();
    let failed = all(requests).await;
    assert!(failed.iter().all(|key| *key == Err(Error::Manager(Refusal::Down))));
    assert!(!failed[0].as_ref().unwrap_err().is_internal());
    assert_eq!(fixture.manager.calls(), 1);
    assert_eq!(spawn(&cmm, 0).await.unwrap(), Ok(1));
}

#[tokio::test]
async fn a_panic_of_the_manager_is_an_error_of_our_own_and_leaves_the_cache_usable() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.panic_once();
    let requests = waiting(&fixture.manager, &cmm, 8).await;
    fixture.manager.release();
    let failed = all(requests).await;
    assert!(failed.iter().all(|key| *key == Err(Error::Unfinished)));
    assert!(failed[0].as_ref().unwrap_err().is_internal());
    assert_eq!(spawn(&cmm, 0).await.unwrap(), Ok(1));
}

#[tokio::test]
async fn a_panic_outside_the_cache_is_an_error_of_our_own_too() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.panic_once();
    let mut request = request(0);
    request.plaintext_length = None;
    assert_eq!(cmm.encryption_materials(request.clone()).await.unwrap_err(), Error::Unfinished);
    cmm.encryption_materials(request).await.unwrap();
}

#[tokio::test]
async fn panics_give_their_place_among_the_calls_back() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.max_concurrent_calls(1).build().unwrap();
    for tenant in 0..3 {
        fixture.manager.panic_once();
        assert_eq!(spawn(&cmm, tenant).await.unwrap(), Err(Error::Unfinished));
    }
    assert!(spawn(&cmm, 0).await.unwrap().is_ok());
}

#[tokio::test]
async fn cancelling_a_waiting_request_does_not_affect_the_others() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.hold();
    let first = spawn(&cmm, 0);
    fixture.manager.called(1).await;
    let others: Vec<_> = (0..3).map(|_| spawn(&cmm, 0)).collect();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    fixture.manager.release();
    assert!(all(others).await.iter().all(|key| *key == Ok(0)));
    assert_eq!(fixture.manager.calls(), 1);
}

#[tokio::test]
async fn a_call_ends_even_if_no_request_waits_for_it() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.hold();
    let only = spawn(&cmm, 0);
    fixture.manager.called(1).await;
    only.abort();
    assert!(only.await.unwrap_err().is_cancelled());
    fixture.manager.release();
    assert_eq!(spawn(&cmm, 0).await.unwrap(), Ok(0));
}

/// A runtime that ends takes its tasks along, and with them a call that nobody else waits for.
#[test]
fn a_call_cut_off_by_a_shutdown_does_not_hold_its_place() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.max_concurrent_calls(1).build().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = runtime();
    fixture.manager.hold();
    first.block_on(async {
        drop(spawn(&cmm, 0));
        fixture.manager.called(1).await;
    });
    drop(first);
    fixture.manager.release();
    assert_eq!(runtime().block_on(async { spawn(&cmm, 0).await.unwrap() }), Ok(1));
}

/// The requests that wait carry the call on.
#[test]
fn a_call_survives_the_shutdown_of_the_runtime_that_began_it() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let first = runtime();
    fixture.manager.hold();
    first.block_on(async {
        drop(spawn(&cmm, 0));
        fixture.manager.called(1).await;
    });
    runtime().block_on(async {
        let waiting = spawn(&cmm, 0);
        while cmm.stats().requests < 2 {
            tokio::task::yield_now().await;
        }
        first.shutdown_background();
        fixture.manager.release();
        assert_eq!(waiting.await.unwrap(), Ok(0));
    });
    assert_eq!(fixture.manager.calls(), 1);
}

#[tokio::test]
async fn without_a_cache_every_request_calls() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.cache(Arc::new(NoCache::default())).build().unwrap();
    for number in 0..3 {
        assert_eq!(spawn(&cmm, 0).await.unwrap(), Ok(number));
    }
    assert_eq!((cmm.cache_stats().misses, cmm.cache_stats().puts), (3, 0));
}

#[test]
fn no_runtime_is_needed_where_the_manager_needs_none() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    let key = || futures::executor::block_on(cmm.encryption_materials(request(0))).unwrap().number;
    assert_eq!([key(), key()], [0, 0]);
}
