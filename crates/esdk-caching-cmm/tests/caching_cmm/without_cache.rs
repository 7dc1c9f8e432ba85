//! The caching CMM against its manager alone, for any sequence of requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use esdk_caching_cmm::{
    AlgorithmSuiteId, CachingCmm, Clock, CommitmentPolicy, EncryptionContext, Error, LocalCache,
    ManualClock, MaterialsManager, Timestamp,
};
use proptest::prelude::*;

use crate::fixture::{DataKey, Manager, Refusal, context, decryption, request};

#[derive(Debug, Clone)]
enum Step {
    /// These requests at once.
    Encrypt(Vec<Encrypt>),
    /// Decrypts one of the messages so far.
    Decrypt {
        message: prop::sample::Index,
        policy: CommitmentPolicy,
        reproduced: Option<usize>,
    },
    Wait {
        seconds: u64,
    },
    Clear,
}

#[derive(Debug, Clone)]
struct Encrypt {
    tenant: usize,
    suite: Option<AlgorithmSuiteId>,
    policy: CommitmentPolicy,
    bytes: Option<u64>,
}

fn policy() -> impl Strategy<Value = CommitmentPolicy> {
    prop::sample::select(vec![
        CommitmentPolicy::ForbidEncryptAllowDecrypt,
        CommitmentPolicy::RequireEncryptAllowDecrypt,
        CommitmentPolicy::RequireEncryptRequireDecrypt,
    ])
}

fn encrypt() -> impl Strategy<Value = Encrypt> {
    let suite = prop::option::of(prop::sample::select(AlgorithmSuiteId::ALL.to_vec()));
    let bytes = prop::option::weighted(0.9, 0..60u64);
    (0..2usize, suite, policy(), bytes).prop_map(|(tenant, suite, policy, bytes)| Encrypt {
        tenant,
        suite,
        policy,
        bytes,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let reproduced = prop::option::of(0..2usize);
    prop_oneof![
        6 => prop::collection::vec(encrypt(), 1..4).prop_map(Step::Encrypt),
        4 => (any::<prop::sample::Index>(), policy(), reproduced)
            .prop_map(|(message, policy, reproduced)| Step::Decrypt { message, policy, reproduced }),
        1 => (1..15u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Clear),
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
    serves: (AlgorithmSuiteId, EncryptionContext),
}

struct Run {
    clock: Arc<ManualClock>,
    cache: Arc<LocalCache>,
    cached: CachingCmm<Manager>,
    uncached: Manager,
    settings: Settings,
    messages: Vec<DataKey>,
    uses: HashMap<u64, Use>,
}

impl Run {
    fn new(settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::default());
        let cache = Arc::new(LocalCache::with_clock(settings.capacity, clock.clone()));
        let cached = CachingCmm::builder(Manager::default())
            .cache(cache.clone())
            .clock(clock.clone())
            .max_age(Duration::from_secs(settings.max_age))
            .max_messages(settings.max_messages)
            .max_bytes(settings.max_bytes)
            .build();
        Self {
            clock,
            cache,
            cached: cached.unwrap(),
            uncached: Manager::default(),
            settings,
            messages: Vec::new(),
            uses: HashMap::new(),
        }
    }

    async fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Encrypt(requests) => self.encrypt(&requests).await,
            Step::Decrypt { message, policy, reproduced } if !self.messages.is_empty() => {
                let message = message.get(&self.messages).clone();
                self.decrypt(&message, policy, reproduced).await
            }
            Step::Decrypt { .. } => Ok(()),
            Step::Wait { seconds } => {
                self.clock.advance(Duration::from_secs(seconds));
                Ok(())
            }
            Step::Clear => {
                self.cache.clear();
                Ok(())
            }
        }
    }

    async fn encrypt(&mut self, requests: &[Encrypt]) -> Result<(), TestCaseError> {
        let requests = requests.iter().map(|encrypt| {
            let mut request = request(encrypt.tenant);
            request.suite = encrypt.suite;
            request.commitment_policy = encrypt.policy;
            request.plaintext_length = encrypt.bytes;
            request
        });
        let requests: Vec<_> = requests.collect();
        let cached =
            requests.iter().map(|request| self.cached.encryption_materials(request.clone()));
        let cached = futures::future::join_all(cached).await;
        for (request, cached) in requests.into_iter().zip(cached) {
            let uncached = self.uncached.encryption_materials(&request).await;
            match (cached, uncached) {
                (Ok(key), Ok(other)) => {
                    prop_assert_eq!((key.suite, &key.context), (other.suite, &other.context));
                    self.count(&key, request.plaintext_length)?;
                    self.messages.push(DataKey::clone(&key));
                }
                (Err(error), Err(other)) => prop_assert_eq!(refusal(error), other),
                answers => prop_assert!(false, "{:?} for {:?}", answers, request),
            }
        }
        Ok(())
    }

    /// No data key goes beyond a limit, except that one which serves a single message may carry more
    /// bytes, or an unknown number.
    fn count(&mut self, key: &DataKey, bytes: Option<u64>) -> Result<(), TestCaseError> {
        let now = self.clock.now();
        let serves = (key.suite, key.context.clone());
        let used = self.uses.entry(key.number).or_insert_with(|| Use {
            first: now,
            messages: 0,
            bytes: Some(0),
            serves: serves.clone(),
        });
        prop_assert_eq!(&used.serves, &serves);
        used.messages += 1;
        used.bytes = used.bytes.zip(bytes).map(|(sum, bytes)| sum + bytes);
        let within = used.bytes.is_some_and(|bytes| bytes <= self.settings.max_bytes);
        prop_assert!(used.messages <= self.settings.max_messages);
        prop_assert!(used.messages == 1 || (within && !key.suite.has_identity_kdf()));
        prop_assert!(now.since(&used.first) < Duration::from_secs(self.settings.max_age));
        Ok(())
    }

    async fn decrypt(
        &self,
        message: &DataKey,
        policy: CommitmentPolicy,
        reproduced: Option<usize>,
    ) -> Result<(), TestCaseError> {
        let mut request = decryption(message);
        request.commitment_policy = policy;
        request.reproduced_context = reproduced.map(context).unwrap_or_default();
        let cached = self.cached.decryption_materials(request.clone()).await;
        let uncached = self.uncached.decryption_materials(&request).await;
        match cached {
            Ok(key) => prop_assert_eq!(Ok(DataKey::clone(&key)), uncached),
            Err(error) => prop_assert_eq!(Err(refusal(error)), uncached),
        }
        Ok(())
    }
}

/// What the manager says in the place of an error of the caching CMM.
fn refusal(error: Error<Refusal>) -> Refusal {
    match error {
        Error::Manager(refusal) => refusal,
        Error::ForbiddenSuite { .. } => Refusal::Suite,
        Error::ReproducedContext { .. } => Refusal::Context,
        error => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn cached_and_uncached_answers_are_alike(
        settings in settings(),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut run = Run::new(settings);
            for step in steps {
                run.step(step).await?;
            }
            prop_assert!(run.cached.stats().calls <= run.uncached.calls());
            Ok(())
        })?;
    }
}
