//! What is loaded when, and by how many requests.

use std::time::Duration;

use cache_extension::{CacheStatus, Freshness, LoadError, RETRY_PAUSE};
use futures::future::join_all;

use crate::fixture::{Fixture, STALE, TTL, item, parameter, unavailable, version};

#[tokio::test]
async fn a_value_is_loaded_once_and_again_when_its_time_is_over() {
    let fixture = Fixture::one();
    let first = fixture.get(0).await.unwrap();
    assert_eq!((first.status, first.age), (CacheStatus::Loaded, Duration::ZERO));
    fixture.service.change(1);
    fixture.clock.advance(TTL - Duration::from_secs(1));
    let second = fixture.get(0).await.unwrap();
    assert_eq!(second.value, first.value);
    assert_eq!(second.status, CacheStatus::Fresh(Duration::from_secs(1)));
    assert_eq!(second.age, Duration::from_secs(99));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.version().await, "1");
    assert_eq!(fixture.service.requests().len(), 2);
}

#[tokio::test]
async fn however_many_requests_wait_there_is_one_load() {
    let fixture = Fixture::one();
    fixture.service.close();
    let requests = join_all((0..100).map(|number| {
        let freshness = if number % 2 == 0 { Freshness::Cached } else { Freshness::Latest };
        fixture.cache.get(0, freshness)
    }));
    let open = async {
        tokio::task::yield_now().await;
        fixture.service.open();
    };
    let (answers, ()) = tokio::join!(requests, open);
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(fixture.service.requests().len(), 1);
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_no_load_with_it() {
    let fixture = Fixture::one();
    fixture.service.close();
    let given_up = tokio::time::timeout(Duration::from_millis(1), fixture.get(0)).await;
    assert!(given_up.is_err());
    fixture.service.open();
    fixture.get(0).await.unwrap();
    assert_eq!(fixture.service.requests().len(), 1);
}

#[tokio::test]
async fn a_load_that_ends_without_a_result_fails_those_who_wait_and_nobody_after() {
    let fixture = Fixture::one();
    fixture.service.panic_once();
    assert_eq!(
        fixture.get(0).await,
        Err(LoadError::Unavailable("the load was cancelled".to_owned()))
    );
    fixture.get(0).await.unwrap();
}

#[tokio::test]
async fn newest_is_loaded_whatever_there_is() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.service.change(1);
    let answer = fixture.cache.get(0, Freshness::Latest).await.unwrap();
    assert_eq!((version(&answer).as_str(), answer.status), ("1", CacheStatus::Loaded));
    assert_eq!(fixture.version().await, "1");
}

#[tokio::test]
async fn a_stale_value_is_used_while_the_service_is_down_but_not_for_ever() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.service.fail("a", unavailable());
    fixture.clock.advance(TTL);
    let answer = fixture.get(0).await.unwrap();
    assert_eq!((answer.age, answer.status), (TTL, CacheStatus::Stale(Duration::ZERO)));
    fixture.clock.advance(STALE - Duration::from_secs(1));
    let answer = fixture.get(0).await.unwrap();
    assert_eq!(answer.status, CacheStatus::Stale(STALE - Duration::from_secs(1)));
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.get(0).await, Err(unavailable()));
    fixture.service.mend();
    fixture.clock.advance(RETRY_PAUSE);
    fixture.get(0).await.unwrap();
}

#[tokio::test]
async fn a_service_that_is_down_is_asked_once_in_a_while() {
    let fixture = Fixture::one();
    fixture.service.fail("a", unavailable());
    for _ in 0..10 {
        assert_eq!(fixture.get(0).await, Err(unavailable()));
    }
    assert_eq!(fixture.service.requests().len(), 1);
    fixture.clock.advance(RETRY_PAUSE);
    assert_eq!(fixture.get(0).await, Err(unavailable()));
    assert_eq!(fixture.service.requests().len(), 2);
    assert_eq!(fixture.cache.get(0, Freshness::Latest).await, Err(unavailable()));
    assert_eq!(fixture.service.requests().len(), 3);
}

#[tokio::test]
async fn a_fresh_value_outlives_a_load_that_fails() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.service.fail("a", unavailable());
    let answer = fixture.cache.get(0, Freshness::Latest).await.unwrap();
    assert_eq!(answer.status, CacheStatus::Fresh(TTL));
}

#[tokio::test]
async fn what_the_service_refuses_is_not_used_beyond_its_time() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    let refused = LoadError::Refused("AccessDeniedException".to_owned());
    fixture.service.fail("a", refused.clone());
    fixture.clock.advance(TTL);
    assert_eq!(fixture.get(0).await, Err(refused));
}

#[tokio::test]
async fn what_is_deleted_is_gone_at_once() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    let gone = LoadError::NotFound("no such parameter".to_owned());
    fixture.service.fail("a", gone.clone());
    assert_eq!(fixture.cache.get(0, Freshness::Latest).await, Err(gone.clone()));
    assert_eq!(fixture.get(0).await, Err(gone));
}

#[tokio::test]
async fn filling_asks_for_ten_parameters_of_a_region_at_once() {
    let mut sources = vec![item("t", "h", None), parameter("eu-west-1", "other")];
    sources.extend((0..23).map(|number| parameter("us-east-1", &format!("p{number}"))));
    let fixture = Fixture::new(sources);
    fixture.service.fail("p7", unavailable());
    assert_eq!(fixture.cache.fill().await, 1);
    let mut sizes: Vec<_> = fixture.service.requests().iter().map(Vec::len).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [1, 1, 3, 10, 10]);
    for index in (0..25).filter(|index| *index != 9) {
        let answer = fixture.get(index).await.unwrap();
        assert!(matches!(answer.status, CacheStatus::Fresh(_)), "{index}");
    }
    assert_eq!(fixture.service.requests().len(), 5);
}
