//! Requests at the same time, on the asynchronous way and on aws-esdk's.

use std::collections::HashMap;
use std::sync::Arc;

use aws_esdk::material_providers::types::cryptographic_materials_manager::{
    CryptographicMaterialsManager, CryptographicMaterialsManagerRef,
};
use aws_esdk::material_providers::types::error::Error as AwsError;
use aws_esdk::types::error::Error as SdkError;
use esdk_caching_cmm::{Error, NoCache};
use tokio::task::JoinSet;

use crate::fixture::{
    Cmm, Fixture, context, decryption_input, decryption_request, encrypt, encryption_input,
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
async fn cancelling_a_waiting_request_does_not_affect_the_others() {
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
async fn a_panic_below_leaves_the_trait_of_aws_esdk_usable() {
    let fixture = Fixture::new().await;
    let caching = fixture.builder.build().unwrap();
    let cmm: CryptographicMaterialsManagerRef = caching.into();
    let encrypt = || sdk().encrypt().plaintext("text".as_bytes()).materials_manager(cmm.clone());
    fixture.calls.panic_once();
    let error = encrypt().send().await.unwrap_err();
    // Callers tell the error by its text, which passes through aws-esdk unchanged.
    let SdkError::AwsCryptographicMaterialProvidersError { error } = error else {
        panic!("{error}")
    };
    let AwsError::AwsCryptographicMaterialProvidersException { message } = error else {
        panic!("{error}")
    };
    assert_eq!(message, Error::<AwsError>::Unfinished.to_string());
    encrypt().send().await.unwrap();
    assert!(!cmm.inner.is_poisoned());
}

/// The thread that waits is the only one that could poll the asynchronous requests.
#[tokio::test]
async fn a_synchronous_request_waits_for_no_task_of_its_own_thread() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.max_concurrent_calls(1).build().unwrap();
    let gate = fixture.calls.block();
    let asynchronous: Vec<_> = (0..4)
        .map(|tenant| {
            let cmm = cmm.clone();
            let mut request = encryption_request(1);
            if tenant % 2 == 1 {
                request.encryption_context = context(&[("tenant", &tenant.to_string())]);
            }
            tokio::spawn(async move { cmm.encryption_materials(request).await.is_ok() })
        })
        .collect();
    while fixture.calls.counts().0 == 0 {
        tokio::task::yield_now().await;
    }
    let release = std::thread::spawn({
        let cmm = cmm.clone();
        move || {
            while cmm.stats().requests < 5 {
                std::thread::yield_now();
            }
            drop(gate);
        }
    });
    encrypt(&cmm, encryption_input(Some(1)));
    release.join().unwrap();
    for request in asynchronous {
        assert!(request.await.unwrap());
    }
}

/// Misses wait without a thread of their own: one thread of the pool is for all of them.
#[test]
fn hundreds_of_misses_leave_the_blocking_threads_to_others() {
    let builder = &mut tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).max_blocking_threads(2).build().unwrap();
    runtime.block_on(async {
        let fixture = Fixture::new().await;
        let cmm = fixture.builder.build().unwrap();
        let cached = cmm.encryption_materials(encryption_request(1)).await.unwrap();
        let gate = fixture.calls.block();
        let mut misses = JoinSet::new();
        for tenant in 0..700 {
            let cmm = cmm.clone();
            let mut request = encryption_request(1);
            request.encryption_context = context(&[("tenant", &tenant.to_string())]);
            misses.spawn(async move { cmm.encryption_materials(request).await.is_ok() });
        }
        while cmm.stats().requests < 701 {
            tokio::task::yield_now().await;
        }
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        let hit = cmm.encryption_materials(encryption_request(1)).await.unwrap();
        assert!(Arc::ptr_eq(&hit, &cached));
        assert!(misses.try_join_next().is_none(), "no miss is answered yet");
        drop(gate);
        assert!(misses.join_all().await.into_iter().all(|answered| answered));
    });
}

#[test]
fn a_shutdown_is_an_error_of_our_own() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let cmm = runtime.block_on(async { Fixture::new().await.builder.build().unwrap() });
    runtime.shutdown_background();
    let _entered = handle.enter();
    let request = cmm.encryption_materials(encryption_request(1));
    let error = futures::executor::block_on(request).unwrap_err();
    assert_eq!(error, Error::Unfinished);
    assert!(error.is_internal());
}

/// Where there is no runtime at all, aws-esdk's trait needs none either.
#[test]
fn the_trait_of_aws_esdk_needs_no_runtime() {
    let cmm = futures::executor::block_on(async {
        let cmm = Fixture::new().await.builder.build().unwrap();
        let first = encrypt(&cmm, encryption_input(Some(1)));
        assert_eq!(encrypt(&cmm, encryption_input(Some(1))), first);
        cmm
    });
    assert_eq!((cmm.stats().hits, cmm.stats().calls), (1, 1));
}
