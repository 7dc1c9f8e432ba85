//! Between invocations an execution environment is frozen: the monotonic clock may stand still,
//! nothing runs, and connections die without a word.

use std::time::Duration;

use cache_extension::{CacheStatus, RETRY_PAUSE};

use crate::fixture::{Fixture, TTL, parameter, unavailable};

#[tokio::test]
async fn a_value_grows_old_while_the_environment_is_frozen() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.service.change(1);
    fixture.clock.advance_frozen(TTL);
    assert_eq!(fixture.version().await, "1");
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_keeps_no_value_alive() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.service.change(1);
    fixture.clock.set_wall_back(Duration::from_secs(86_400));
    fixture.clock.advance(TTL);
    assert_eq!(fixture.version().await, "1");
}

#[tokio::test]
async fn an_invocation_after_a_freeze_brings_new_values_before_they_are_asked_for() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.get(0).await.unwrap();
    fixture.service.change(1);
    fixture.clock.advance_frozen(10 * TTL);
    fixture.cache.refresh().await;
    let answer = fixture.get(0).await.unwrap();
    assert_eq!(answer.status, CacheStatus::Fresh(TTL));
    assert_eq!(fixture.version().await, "1");
}

#[tokio::test]
async fn what_is_wanted_is_loaded_again_before_its_time_is_over() {
    let fixture = Fixture::new(vec![parameter("us-east-1", "a"), parameter("us-east-1", "b")]);
    fixture.cache.fill().await;
    fixture.get(0).await.unwrap();
    fixture.clock.advance(TTL / 2);
    fixture.cache.refresh().await;
    assert_eq!(fixture.service.requests().len(), 1, "it is too early");
    fixture.clock.advance(TTL / 3);
    fixture.cache.refresh().await;
    assert_eq!(fixture.service.requests()[1..], [["a"]], "nobody has asked for b");
    fixture.clock.advance(2 * TTL);
    fixture.cache.refresh().await;
    assert_eq!(fixture.service.requests().len(), 2, "nobody has asked since");
}

#[tokio::test]
async fn old_values_are_handed_out_while_new_ones_are_loaded() {
    let fixture = Fixture::one();
    fixture.cache.fill().await;
    assert_eq!(fixture.version().await, "0");
    fixture.service.change(1);
    fixture.clock.advance(TTL * 9 / 10);
    fixture.service.close();
    let look = async {
        tokio::task::yield_now().await;
        assert_eq!(fixture.version().await, "0");
        fixture.service.open();
    };
    tokio::join!(fixture.cache.refresh(), look);
    assert_eq!(fixture.version().await, "1");
}

#[tokio::test]
async fn a_refresh_ends_when_nothing_is_being_loaded_any_more() {
    let fixture = Fixture::one();
    fixture.service.close();
    let (cache, clock) = (fixture.cache.clone(), std::sync::Arc::clone(&fixture.clock));
    let request =
        tokio::spawn(async move { cache.get(0, cache_extension::Freshness::Cached).await });
    while fixture.service.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(1));
    let mut refresh = Box::pin(fixture.cache.refresh());
    assert!(futures::poll!(&mut refresh).is_pending());
    fixture.service.open();
    refresh.await;
    assert!(request.await.unwrap().is_ok());
    assert_eq!(fixture.service.requests().len(), 1);
}

#[tokio::test]
async fn refreshing_pauses_while_the_service_is_down() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.get(0).await.unwrap();
    fixture.service.fail("a", unavailable());
    fixture.clock.advance(TTL);
    fixture.cache.refresh().await;
    fixture.cache.refresh().await;
    assert_eq!(fixture.service.requests().len(), 2);
    fixture.clock.advance_frozen(RETRY_PAUSE);
    fixture.cache.refresh().await;
    assert_eq!(fixture.service.requests().len(), 3);
}
