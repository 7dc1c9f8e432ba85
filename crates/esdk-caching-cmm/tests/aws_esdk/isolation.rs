//! Materials serve the requests that they were made for, and no others.

use std::collections::HashSet;
use std::sync::Arc;

use aws_esdk::material_providers::operation::get_encryption_materials::GetEncryptionMaterialsInput;
use aws_esdk::material_providers::types::cryptographic_materials_manager::{
    CryptographicMaterialsManager, CryptographicMaterialsManagerRef,
};
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::{EncryptionMaterials, EsdkAlgorithmSuiteId};
use aws_smithy_types::Blob;
use esdk_caching_cmm::{AwsEsdkManager, CachingCmm, CryptographicMaterialsCache, LocalCache};

use crate::fixture::{
    Cmm, Fixture, MAX_AGE, builder, context, decryption_input, encrypt, encryption_input, esdk,
    keyring, keyring_named, providers, sdk,
};

#[tokio::test]
async fn contexts_suites_and_partitions_do_not_share_data_keys() {
    let fixture = Fixture::new().await;
    let other_partition = fixture.builder.clone().build().unwrap();
    let cmm = fixture.builder.partition_id("shared").build().unwrap();
    let mut other_context = encryption_input(Some(1));
    other_context.encryption_context = Some(context(&[("stream", "other")]));
    let mut no_suite = encryption_input(Some(1));
    no_suite.algorithm_suite_id = None;

    let keys = [
        encrypt(&cmm, encryption_input(Some(1))),
        encrypt(&cmm, other_context),
        encrypt(&cmm, signed(encryption_input(Some(1)))),
        encrypt(&cmm, no_suite),
        encrypt(&other_partition, encryption_input(Some(1))),
    ]
    .map(|materials| materials.plaintext_data_key.unwrap().into_inner());
    let distinct: HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    assert_eq!(fixture.cache.stats().entries, 5);
}

#[tokio::test]
async fn managers_of_one_partition_share_and_others_do_not() {
    let fixture = Fixture::new().await;
    let shared = fixture.builder.clone().partition_id("shared");
    let (one, two) = (shared.clone().build().unwrap(), shared.build().unwrap());
    let by_default = fixture.builder.build().unwrap();
    let key = |cmm: &Cmm| encrypt(cmm, encryption_input(Some(1))).plaintext_data_key;
    assert_eq!(key(&one), key(&two));
    assert_ne!(key(&one), key(&by_default));
    assert_eq!(fixture.calls.counts().0, 2);
}

/// Two clients with keyrings of their own and one cache: each gets and reads its own.
#[tokio::test]
async fn a_shared_cache_keeps_clients_apart() {
    let cache = Arc::new(LocalCache::new(100));
    let mut cmms = Vec::new();
    for name in ["one", "two"] {
        let builder = builder(keyring_named(name).await).await;
        cmms.push(builder.cache(cache.clone()).max_age(MAX_AGE).build().unwrap());
    }
    let materials = [&cmms[0], &cmms[1]].map(|cmm| encrypt(cmm, encryption_input(Some(1))));
    cmms[0].decrypt_materials(decryption_input(&materials[0])).unwrap();
    // The second client cannot use the materials that the first has decrypted and cached.
    cmms[1].decrypt_materials(decryption_input(&materials[0])).unwrap_err();
    cmms[1].decrypt_materials(decryption_input(&materials[1])).unwrap();
}

#[tokio::test]
async fn messages_with_other_encrypted_data_keys_are_decrypted_anew() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.max_messages(1).build().unwrap();
    let [one, two] = [(); 2].map(|()| encrypt(&cmm, encryption_input(Some(1))));
    let key = |input| cmm.decrypt_materials(input).unwrap().decryption_materials.unwrap();
    assert_eq!(key(decryption_input(&one)).plaintext_data_key, one.plaintext_data_key);
    assert_eq!(key(decryption_input(&two)).plaintext_data_key, two.plaintext_data_key);

    // A key that does not open, beside one that does, makes another set of keys.
    let mut input = decryption_input(&one);
    let mut keys = input.encrypted_data_keys.take().unwrap();
    keys.push(keys[0].clone());
    keys[1].ciphertext = Some(Blob::new([0; 48]));
    input.encrypted_data_keys = Some(keys);
    key(input);
    assert_eq!(fixture.calls.counts().1, 3);
}

#[tokio::test]
async fn a_signing_key_is_cached_with_its_data_key() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    let [one, two] = [(); 2].map(|()| encrypt(&cmm, signed(encryption_input(Some(1)))));
    assert!(one.signing_key.is_some());
    assert_eq!(one.signing_key, two.signing_key);
    assert_eq!(one.encryption_context, two.encryption_context, "the verification key is in it");
    assert_eq!(fixture.calls.counts().0, 1);
}

#[tokio::test]
async fn required_context_keys_bypass_the_cache() {
    let fixture = Fixture::new().await;
    let cmm = fixture.builder.build().unwrap();
    let mut input = encryption_input(Some(1));
    input.required_encryption_context_keys = Some(vec!["stream".to_owned()]);
    encrypt(&cmm, input.clone());
    encrypt(&cmm, input);
    assert_eq!(fixture.calls.counts().0, 2);
}

