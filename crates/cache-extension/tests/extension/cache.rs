//! What is loaded when, and by how many requests.

use std::time::Duration;

use cache_extension::{CacheStatus, Freshness, LoadError, RETRY_PAUSE};
use futures::future::join_all;
use tokio::time::Instant;

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

/// However long the service hangs, and whoever asks.
#[tokio::test(start_paused = true)]
async fn a_stale_value_is_served_within_300_milliseconds() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.clock.advance(TTL);
    fixture.service.close();
    for _ in 0..3 {
        let begin = Instant::now();
        let answers = join_all((0..10).map(|_| fixture.get(0))).await;
        for answer in answers {
            assert_eq!(answer.unwrap().status, CacheStatus::Stale(Duration::ZERO));
        }
        assert!(begin.elapsed() < Duration::from_millis(300), "{:?}", begin.elapsed());
    }
    assert_eq!(fixture.service.requests().len(), 2, "the load goes on");
    fixture.service.change(1);
    fixture.service.open();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(fixture.version().await, "1");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_quick_is_preferred_to_a_stale_value() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.clock.advance(TTL);
    fixture.service.change(1);
    assert_eq!(fixture.version().await, "1");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_may_not_be_stale_is_waited_for() {
    let fixture = Fixture::one();
    fixture.get(0).await.unwrap();
    fixture.clock.advance(TTL);
    fixture.service.fail("a", LoadError::Refused("denied".to_owned()));
    fixture.get(0).await.unwrap_err();
    fixture.service.mend();
    fixture.service.close();
    fixture.clock.advance(RETRY_PAUSE);
    assert!(tokio::time::timeout(Duration::from_secs(60), fixture.get(0)).await.is_err());
}

#[tokio::test]
async fn values_that_are_due_are_loaded_together() {
    let names: Vec<_> = (0..35).map(|number| format!("p{number}")).collect();
    let fixture = Fixture::new(names.iter().map(|name| parameter("us-east-1", name)).collect());
    fixture.cache.fill().await;
    assert_eq!(fixture.service.requests().len(), 4);
    for index in 0..35 {
        fixture.get(index).await.unwrap();
    }
    fixture.clock.advance(TTL);
    for index in 0..35 {
        fixture.get(index).await.unwrap();
    }
    let requests = fixture.service.requests();
    assert_eq!(requests[4..].iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10, 5]);
}

#[tokio::test]
async fn a_value_that_nobody_asked_for_is_not_loaded_with_others() {
    let sources = ["a", "b"].map(|name| parameter("us-east-1", name));
    let fixture = Fixture::new(sources.to_vec());
    fixture.cache.fill().await;
    fixture.get(0).await.unwrap();
    fixture.clock.advance(TTL);
    fixture.get(0).await.unwrap();
    assert_eq!(fixture.service.requests()[1..], [["a"]]);
}

#[tokio::test]
async fn items_of_a_region_are_loaded_by_the_hundred() {
    let items = (0..250).map(|number| item("table", &number.to_string(), None));
    let fixture = Fixture::new(items.collect());
    assert_eq!(fixture.cache.fill().await, 0);
    let sizes: Vec<_> = fixture.service.requests().iter().map(Vec::len).collect();
    assert_eq!(sizes, [100, 100, 50]);
}
