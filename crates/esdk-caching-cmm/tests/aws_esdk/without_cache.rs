//! The caching CMM against aws-esdk's default CMM alone, for any sequence of requests.

use std::collections::HashMap;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::Duration;

use aws_esdk::material_providers::operation::decrypt_materials::DecryptMaterialsInput;
use aws_esdk::material_providers::operation::get_encryption_materials::GetEncryptionMaterialsInput;
use aws_esdk::material_providers::types::cryptographic_materials_manager::{
    CryptographicMaterialsManager, CryptographicMaterialsManagerRef,
};
use aws_esdk::material_providers::types::error::Error as AwsError;
use aws_esdk::material_providers::types::{
    DecryptionMaterials, EncryptionMaterials, EsdkAlgorithmSuiteId, EsdkCommitmentPolicy,
};
use esdk_caching_cmm::{
    AlgorithmSuiteId, AwsEsdkManager, CachingCmm, Clock, CommitmentPolicy, DecryptionRequest,
    EncryptionRequest, Error, LocalCache, ManualClock, Timestamp,
};
use proptest::prelude::*;

use crate::fixture::{
    Cmm, context, decryption_input, encryption_input, esdk, keyring, policy, providers,
    wrapped_keys,
};

/// The suites under test, by both names: each kind, without the smaller keys of the same kind.
const SUITES: [(EsdkAlgorithmSuiteId, AlgorithmSuiteId); 5] = [
    (EsdkAlgorithmSuiteId::AlgAes256GcmIv12Tag16NoKdf, AlgorithmSuiteId::Aes256Gcm),
    (EsdkAlgorithmSuiteId::AlgAes256GcmIv12Tag16HkdfSha256, AlgorithmSuiteId::Aes256GcmHkdfSha256),
    (
        EsdkAlgorithmSuiteId::AlgAes256GcmIv12Tag16HkdfSha384EcdsaP384,
        AlgorithmSuiteId::Aes256GcmHkdfSha384EcdsaP384,
    ),
    (
        EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey,
        AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey,
    ),
    (
        EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384,
        AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKeyEcdsaP384,
    ),
];

const POLICIES: [(EsdkCommitmentPolicy, CommitmentPolicy); 3] = [
    (EsdkCommitmentPolicy::ForbidEncryptAllowDecrypt, CommitmentPolicy::ForbidEncryptAllowDecrypt),
    (
        EsdkCommitmentPolicy::RequireEncryptAllowDecrypt,
        CommitmentPolicy::RequireEncryptAllowDecrypt,
    ),
    (
        EsdkCommitmentPolicy::RequireEncryptRequireDecrypt,
        CommitmentPolicy::RequireEncryptRequireDecrypt,
    ),
];

/// The last one is reserved: no request to encrypt may have it.
const PAIRS: [(&str, &str); 3] = [("pair", "0"), ("pair", "1"), ("aws-crypto-public-key", "key")];

const REPRODUCED: [&[(&str, &str)]; 4] =
    [&[], &[("pair", "0")], &[("pair", "1")], &[("other", "pair")]];

#[derive(Debug, Clone)]
enum Step {
    Encrypt {
        pair: usize,
        suite: Option<usize>,
        policy: usize,
        bytes: Option<u64>,
        way: Way,
    },
    /// Decrypts one of the messages so far.
    Decrypt {
        message: prop::sample::Index,
        policy: usize,
        reproduced: usize,
        way: Way,
    },
    Wait {
        seconds: u64,
    },
}

/// The two interfaces of a caching CMM over aws-esdk.
#[derive(Debug, Clone, Copy)]
enum Way {
    Asynchronous,
    Trait,
}

