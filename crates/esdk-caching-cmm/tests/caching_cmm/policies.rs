//! Suites and commitment policies: a hit does not get around them.

use esdk_caching_cmm::CommitmentPolicy::{
    ForbidEncryptAllowDecrypt, RequireEncryptAllowDecrypt, RequireEncryptRequireDecrypt,
};
use esdk_caching_cmm::{AlgorithmSuiteId, CachingCmm, CommitmentPolicy, Error};
use tokio::task::JoinHandle;

use crate::fixture::{
    DataKey, Fixture, Manager, Refusal, context, decryption, request, request_under,
};

const POLICIES: [CommitmentPolicy; 3] =
    [ForbidEncryptAllowDecrypt, RequireEncryptAllowDecrypt, RequireEncryptRequireDecrypt];

fn spawn(
    cmm: &CachingCmm<Manager>,
    policy: CommitmentPolicy,
) -> JoinHandle<Result<DataKey, Error<Refusal>>> {
    let cmm = cmm.clone();
    tokio::spawn(async move {
        Ok(DataKey::clone(&*cmm.encryption_materials(request_under(policy)).await?))
    })
}

#[tokio::test]
async fn a_named_suite_that_the_policy_forbids_fails_before_the_lookup() {
    for suite in AlgorithmSuiteId::ALL {
        for policy in POLICIES {
            let fixture = Fixture::new();
            let cmm = fixture.builder.build().unwrap();
            // Cached under whichever policy allows it.
            for policy in POLICIES {
                let mut request = request_under(policy);
                request.suite = Some(suite);
                let _ = cmm.encryption_materials(request).await;
            }
            let calls = fixture.manager.calls();
            let mut request = request_under(policy);
            request.suite = Some(suite);
            let answer = cmm.encryption_materials(request).await;
            if policy.on_encrypt().allows(suite) {
                assert_eq!(answer.unwrap().suite, suite);
            } else {
                assert_eq!(answer.unwrap_err(), Error::ForbiddenSuite { suite, policy });
                assert_eq!(fixture.manager.calls(), calls);
            }
        }
    }
}

#[tokio::test]
async fn a_message_of_a_suite_that_the_policy_forbids_is_refused_before_the_lookup() {
    for suite in AlgorithmSuiteId::ALL {
        for policy in POLICIES {
            let fixture = Fixture::new();
            let cmm = fixture.builder.build().unwrap();
            let key = DataKey { number: 7, suite, context: context(0) };
            let mut request = decryption(&key);
            request.commitment_policy = RequireEncryptAllowDecrypt;
            cmm.decryption_materials(request.clone()).await.unwrap();
            request.commitment_policy = policy;
            let answer = cmm.decryption_materials(request).await;
            if policy.on_decrypt().allows(suite) {
                assert_eq!(*answer.unwrap(), key);
            } else {
                assert_eq!(answer.unwrap_err(), Error::ForbiddenSuite { suite, policy });
                assert_eq!(fixture.manager.calls(), 1);
            }
        }
    }
}

#[tokio::test]
async fn a_forbidden_hit_is_bypassed_and_its_entry_stays() {
    for (first, second) in [
        (ForbidEncryptAllowDecrypt, RequireEncryptRequireDecrypt),
        (RequireEncryptRequireDecrypt, ForbidEncryptAllowDecrypt),
    ] {
        let fixture = Fixture::new();
        let cmm = fixture.builder.max_messages(2).build().unwrap();
        let cached = spawn(&cmm, first).await.unwrap().unwrap();
        for call in 1..4 {
            let key = spawn(&cmm, second).await.unwrap().unwrap();
            assert!(second.on_encrypt().allows(key.suite));
            assert_eq!(key.number, call, "each has a data key of its own");
        }
        assert_eq!(cmm.cache_stats().puts, 1);
        // Nobody has used the entry in the meantime, either.
        assert_eq!(spawn(&cmm, first).await.unwrap().unwrap(), cached);
    }
}

