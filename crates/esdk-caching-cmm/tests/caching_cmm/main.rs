//! The caching CMM over a manager that tests direct, without aws-esdk.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod clearing;
mod concurrency;
mod fixture;
mod policies;
mod refresh;
mod settings;
mod without_cache;

use std::time::Duration;

use esdk_caching_cmm::{AlgorithmSuiteId, CacheStats, Error};

use fixture::{DataKey, Fixture, MAX_AGE, Refusal, context, decryption, request};

#[tokio::test]
async fn the_manager_learns_no_length_of_a_message_that_shares_its_data_key() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.max_bytes(100).build().unwrap();
    for length in [Some(10), Some(101), None] {
        let mut request = request(0);
        request.plaintext_length = length;
        cmm.encryption_materials(request).await.unwrap();
    }
    assert_eq!(fixture.manager.lengths(), [None, Some(101), None]);
}

#[tokio::test]
async fn an_age_counts_from_before_the_call() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.hold();
    let first = tokio::spawn({
        let cmm = cmm.clone();
        async move { cmm.encryption_materials(request(0)).await.unwrap().number }
    });
    fixture.manager.called(1).await;
    // The process is frozen while the call is in flight.
    fixture.clock.advance_frozen(MAX_AGE - Duration::from_secs(1));
    fixture.manager.release();
    let first = first.await.unwrap();
    assert_eq!(cmm.encryption_materials(request(0)).await.unwrap().number, first);
    fixture.clock.advance(Duration::from_secs(1));
    assert_ne!(cmm.encryption_materials(request(0)).await.unwrap().number, first);
}

#[tokio::test]
async fn an_age_does_not_count_the_wait_for_a_turn() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.max_concurrent_calls(1).build().unwrap();
    fixture.manager.hold();
    let requests: Vec<_> = (0..2)
        .map(|tenant| {
            let cmm = cmm.clone();
            tokio::spawn(async move { cmm.encryption_materials(request(tenant)).await.unwrap() })
        })
        .collect();
    fixture.manager.called(1).await;
    fixture.clock.advance(MAX_AGE);
    fixture.manager.release();
    for request in requests {
        request.await.unwrap();
    }
    cmm.encryption_materials(request(1)).await.unwrap();
    assert_eq!(fixture.manager.calls(), 2);
}

#[tokio::test]
async fn a_call_that_takes_longer_than_the_maximum_age_serves_its_own_request_only() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.hold();
    let requests: Vec<_> = (0..2)
        .map(|_| {
            let cmm = cmm.clone();
            tokio::spawn(async move { cmm.encryption_materials(request(0)).await.unwrap().number })
        })
        .collect();
    fixture.manager.called(1).await;
    fixture.clock.advance(MAX_AGE);
    fixture.manager.release();
    let mut keys = Vec::new();
    for request in requests {
        keys.push(request.await.unwrap());
    }
    assert_eq!(keys, [0, 1]);
}

#[tokio::test]
async fn materials_of_an_identity_kdf_are_not_stored_if_the_manager_chose_the_suite() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.default_to(AlgorithmSuiteId::Aes256Gcm);
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(cmm.encryption_materials(request(0)).await.unwrap().number);
    }
    assert_eq!(keys, [0, 1, 2]);
    assert_eq!(cmm.cache_stats().puts, 0);
}

#[tokio::test]
async fn reproduced_context_is_compared_on_a_hit_too() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    let suite = AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey;
    let key = DataKey { number: 7, suite, context: context(0) };
    let mut request = decryption(&key);
    request.reproduced_context = context(0);
    for _ in 0..2 {
        assert_eq!(*cmm.decryption_materials(request.clone()).await.unwrap(), key);
    }
    assert_eq!(fixture.manager.calls(), 1);
    request.reproduced_context = context(1);
    let error = cmm.decryption_materials(request.clone()).await.unwrap_err();
    assert_eq!(error, Error::ReproducedContext { key: "tenant".to_owned() });
    // Only the manager can tell about a pair that the message does not carry.
    request.reproduced_context = [("other".to_owned(), "pair".to_owned())].into();
    let error = cmm.decryption_materials(request).await.unwrap_err();
    assert_eq!(error, Error::Manager(Refusal::Context));
}

#[tokio::test]
async fn required_context_keys_bypass_the_cache() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    let mut request = request(0);
    request.required_context_keys = vec!["tenant".to_owned()];
    for _ in 0..2 {
        cmm.encryption_materials(request.clone()).await.unwrap();
    }
    assert_eq!(fixture.manager.calls(), 2);
    assert_eq!(cmm.cache_stats(), CacheStats::default());
}

#[tokio::test]
async fn debug_output_and_errors_show_no_context() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    cmm.encryption_materials(request(0)).await.unwrap();
    assert!(!format!("{cmm:?} {:?}", fixture.cache).contains("tenant"));
}
