//! Requests at the same time, on the asynchronous way and on aws-esdk's.

use std::collections::HashMap;
use std::sync::Arc;

use aws_esdk::material_providers::types::cryptographic_materials_manager::{
    CryptographicMaterialsManager, CryptographicMaterialsManagerRef,
};
use aws_esdk::material_providers::types::error::Error as AwsError;
use esdk_caching_cmm::{Error, NoCache};
use tokio::task::JoinSet;

use crate::fixture::{
    Cmm, Fixture, decryption_input, decryption_request, encrypt, encryption_input,
    encryption_request, sdk,
};

/// The data keys of this many requests at once.
async fn keys_of_requests(cmm: &Cmm, requests: usize) -> Vec<Result<Vec<u8>, Error<AwsError>>> {
    let mut set = JoinSet::new();
    for _ in 0..requests {
        let cmm = cmm.clone();
        set.spawn(async move {
            let materials = cmm.encryption_materials(encryption_request(1)).await?;
            Ok(materials.plaintext_data_key.as_ref().unwrap().as_ref().to_vec())
        });
    }
    set.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_miss_together_make_one_call() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    let calls = fixture.calls.block();
    let requests = tokio::spawn({
        let cmm = cmm.clone();
        async move { keys_of_requests(&cmm, 64).await }
    });
    while cmm.stats().requests < 64 {
        tokio::task::yield_now().await;
    }
    drop(calls);
    let keys = requests.await.unwrap();
    assert!(keys.iter().all(|key| key.is_ok() && *key == keys[0]));
    assert_eq!(fixture.calls.counts(), (1, 0));
    assert_eq!((cmm.stats().requests, cmm.stats().hits, cmm.stats().calls), (64, 63, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_call_fails_all_who_wait_and_the_next_tries_again() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    let error = AwsError::AwsCryptographicMaterialProvidersException { message: "down".into() };
    *fixture.calls.fail.lock().unwrap() = Some(error.clone());
    let calls = fixture.calls.block();
    let requests = tokio::spawn({
        let cmm = cmm.clone();
        async move { keys_of_requests(&cmm, 8).await }
    });
    while cmm.stats().requests < 8 {
        tokio::task::yield_now().await;
    }
    drop(calls);
    assert!(requests.await.unwrap().iter().all(|key| *key == Err(Error::Manager(error.clone()))));
    assert_eq!(cmm.stats().hits, 0);
    assert!(keys_of_requests(&cmm, 1).await[0].is_ok());
    assert_eq!(fixture.calls.counts().0, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_waiting_harms_nobody() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    let calls = fixture.calls.block();
    let leader = tokio::spawn({
        let cmm = cmm.clone();
        async move { keys_of_requests(&cmm, 1).await }
    });
    while cmm.stats().calls == 0 {
        tokio::task::yield_now().await;
    }
    let waiting = tokio::spawn({
        let cmm = cmm.clone();
        async move { keys_of_requests(&cmm, 3).await }
    });
    leader.abort();
    drop(calls);
    assert!(waiting.await.unwrap().iter().all(Result::is_ok));
    assert_eq!(fixture.calls.counts().0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_does_not_wait_for_a_miss() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    let materials = encrypt(&cmm, encryption_input(Some(1)));
    let calls = fixture.calls.block();
    let miss = tokio::spawn({
        let cmm = cmm.clone();
        let input = decryption_request(&materials);
        async move { cmm.decryption_materials(input).await.is_ok() }
    });
    while cmm.stats().calls < 2 {
        tokio::task::yield_now().await;
    }
    cmm.encryption_materials(encryption_request(1)).await.unwrap();
    assert!(!miss.is_finished());
    drop(calls);
    assert!(miss.await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_holds_exactly_between_requests_at_once() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.max_messages(10).build().unwrap();
    let mut uses = HashMap::new();
    for key in keys_of_requests(&cmm, 400).await {
        *uses.entry(key.unwrap()).or_insert(0) += 1;
    }
    assert!(uses.values().all(|uses| *uses == 10), "{:?}", uses.values());
    assert_eq!(uses.len(), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_share_the_cache() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    let shared = cmm.encryption_materials(encryption_request(1)).await.unwrap();
    let copied = encrypt(&cmm, encryption_input(Some(1)));
    assert_eq!(shared.plaintext_data_key, copied.plaintext_data_key);
    let decrypted = cmm.decryption_materials(decryption_request(&copied)).await.unwrap();
    assert_eq!(decrypted.plaintext_data_key, copied.plaintext_data_key);
    cmm.decrypt_materials(decryption_input(&copied)).unwrap();
    assert_eq!(fixture.calls.counts(), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_cache_the_asynchronous_way_calls_every_time() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.cache(Arc::new(NoCache::default())).build().unwrap();
    for _ in 0..3 {
        cmm.encryption_materials(encryption_request(1)).await.unwrap();
    }
    assert_eq!(fixture.calls.counts().0, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_below_leaves_the_cache_usable() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    fixture.calls.panic_once();
    let error = keys_of_requests(&cmm, 1).await.remove(0).unwrap_err();
    assert_eq!(error, Error::Unfinished);
    assert!(keys_of_requests(&cmm, 1).await[0].is_ok());
}

/// aws-esdk holds a mutex around a manager, which a panic would poison for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_below_leaves_the_vendors_trait_usable() {
    let fixture = Fixture::new().await;
    let caching = fixture.builder.build().unwrap();
    let cmm: CryptographicMaterialsManagerRef = caching.into();
    let encrypt = || sdk().encrypt().plaintext("text".as_bytes()).materials_manager(cmm.clone());
    fixture.calls.panic_once();
    encrypt().send().await.unwrap_err();
    encrypt().send().await.unwrap();
    assert!(!cmm.inner.is_poisoned());
}
