//! The caching CMM's behaviour, over a real keyring of aws-esdk.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod concurrency;
mod fixture;
mod isolation;
mod refresh;
mod without_cache;

use std::sync::Arc;
use std::time::Duration;

use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManager;
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::{
    EncryptionMaterials, EsdkAlgorithmSuiteId, EsdkCommitmentPolicy,
};
use esdk_caching_cmm::{
    AlgorithmSuiteId, CacheEntry, CacheId, CacheStats, Clock, CryptographicMaterialsCache, NoCache,
    Usage, Zeroizing,
};
use fixture::{Fixture, MAX_AGE, decryption_input, encrypt, encryption_input, esdk, policy};

#[tokio::test]
async fn one_data_key_serves_messages_up_to_the_limit() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.max_messages(3).build().unwrap();
    let keys: Vec<_> = (0..7)
        .map(|_| encrypt(&cmm, encryption_input(Some(10))).plaintext_data_key.unwrap())
        .collect();
    assert!(keys[0] == keys[1] && keys[1] == keys[2]);
    assert!(keys[2] != keys[3] && keys[3] == keys[5] && keys[5] != keys[6]);
    assert_eq!(fixture.calls.counts(), (3, 0));
    let stats = cmm.cache_stats();
    assert_eq!((stats.hits, stats.misses, stats.evicted_usage), (4, 3, 2));
}

#[tokio::test]
async fn a_data_key_never_encrypts_more_bytes_than_the_limit() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.max_bytes(100).build().unwrap();
    for bytes in [60, 40, 1, 99, 0] {
        encrypt(&cmm, encryption_input(Some(bytes)));
    }
    // 60 + 40 under the first data key, 1 + 99 + 0 under the second.
    assert_eq!(fixture.calls.counts().0, 2);
}

#[tokio::test]
async fn limits_are_the_specifications_unless_set() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.partition_id("partition").build().unwrap();
    for bytes in [i64::MAX, 0, 1] {
        encrypt(&cmm, encryption_input(Some(bytes)));
    }
    assert_eq!(fixture.calls.counts().0, 2, "2^63 - 1 bytes under one data key, and one more byte");

    // Nearly as many messages as may be, by an entry that says so.
    let input = encryption_input(Some(1));
    let suite = Some(AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey);
    let context = input.encryption_context.clone().unwrap();
    let id = CacheId::for_encryption("partition", suite, &context).unwrap();
    let materials: Arc<Zeroizing<EncryptionMaterials>> =
        Arc::new(encrypt(&cmm, input.clone()).into());
    let used = Usage::new((1 << 32) - 1, 0);
    let entry = CacheEntry::new(materials, fixture.clock.now(), MAX_AGE, used);
    fixture.cache.put(id, Arc::new(entry), fixture.cache.generation());
    encrypt(&cmm, input.clone());
    assert_eq!(fixture.calls.counts().0, 2);
    encrypt(&cmm, input);
    assert_eq!(fixture.calls.counts().0, 3);
}

#[tokio::test]
async fn the_manager_is_not_told_the_length_of_one_message() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    encrypt(&cmm, encryption_input(Some(10)));
    assert_eq!(*fixture.calls.plaintext_lengths.lock().unwrap(), [None]);
}

#[tokio::test]
async fn entries_end_at_their_maximum_age() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    encrypt(&cmm, encryption_input(Some(1)));
    fixture.clock.advance(MAX_AGE - Duration::from_nanos(1));
    encrypt(&cmm, encryption_input(Some(1)));
    assert_eq!(fixture.calls.counts().0, 1);
    fixture.clock.advance(Duration::from_nanos(1));
    encrypt(&cmm, encryption_input(Some(1)));
    assert_eq!(fixture.calls.counts().0, 2);
    assert_eq!(cmm.cache_stats().evicted_age, 1);
}

