//! A caching CMM over a raw AES keyring whose calls are counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use aws_esdk::AwsEncryptionSdkConfig;
use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::operation::decrypt_materials::{
    DecryptMaterialsInput, DecryptMaterialsOutput,
};
use aws_esdk::material_providers::operation::get_encryption_materials::{
    GetEncryptionMaterialsInput, GetEncryptionMaterialsOutput,
};
use aws_esdk::material_providers::types::cryptographic_materials_manager::{
    CryptographicMaterialsManager, CryptographicMaterialsManagerRef,
};
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{
    AesWrappingAlg, AlgorithmSuiteId, CommitmentPolicy, EncryptionMaterials, EsdkAlgorithmSuiteId,
    EsdkCommitmentPolicy,
};
use aws_smithy_types::Blob;
use esdk_caching_cmm::{
    AlgorithmSuiteId as AlgorithmSuite, AwsEsdkManager, CachingCmm, CachingCmmBuilder,
    DecryptionRequest, EncryptedDataKey, EncryptionRequest, LocalCache, ManualClock,
};

pub(crate) type Cmm = CachingCmm<AwsEsdkManager>;

pub(crate) const MAX_AGE: Duration = Duration::from_secs(300);

/// What the manager under the cache was asked for.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) encryption: AtomicUsize,
    pub(crate) decryption: AtomicUsize,
    pub(crate) plaintext_lengths: Mutex<Vec<Option<i64>>>,
    pub(crate) fail: Mutex<Option<Error>>,
    panic: AtomicBool,
    gate: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Calls {
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.encryption.load(SeqCst), self.decryption.load(SeqCst))
    }

    /// Holds the next call back until the guard is dropped.
    pub(crate) fn block(&self) -> mpsc::Sender<()> {
        let (guard, gate) = mpsc::channel();
        *self.gate.lock().unwrap() = Some(gate);
        guard
    }

    /// Makes the next call panic.
    pub(crate) fn panic_once(&self) {
        self.panic.store(true, SeqCst);
    }

    fn arrive(&self) {
        let gate = self.gate.lock().unwrap().take();
        gate.map(|gate| gate.recv().unwrap_err());
        assert!(!self.panic.swap(false, SeqCst), "a panic of the manager");
    }
}

struct Counting {
    inner: CryptographicMaterialsManagerRef,
    calls: Arc<Calls>,
}

impl CryptographicMaterialsManager for Counting {
    fn get_encryption_materials(
        &self,
        input: GetEncryptionMaterialsInput,
    ) -> Result<GetEncryptionMaterialsOutput, Error> {
        self.calls.encryption.fetch_add(1, SeqCst);
        self.calls.arrive();
        self.calls.plaintext_lengths.lock().unwrap().push(input.max_plaintext_length);
        if let Some(error) = self.calls.fail.lock().unwrap().take() {
            return Err(error);
        }
        self.inner.inner.lock().unwrap().get_encryption_materials(input)
    }

    fn decrypt_materials(
        &self,
        input: DecryptMaterialsInput,
    ) -> Result<DecryptMaterialsOutput, Error> {
        self.calls.decryption.fetch_add(1, SeqCst);
        self.calls.arrive();
        self.inner.inner.lock().unwrap().decrypt_materials(input)
    }
}

pub(crate) async fn keyring() -> KeyringRef {
    keyring_named("key").await
}

pub(crate) async fn keyring_named(name: &str) -> KeyringRef {
    providers()
        .create_raw_aes_keyring()
        .key_namespace("tests")
        .key_name(name)
        .wrapping_key(Blob::new([7; 32]))
        .wrapping_alg(AesWrappingAlg::AlgAes256GcmIv12Tag16)
        .send()
        .await
        .unwrap()
}

pub(crate) fn sdk() -> aws_esdk::Client {
    aws_esdk::Client::from_conf(AwsEncryptionSdkConfig::builder().build().unwrap()).unwrap()
}

pub(crate) fn providers() -> MaterialProviders {
    MaterialProviders::from_conf(MaterialProvidersConfig::builder().build().unwrap()).unwrap()
}

