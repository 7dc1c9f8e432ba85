//! Entries that are refreshed before they end.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_esdk::material_providers::types::error::Error;
use esdk_caching_cmm::{CryptographicMaterialsCache, LocalCache};

use crate::fixture::{Cmm, Fixture, MAX_AGE, encrypt, encryption_input, encryption_request};

const GRACE_PERIOD: Duration = Duration::from_secs(30);

async fn key(cmm: &Cmm) -> Vec<u8> {
    let materials = cmm.encryption_materials(encryption_request(1)).await.unwrap();
    materials.plaintext_data_key.as_ref().unwrap().as_ref().to_vec()
}

/// Waits until the cache has stored this many entries.
async fn stored(cache: &LocalCache, entries: u64) {
    while cache.stats().puts < entries {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_caller_refreshes_while_others_go_on() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.refresh_ahead(GRACE_PERIOD).build().unwrap();
    let old = key(&cmm).await;
    fixture.clock.advance(MAX_AGE - GRACE_PERIOD);
    let call = fixture.calls.block();
    for _ in 0..64 {
        assert_eq!(key(&cmm).await, old, "the call for new materials has not come back");
    }
    drop(call);
    stored(&fixture.cache, 2).await;
    assert_ne!(key(&cmm).await, old);
    assert_eq!(fixture.calls.counts().0, 2);
    // The new entry's time began with itself.
    fixture.clock.advance(GRACE_PERIOD);
    key(&cmm).await;
    assert_eq!(fixture.calls.counts().0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_near_its_last_message_is_refreshed() {
    let fixture = Fixture::new().await;
    let builder = fixture.builder.refresh_ahead(GRACE_PERIOD).max_messages(20);
    let cmm = builder.build().unwrap();
    let mut keys = HashSet::new();
    for _ in 0..18 {
        keys.insert(key(&cmm).await);
    }
    assert_eq!((keys.len(), fixture.calls.counts().0), (1, 1));
    key(&cmm).await;
    stored(&fixture.cache, 2).await;
    assert!(!keys.contains(&key(&cmm).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_while_a_refresh_is_under_way() {
    let fixture = Fixture::new().await;
    let builder = fixture.builder.refresh_ahead(GRACE_PERIOD).max_messages(20);
    let cmm = builder.build().unwrap();
    let old = key(&cmm).await;
    let call = fixture.calls.block();
    for _ in 1..20 {
        assert_eq!(key(&cmm).await, old);
    }
    // The old entry is used up: the next request waits for the call that is under way.
    let next = tokio::spawn({
        let cmm = cmm.clone();
        async move { key(&cmm).await }
    });
    while cmm.stats().requests < 21 {
        tokio::task::yield_now().await;
    }
    drop(call);
    assert_ne!(next.await.unwrap(), old);
    assert_eq!(fixture.calls.counts().0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_that_fails_leaves_the_entry_to_its_end() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.refresh_ahead(GRACE_PERIOD).build().unwrap();
    let old = key(&cmm).await;
    fixture.clock.advance(MAX_AGE - GRACE_PERIOD);
    let error = Error::AwsCryptographicMaterialProvidersException { message: "down".into() };
    *fixture.calls.fail.lock().unwrap() = Some(error);
    assert_eq!(key(&cmm).await, old);
    while fixture.calls.fail.lock().unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    assert_eq!(key(&cmm).await, old);
    assert_eq!(fixture.calls.counts().0, 2, "it is not tried again");
    fixture.clock.advance(GRACE_PERIOD);
    // A request right after the failure may still share it.
    let renewed = loop {
        match cmm.encryption_materials(encryption_request(1)).await {
            Ok(materials) => break materials,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_ne!(renewed.plaintext_data_key.as_ref().unwrap().as_ref(), old);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_through_the_trait_of_aws_esdk_refresh_too() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.refresh_ahead(GRACE_PERIOD).build().unwrap();
    let old = encrypt(&cmm, encryption_input(Some(1)));
    fixture.clock.advance(MAX_AGE - GRACE_PERIOD);
    let call = fixture.calls.block();
    assert_eq!(encrypt(&cmm, encryption_input(Some(1))), old);
    drop(call);
    stored(&fixture.cache, 2).await;
    assert_ne!(encrypt(&cmm, encryption_input(Some(1))), old);
}

#[tokio::test]
async fn without_a_grace_period_nothing_is_refreshed() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.max_messages(2).build().unwrap();
    key(&cmm).await;
    fixture.clock.advance(MAX_AGE - Duration::from_nanos(1));
    key(&cmm).await;
    assert_eq!(Arc::strong_count(&fixture.calls), 2, "no task holds the manager");
    assert_eq!(cmm.stats().calls, 1);
}