#[tokio::test]
async fn reproduced_context_is_checked_on_a_hit_too() {
    let builder = builder(keyring().await).await;
    let cmm = builder.cache(Arc::new(LocalCache::new(9))).max_age(MAX_AGE).build().unwrap();
    let materials = encrypt(&cmm, encryption_input(Some(1)));
    let mut input = decryption_input(&materials);
    input.reproduced_encryption_context = Some(context(&[("stream", "records")]));
    cmm.decrypt_materials(input.clone()).unwrap();
    cmm.decrypt_materials(input.clone()).unwrap();
    assert_eq!(cmm.stats().calls, 2, "one to encrypt, one to decrypt");

    input.reproduced_encryption_context = Some(context(&[("stream", "other")]));
    let error = cmm.decrypt_materials(input.clone()).unwrap_err();
    assert!(matches!(error, Error::AwsCryptographicMaterialProvidersException { .. }), "{error:?}");

    // A pair that the message does not carry is part of what the data key is bound to: only the
    // keyring can tell whether it is the right one.
    input.reproduced_encryption_context = Some(context(&[("extra", "pair")]));
    cmm.decrypt_materials(input).unwrap_err();
    assert_eq!(cmm.stats().calls, 3);
}

/// Materials for a reader who reproduced the pair do not serve a reader who did not.
#[tokio::test]
async fn a_manager_below_may_require_that_context_is_reproduced() {
    let builder =
        CachingCmm::builder(AwsEsdkManager::from_cmm(requiring_stream(keyring_cmm().await).await))
            .cache(Arc::new(LocalCache::new(9)))
            .max_age(MAX_AGE);
    let cmm = builder.build().unwrap();
    // A message that carries the pair: it was written without that manager.
    let materials = materials_without_requirement().await;
    let mut input = decryption_input(&materials);
    cmm.decrypt_materials(input.clone()).unwrap_err();
    input.reproduced_encryption_context = Some(context(&[("stream", "records")]));
    cmm.decrypt_materials(input.clone()).unwrap();
    input.reproduced_encryption_context = None;
    cmm.decrypt_materials(input).unwrap_err();
}

/// On either side of the caching CMM, a required encryption context CMM does its work: the pair is
/// not in the message, and a reader who does not reproduce it cannot decrypt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn required_context_works_below_and_above() {
    let below =
        CachingCmm::builder(AwsEsdkManager::from_cmm(requiring_stream(keyring_cmm().await).await))
            .cache(Arc::new(LocalCache::new(9)))
            .max_age(MAX_AGE)
            .build()
            .unwrap();
    let inside = builder(keyring().await)
        .await
        .cache(Arc::new(LocalCache::new(9)))
        .max_age(MAX_AGE)
        .build()
        .unwrap();
    let cmms: [CryptographicMaterialsManagerRef; 2] =
        [below.clone().into(), requiring_stream(inside.clone().into()).await];
    for cmm in cmms {
        for text in ["one", "two"] {
            let encrypt = sdk().encrypt().plaintext(text.as_bytes()).materials_manager(cmm.clone());
            let pairs = context(&[("stream", "records"), ("carried", "pair")]);
            let message =
                encrypt.encryption_context(pairs).send().await.unwrap().ciphertext.unwrap();
            assert!(!message.as_ref().windows(7).any(|bytes| bytes == b"records"));

            let decrypt =
                || sdk().decrypt().ciphertext(message.clone()).materials_manager(cmm.clone());
            decrypt().send().await.unwrap_err();
            decrypt().encryption_context(context(&[("stream", "other")])).send().await.unwrap_err();
            let reproduced = decrypt().encryption_context(context(&[("stream", "records")]));
            let plaintext = reproduced.send().await.unwrap().plaintext.unwrap();
            assert_eq!(plaintext.as_ref(), text.as_bytes());
        }
    }
    assert_eq!(below.cache_stats().hits, 1, "its own encryption materials are cached");
    assert_eq!(inside.cache_stats().puts, 0, "requests that depend on more than the id are not");
}

fn signed(mut input: GetEncryptionMaterialsInput) -> GetEncryptionMaterialsInput {
    let suite = EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384;
    input.algorithm_suite_id = Some(esdk(suite));
    input
}

async fn materials_without_requirement() -> EncryptionMaterials {
    let manager = keyring_cmm().await;
    let output = manager.inner.lock().unwrap().get_encryption_materials(encryption_input(Some(1)));
    output.unwrap().encryption_materials.unwrap()
}

async fn keyring_cmm() -> CryptographicMaterialsManagerRef {
    let builder = providers().create_default_cryptographic_materials_manager();
    builder.keyring(keyring().await).send().await.unwrap()
}

async fn requiring_stream(
    underlying: CryptographicMaterialsManagerRef,
) -> CryptographicMaterialsManagerRef {
    providers()
        .create_required_encryption_context_cmm()
        .underlying_cmm(underlying)
        .required_encryption_context_keys(vec!["stream".to_owned()])
        .send()
        .await
        .unwrap()
}