pub(crate) struct Fixture {
    pub(crate) builder: CachingCmmBuilder<AwsEsdkManager>,
    pub(crate) cache: Arc<LocalCache>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) calls: Arc<Calls>,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let inner = providers()
            .create_default_cryptographic_materials_manager()
            .keyring(keyring().await)
            .send()
            .await
            .unwrap();
        let calls = Arc::new(Calls::default());
        let clock = Arc::new(ManualClock::default());
        let cache = Arc::new(LocalCache::with_clock(100, clock.clone()));
        let builder =
            CachingCmm::builder(AwsEsdkManager::from_cmm(Counting { inner, calls: calls.clone() }))
                .cache(cache.clone())
                .max_age(MAX_AGE)
                .clock(clock.clone());
        Self { builder, cache, clock, calls }
    }
}

/// A caching CMM over a keyring, as far as its settings are those of every test.
pub(crate) async fn builder(keyring: KeyringRef) -> CachingCmmBuilder<AwsEsdkManager> {
    CachingCmm::builder(AwsEsdkManager::from_keyring(keyring).await.unwrap())
}

pub(crate) fn context(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn encryption_input(bytes: Option<i64>) -> GetEncryptionMaterialsInput {
    GetEncryptionMaterialsInput::builder()
        .algorithm_suite_id(esdk(EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey))
        .commitment_policy(policy(EsdkCommitmentPolicy::RequireEncryptRequireDecrypt))
        .encryption_context(context(&[("stream", "records")]))
        .set_max_plaintext_length(bytes)
        .build()
        .unwrap()
}

/// The request of [`encryption_input`] for the asynchronous way.
pub(crate) fn encryption_request(bytes: u64) -> EncryptionRequest {
    let mut request = EncryptionRequest::new(context(&[("stream", "records")]));
    request.suite = Some(AlgorithmSuite::Aes256GcmHkdfSha512CommitKey);
    request.plaintext_length = Some(bytes);
    request
}

/// The request of [`decryption_input`] for the asynchronous way.
pub(crate) fn decryption_request(materials: &EncryptionMaterials) -> DecryptionRequest {
    let context = materials.encryption_context.clone().unwrap();
    let suite = AlgorithmSuite::Aes256GcmHkdfSha512CommitKey;
    DecryptionRequest::new(suite, wrapped_keys(materials), context)
}

pub(crate) fn wrapped_keys(materials: &EncryptionMaterials) -> Vec<EncryptedDataKey> {
    let keys = materials.encrypted_data_keys.as_ref().unwrap().iter().map(|key| {
        let bytes = |blob: &Option<Blob>| blob.clone().unwrap().into_inner();
        let provider = key.key_provider_id.clone().unwrap();
        EncryptedDataKey::new(provider, bytes(&key.key_provider_info), bytes(&key.ciphertext))
    });
    keys.collect()
}

pub(crate) fn decryption_input(materials: &EncryptionMaterials) -> DecryptMaterialsInput {
    DecryptMaterialsInput::builder()
        .algorithm_suite_id(materials.algorithm_suite.clone().unwrap().id.unwrap())
        .commitment_policy(policy(EsdkCommitmentPolicy::RequireEncryptRequireDecrypt))
        .encryption_context(materials.encryption_context.clone().unwrap())
        .encrypted_data_keys(materials.encrypted_data_keys.clone().unwrap())
        .build()
        .unwrap()
}

pub(crate) fn esdk(suite: EsdkAlgorithmSuiteId) -> AlgorithmSuiteId {
    AlgorithmSuiteId::Esdk(suite)
}

pub(crate) fn policy(policy: EsdkCommitmentPolicy) -> CommitmentPolicy {
    CommitmentPolicy::Esdk(policy)
}

pub(crate) fn encrypt(cmm: &Cmm, input: GetEncryptionMaterialsInput) -> EncryptionMaterials {
    cmm.get_encryption_materials(input).unwrap().encryption_materials.unwrap()
}