#[tokio::test]
async fn time_in_a_frozen_process_counts() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    encrypt(&cmm, encryption_input(Some(1)));
    fixture.clock.advance_frozen(MAX_AGE);
    encrypt(&cmm, encryption_input(Some(1)));
    assert_eq!(fixture.calls.counts().0, 2);
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_keeps_nothing_alive() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    encrypt(&cmm, encryption_input(Some(1)));
    fixture.clock.set_wall_back(MAX_AGE);
    fixture.clock.advance(MAX_AGE);
    encrypt(&cmm, encryption_input(Some(1)));
    assert_eq!(fixture.calls.counts().0, 2);
}

#[tokio::test]
async fn unknown_and_oversized_lengths_bypass_the_cache() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.max_bytes(100).build().unwrap();
    for bytes in [None, None, Some(101), Some(101)] {
        encrypt(&cmm, encryption_input(bytes));
    }
    assert_eq!(fixture.calls.counts().0, 4);
    assert_eq!(cmm.cache_stats(), CacheStats::default());
}

#[tokio::test]
async fn suites_without_key_derivation_are_not_stored() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    let mut input = encryption_input(Some(1));
    input.algorithm_suite_id = Some(esdk(EsdkAlgorithmSuiteId::AlgAes256GcmIv12Tag16NoKdf));
    input.commitment_policy = Some(policy(EsdkCommitmentPolicy::ForbidEncryptAllowDecrypt));
    let first = encrypt(&cmm, input.clone());
    let second = encrypt(&cmm, input);
    assert_ne!(first.plaintext_data_key, second.plaintext_data_key);

    let mut input = decryption_input(&first);
    input.commitment_policy = Some(policy(EsdkCommitmentPolicy::ForbidEncryptAllowDecrypt));
    cmm.decrypt_materials(input.clone()).unwrap();
    cmm.decrypt_materials(input).unwrap();
    assert_eq!(fixture.calls.counts(), (2, 2));
    assert_eq!(cmm.cache_stats(), CacheStats::default());
}

#[tokio::test]
async fn decryption_asks_once_and_is_not_limited_by_use() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.max_messages(1).max_bytes(1).build().unwrap();
    let materials = encrypt(&cmm, encryption_input(Some(1)));
    for _ in 0..5 {
        let output = cmm.decrypt_materials(decryption_input(&materials)).unwrap();
        let key = output.decryption_materials.unwrap().plaintext_data_key;
        assert_eq!(key, materials.plaintext_data_key);
    }
    assert_eq!(fixture.calls.counts(), (1, 1));
    fixture.clock.advance(MAX_AGE);
    cmm.decrypt_materials(decryption_input(&materials)).unwrap();
    assert_eq!(fixture.calls.counts(), (1, 2));
}

#[tokio::test]
async fn an_error_of_the_manager_is_returned_and_not_stored() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    let error = Error::AwsCryptographicMaterialProvidersException { message: "down".into() };
    *fixture.calls.fail.lock().unwrap() = Some(error.clone());
    assert_eq!(cmm.get_encryption_materials(encryption_input(Some(1))).unwrap_err(), error);
    encrypt(&cmm, encryption_input(Some(1)));
    assert_eq!(cmm.cache_stats().entries, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_message_limit_holds_exactly_between_threads() {
    const LIMIT: u64 = 10;
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.max_messages(LIMIT).build().unwrap();
    let keys: Vec<_> = std::thread::scope(|scope| {
        let worker = || {
            (0..50)
                .map(|_| encrypt(&cmm, encryption_input(Some(1))).plaintext_data_key.unwrap())
                .collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let mut uses = std::collections::HashMap::new();
    for key in keys {
        *uses.entry(key.into_inner()).or_insert(0) += 1;
    }
    assert!(uses.values().all(|uses| *uses <= LIMIT), "{:?}", uses.values());
}

#[tokio::test]
async fn without_a_cache_every_request_reaches_the_manager() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.cache(Arc::new(NoCache::default())).build().unwrap();
    encrypt(&cmm, encryption_input(Some(1)));
    encrypt(&cmm, encryption_input(Some(1)));
    assert_eq!(fixture.calls.counts().0, 2);
    assert_eq!((cmm.cache_stats().misses, cmm.cache_stats().puts), (2, 0));
}