fn step() -> impl Strategy<Value = Step> {
    let way = || prop::sample::select(vec![Way::Asynchronous, Way::Trait]);
    let suite = prop::option::of(0..SUITES.len());
    let bytes = prop::option::weighted(0.9, 0..60u64);
    let pair = prop_oneof![9 => 0..2usize, 1 => Just(2usize)];
    let reproduced = prop_oneof![2 => Just(0), 3 => 1..REPRODUCED.len()];
    prop_oneof![
        6 => (pair, suite, 0..POLICIES.len(), bytes, way()).prop_map(
            |(pair, suite, policy, bytes, way)| Step::Encrypt { pair, suite, policy, bytes, way },
        ),
        4 => (any::<prop::sample::Index>(), 0..POLICIES.len(), reproduced, way()).prop_map(
            |(message, policy, reproduced, way)| Step::Decrypt { message, policy, reproduced, way },
        ),
        1 => (1..15u64).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

#[derive(Debug, Clone)]
struct Settings {
    capacity: usize,
    max_age: u64,
    max_messages: u64,
    max_bytes: u64,
}

fn settings() -> impl Strategy<Value = Settings> {
    (0..5usize, 1..20u64, 1..6u64, 0..150u64).prop_map(
        |(capacity, max_age, max_messages, max_bytes)| Settings {
            capacity,
            max_age,
            max_messages,
            max_bytes,
        },
    )
}

/// What one data key has encrypted.
struct Use {
    first: Timestamp,
    messages: u64,
    bytes: Option<u64>,
}

struct Run {
    clock: Arc<ManualClock>,
    cached: Cmm,
    uncached: CryptographicMaterialsManagerRef,
    settings: Settings,
    messages: Vec<EncryptionMaterials>,
    uses: HashMap<Vec<u8>, Use>,
}

impl Run {
    async fn new(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::default());
        let cache = LocalCache::with_clock(settings.capacity, clock.clone());
        let cached =
            CachingCmm::builder(AwsEsdkManager::from_keyring(keyring().await).await.unwrap())
                .cache(Arc::new(cache))
                .clock(clock.clone())
                .max_age(Duration::from_secs(settings.max_age))
                .max_messages(settings.max_messages)
                .max_bytes(settings.max_bytes)
                .build()
                .unwrap();
        let uncached = providers().create_default_cryptographic_materials_manager();
        let uncached = uncached.keyring(keyring().await).send().await.unwrap();
        Self { clock, cached, uncached, settings, messages: vec![], uses: HashMap::new() }
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Encrypt { pair, suite, policy: named, bytes, way } => {
                let mut input = encryption_input(bytes.map(|bytes| i64::try_from(bytes).unwrap()));
                input.encryption_context = Some(context(&[PAIRS[pair]]));
                input.algorithm_suite_id = suite.map(|suite| esdk(SUITES[suite].0));
                input.commitment_policy = Some(policy(POLICIES[named].0));
                let mut request = EncryptionRequest::new(context(&[PAIRS[pair]]));
                request.suite = suite.map(|suite| SUITES[suite].1);
                request.commitment_policy = POLICIES[named].1;
                request.plaintext_length = bytes;
                self.encrypt(input, request, way).await
            }
            Step::Decrypt { message, policy: named, reproduced, way }
                if !self.messages.is_empty() =>
            {
                let message = message.get(&self.messages);
                let reproduced = context(REPRODUCED[reproduced]);
                let mut input = decryption_input(message);
                input.commitment_policy = Some(policy(POLICIES[named].0));
                input.reproduced_encryption_context = Some(reproduced.clone());
                let id = message.algorithm_suite.as_ref().unwrap().id.clone().unwrap();
                let (_, suite) = SUITES.iter().find(|(aws, _)| esdk(*aws) == id).unwrap();
                let pairs = message.encryption_context.clone().unwrap();
                let mut request = DecryptionRequest::new(*suite, wrapped_keys(message), pairs);
                request.commitment_policy = POLICIES[named].1;
                request.reproduced_context = reproduced;
                self.decrypt(input, request, way).await
            }
            Step::Decrypt { .. } => Ok(()),
            Step::Wait { seconds } => {
                self.clock.advance(Duration::from_secs(seconds));
                Ok(())
            }
        }
    }

    async fn encrypt(
        &mut self,
        input: GetEncryptionMaterialsInput,
        request: EncryptionRequest,
        way: Way,
    ) -> Result<(), TestCaseError> {
        let bytes = request.plaintext_length;
        // Of two reasons for a refusal, either may be the one that is given.
        let has_reserved_key = request.encryption_context.contains_key("aws-crypto-public-key");
        let uncached = self.uncached.inner.lock().unwrap().get_encryption_materials(input.clone());
        let cached: Result<EncryptionMaterials, AwsError> = match way {
            Way::Trait => {
                let output = self.cached.get_encryption_materials(input);
                output.map(|output| output.encryption_materials.unwrap())
            }
            Way::Asynchronous => match self.cached.encryption_materials(request).await {
                Ok(materials) => Ok(EncryptionMaterials::clone(&materials)),
                Err(Error::ForbiddenSuite { .. }) => {
                    Err(AwsError::InvalidAlgorithmSuiteInfoOnEncrypt { message: String::new() })
                }
                Err(error) => Err(of_manager(error)),
            },
        };
        match (cached, uncached.map(|output| output.encryption_materials.unwrap())) {
            (Ok(materials), Ok(other)) => {
                prop_assert_eq!(&materials.algorithm_suite, &other.algorithm_suite);
                prop_assert_eq!(materials.signing_key.is_some(), other.signing_key.is_some());
                prop_assert_eq!(callers_pairs(&materials), callers_pairs(&other));
                self.count(&materials, bytes)?;
                self.messages.push(materials);
            }
            (Err(_), Err(_)) if has_reserved_key => {}
            (Err(error), Err(other)) => {
                prop_assert_eq!(
                    discriminant(&error),
                    discriminant(&other),
                    "{:?} {:?}",
                    error,
                    other
                );
            }
            (cached, uncached) => {
                prop_assert!(false, "cached {}, uncached {}", cached.is_ok(), uncached.is_ok());
            }
        }
        Ok(())
    }

    /// No data key goes beyond a limit, except that one which serves a single message may carry more
    /// bytes, or an unknown number.
    fn count(
        &mut self,
        materials: &EncryptionMaterials,
        bytes: Option<u64>,
    ) -> Result<(), TestCaseError> {
        let now = self.clock.now();
        let key = materials.plaintext_data_key.clone().unwrap().into_inner();
        let used = self.uses.entry(key).or_insert(Use { first: now, messages: 0, bytes: Some(0) });
        used.messages += 1;
        used.bytes = used.bytes.zip(bytes).map(|(sum, bytes)| sum + bytes);
        prop_assert!(used.messages <= self.settings.max_messages);
        let within = used.bytes.is_some_and(|bytes| bytes <= self.settings.max_bytes);
        prop_assert!(within || used.messages == 1);
        prop_assert!(now.since(&used.first) < Duration::from_secs(self.settings.max_age));
        Ok(())
    }

    async fn decrypt(
        &self,
        input: DecryptMaterialsInput,
        request: DecryptionRequest,
        way: Way,
    ) -> Result<(), TestCaseError> {
        let uncached = self.uncached.inner.lock().unwrap().decrypt_materials(input.clone());
        let cached: Result<DecryptionMaterials, AwsError> = match way {
            Way::Trait => {
                let output = self.cached.decrypt_materials(input);
                output.map(|output| output.decryption_materials.unwrap())
            }
            Way::Asynchronous => match self.cached.decryption_materials(request).await {
                Ok(materials) => Ok(DecryptionMaterials::clone(&materials)),
                Err(Error::ForbiddenSuite { .. }) => {
                    Err(AwsError::InvalidAlgorithmSuiteInfoOnDecrypt { message: String::new() })
                }
                Err(Error::ReproducedContext { .. }) => {
                    let message = String::new();
                    Err(AwsError::AwsCryptographicMaterialProvidersException { message })
                }
                Err(error) => Err(of_manager(error)),
            },
        };
        match (cached, uncached.map(|output| output.decryption_materials.unwrap())) {
            (Ok(materials), Ok(other)) => prop_assert_eq!(materials, other),
            (Err(error), Err(other)) => {
                prop_assert_eq!(
                    discriminant(&error),
                    discriminant(&other),
                    "{:?} {:?}",
                    error,
                    other
                );
            }
            (cached, uncached) => {
                prop_assert!(false, "cached {}, uncached {}", cached.is_ok(), uncached.is_ok());
            }
        }
        Ok(())
    }
}

/// The context without the verification key, which is each data key's own.
fn callers_pairs(materials: &EncryptionMaterials) -> HashMap<String, String> {
    let mut pairs = materials.encryption_context.clone().unwrap();
    pairs.remove("aws-crypto-public-key");
    pairs
}

fn of_manager(error: Error<AwsError>) -> AwsError {
    match error {
        Error::Manager(error) => error,
        error => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn cached_and_uncached_answers_are_alike_through_aws_esdk(
        settings in settings(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(settings).await;
            for step in steps {
                run.step(step).await?;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}