#[tokio::test]
async fn policies_that_allow_the_suite_share_an_entry() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    let one = spawn(&cmm, RequireEncryptAllowDecrypt).await.unwrap().unwrap();
    let two = spawn(&cmm, RequireEncryptRequireDecrypt).await.unwrap().unwrap();
    assert_eq!(one, two);
}

#[tokio::test]
async fn a_request_that_joins_a_call_for_a_forbidden_suite_makes_its_own() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.hold();
    let first = spawn(&cmm, ForbidEncryptAllowDecrypt);
    fixture.manager.called(1).await;
    let second = spawn(&cmm, RequireEncryptRequireDecrypt);
    while cmm.stats().requests < 2 {
        tokio::task::yield_now().await;
    }
    fixture.manager.release();
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    assert_eq!(first.suite, AlgorithmSuiteId::Aes256GcmHkdfSha384EcdsaP384);
    assert_eq!(second.suite, AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKeyEcdsaP384);
    assert_eq!(spawn(&cmm, ForbidEncryptAllowDecrypt).await.unwrap().unwrap(), first);
    assert_eq!(cmm.cache_stats().puts, 1);
}

#[tokio::test]
async fn a_call_that_fails_under_one_policy_says_nothing_about_another() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.refuse(RequireEncryptAllowDecrypt);
    fixture.manager.hold();
    let refused = spawn(&cmm, RequireEncryptAllowDecrypt);
    fixture.manager.called(1).await;
    let others = [
        spawn(&cmm, RequireEncryptRequireDecrypt),
        spawn(&cmm, ForbidEncryptAllowDecrypt),
        spawn(&cmm, RequireEncryptAllowDecrypt),
    ];
    while cmm.stats().requests < 4 {
        tokio::task::yield_now().await;
    }
    fixture.manager.release();
    assert_eq!(refused.await.unwrap(), Err(Error::Manager(Refusal::Policy)));
    let [one, two, three] = others;
    assert!(one.await.unwrap().is_ok());
    assert!(two.await.unwrap().is_ok());
    assert_eq!(three.await.unwrap(), Err(Error::Manager(Refusal::Policy)));
}

/// A manager may have a suite of its own that the policy forbids: what it answers is up to it, with
/// a cache as without.
#[tokio::test]
async fn a_manager_that_ignores_the_policy_is_asked_each_time() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.build().unwrap();
    fixture.manager.default_to(AlgorithmSuiteId::Aes256GcmHkdfSha256);
    for number in 0..3 {
        let key = spawn(&cmm, RequireEncryptRequireDecrypt).await.unwrap().unwrap();
        assert_eq!((key.number, key.suite), (number, AlgorithmSuiteId::Aes256GcmHkdfSha256));
    }
}

#[tokio::test]
async fn a_refresh_keeps_the_suite_of_the_policy_that_caused_it() {
    let fixture = Fixture::new();
    let grace_period = crate::fixture::MAX_AGE / 10;
    let cmm = fixture.builder.refresh_ahead(grace_period).build().unwrap();
    let first = spawn(&cmm, ForbidEncryptAllowDecrypt).await.unwrap().unwrap();
    fixture.clock.advance(crate::fixture::MAX_AGE - grace_period);
    // A bypass in the grace period refreshes nothing.
    spawn(&cmm, RequireEncryptRequireDecrypt).await.unwrap().unwrap();
    assert_eq!(cmm.stats().calls, 2);
    spawn(&cmm, ForbidEncryptAllowDecrypt).await.unwrap().unwrap();
    fixture.manager.called(3).await;
    while cmm.cache_stats().puts < 2 {
        tokio::task::yield_now().await;
    }
    let refreshed = cmm.encryption_materials(request_under(ForbidEncryptAllowDecrypt)).await;
    let refreshed = refreshed.unwrap();
    assert_ne!(refreshed.number, first.number);
    assert_eq!(refreshed.suite, first.suite);
    assert_eq!(cmm.encryption_materials(request(1)).await.unwrap().context, context(1));
}
