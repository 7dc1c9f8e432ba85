//! A cache that is cleared while calls are in flight.

use std::time::Duration;

use esdk_caching_cmm::{CachingCmm, Error};
use tokio::task::JoinHandle;

use crate::fixture::{Fixture, MAX_AGE, Manager, Refusal, request};

fn spawn(cmm: &CachingCmm<Manager>) -> JoinHandle<Result<u64, Error<Refusal>>> {
    let cmm = cmm.clone();
    tokio::spawn(async move { Ok(cmm.encryption_materials(request(0)).await?.number) })
}

#[tokio::test]
async fn a_call_from_before_a_clearing_is_not_stored() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.hold();
    let before = spawn(&cmm);
    fixture.manager.called(1).await;
    fixture.cache.clear();
    fixture.manager.release();
    let before = before.await.unwrap().unwrap();
    assert_ne!(spawn(&cmm).await.unwrap().unwrap(), before);
}

#[tokio::test]
async fn a_request_after_a_clearing_does_not_join_a_call_from_before() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.hold();
    let before = [spawn(&cmm), spawn(&cmm)];
    fixture.manager.called(1).await;
    fixture.cache.clear();
    let after = [spawn(&cmm), spawn(&cmm)];
    fixture.manager.called(2).await;
    fixture.manager.release();
    for request in before {
        assert_eq!(request.await.unwrap().unwrap(), 0);
    }
    for request in after {
        assert_eq!(request.await.unwrap().unwrap(), 1);
    }
    // The later call's result is the one that is stored, whichever landed last.
    assert_eq!(spawn(&cmm).await.unwrap().unwrap(), 1);
    assert_eq!(fixture.manager.calls(), 2);
}

#[tokio::test]
async fn a_clearing_holds_for_all_who_share_the_cache() {
    let fixture = Fixture::new();
    let builder = fixture.builder.partition_id("shared");
    let (one, two) = (builder.clone().build().unwrap(), builder.build().unwrap());
    fixture.manager.hold();
    let before = [spawn(&one), spawn(&two)];
    fixture.manager.called(2).await;
    fixture.cache.clear();
    fixture.manager.release();
    for request in before {
        assert!(request.await.unwrap().unwrap() < 2);
    }
    assert_eq!(spawn(&one).await.unwrap().unwrap(), 2);
    assert_eq!(spawn(&two).await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn a_refresh_from_before_a_clearing_is_not_stored() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.refresh_ahead(MAX_AGE / 10).build().unwrap();
    spawn(&cmm).await.unwrap().unwrap();
    fixture.clock.advance(MAX_AGE - MAX_AGE / 10);
    fixture.manager.hold();
    assert_eq!(spawn(&cmm).await.unwrap().unwrap(), 0);
    fixture.manager.called(2).await;
    fixture.cache.clear();
    let after = spawn(&cmm);
    fixture.manager.called(3).await;
    fixture.manager.release();
    assert_eq!(after.await.unwrap().unwrap(), 2);
    assert_eq!(spawn(&cmm).await.unwrap().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_call_from_before_leaves_the_later_call_to_be_joined() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.take(Duration::from_millis(10));
    let before = spawn(&cmm);
    fixture.manager.called(1).await;
    fixture.cache.clear();
    fixture.manager.take(Duration::from_millis(100));
    let after = spawn(&cmm);
    fixture.manager.called(2).await;
    assert_eq!(before.await.unwrap().unwrap(), 0);
    let joining = spawn(&cmm);
    assert_eq!(after.await.unwrap().unwrap(), 1);
    assert_eq!(joining.await.unwrap().unwrap(), 1);
    assert_eq!(fixture.manager.calls(), 2);
}
