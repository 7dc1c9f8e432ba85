//! The caching CMM against the same without a cache, for any sequence of requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManager;
use aws_esdk::material_providers::types::{EncryptionMaterials, EsdkAlgorithmSuiteId};
use esdk_caching_cmm::{Clock, LocalCache, ManualClock, NoCache, Timestamp};
use proptest::prelude::*;

use crate::fixture::{
    Cmm, builder, context, decryption_input, encrypt, encryption_input, esdk, keyring,
};

#[derive(Debug, Clone)]
enum Step {
    Encrypt {
        context: u8,
        signed: bool,
        bytes: Option<u64>,
    },
    /// Decrypts one of the messages so far.
    Decrypt {
        message: prop::sample::Index,
    },
    Wait {
        seconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..2u8, any::<bool>(), prop::option::weighted(0.9, 0..60u64))
            .prop_map(|(context, signed, bytes)| Step::Encrypt { context, signed, bytes }),
        3 => any::<prop::sample::Index>().prop_map(|message| Step::Decrypt { message }),
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
    uncached: Cmm,
    settings: Settings,
    messages: Vec<EncryptionMaterials>,
    uses: HashMap<Vec<u8>, Use>,
}

impl Run {
    async fn new(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::default());
        let cache = LocalCache::with_clock(settings.capacity, clock.clone());
        let builder = builder(keyring().await)
            .await
            .clock(clock.clone())
            .max_age(Duration::from_secs(settings.max_age))
            .max_messages(settings.max_messages)
            .max_bytes(settings.max_bytes);
        let cached = builder.clone().cache(Arc::new(cache)).build().unwrap();
        let uncached = builder.cache(Arc::new(NoCache::default())).build().unwrap();
        Self { clock, cached, uncached, settings, messages: vec![], uses: HashMap::new() }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            &Step::Encrypt { context, signed, bytes } => self.encrypt(context, signed, bytes),
            Step::Decrypt { message } if !self.messages.is_empty() => {
                self.decrypt(&message.get(&self.messages).clone())
            }
            Step::Decrypt { .. } => Ok(()),
            Step::Wait { seconds } => {
                self.clock.advance(Duration::from_secs(*seconds));
                Ok(())
            }
        }
    }

    fn encrypt(&mut self, pair: u8, signed: bool, bytes: Option<u64>) -> Result<(), TestCaseError> {
        let mut input = encryption_input(bytes.map(|bytes| i64::try_from(bytes).unwrap()));
        input.encryption_context = Some(context(&[("pair", &pair.to_string())]));
        if signed {
            let suite = EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384;
            input.algorithm_suite_id = Some(esdk(suite));
        }
        encrypt(&self.uncached, input.clone());
        let materials = encrypt(&self.cached, input.clone());
        prop_assert_eq!(
            materials.algorithm_suite.as_ref().unwrap().id.clone(),
            input.algorithm_suite_id
        );
        let pairs = materials.encryption_context.as_ref().unwrap();
        prop_assert_eq!(pairs.get("pair"), Some(&pair.to_string()));
        prop_assert_eq!(materials.signing_key.is_some(), signed);
        self.count(&materials, bytes)?;
        self.messages.push(materials);
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

    fn decrypt(&self, message: &EncryptionMaterials) -> Result<(), TestCaseError> {
        let decrypt = |cmm: &Cmm| {
            cmm.decrypt_materials(decryption_input(message)).unwrap().decryption_materials.unwrap()
        };
        let materials = decrypt(&self.cached);
        prop_assert_eq!(&materials, &decrypt(&self.uncached));
        prop_assert_eq!(&materials.plaintext_data_key, &message.plaintext_data_key);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_materials_with_no_more_calls_and_within_limits(
        settings in settings(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(settings).await;
            steps.iter().try_for_each(|step| run.step(step))?;
            prop_assert!(run.cached.stats().calls <= run.uncached.stats().calls);
            Ok(())
        })?;
    }
}
