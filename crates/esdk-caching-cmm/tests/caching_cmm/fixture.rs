//! A caching CMM over a manager that tests direct.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use esdk_caching_cmm::{
    AlgorithmSuiteId, CachingCmm, CachingCmmBuilder, CommitmentPolicy, DecryptionRequest,
    EncryptedDataKey, EncryptionContext, EncryptionRequest, LocalCache, ManualClock, Materials,
    MaterialsManager,
};
use tokio::sync::watch;

pub(crate) const MAX_AGE: Duration = Duration::from_secs(300);

/// Makes data keys that are numbers. Does what a default CMM does with suites, policies and
/// reproduced context.
#[derive(Clone, Default)]
pub(crate) struct Manager(Arc<State>);

#[derive(Default)]
struct State {
    calls: AtomicU64,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
    lengths: Mutex<Vec<Option<u64>>>,
    fail: AtomicBool,
    panic: AtomicBool,
    latency: Mutex<Duration>,
    gate: watch::Sender<bool>,
    refuses: Mutex<Option<CommitmentPolicy>>,
    default_suite: Mutex<Option<AlgorithmSuiteId>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("down")]
    Down,
    #[error("suite")]
    Suite,
    #[error("policy")]
    Policy,
    #[error("reproduced context")]
    Context,
    #[error("no key")]
    NoKey,
}

/// A data key, and the request that it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataKey {
    pub(crate) number: u64,
    pub(crate) suite: AlgorithmSuiteId,
    pub(crate) context: EncryptionContext,
}

impl Materials for DataKey {
    fn suite(&self) -> Option<AlgorithmSuiteId> {
        Some(self.suite)
    }
}

impl Manager {
    pub(crate) fn calls(&self) -> u64 {
        self.0.calls.load(SeqCst)
    }

    pub(crate) fn most_in_flight(&self) -> u64 {
        self.0.most_in_flight.load(SeqCst)
    }

    pub(crate) fn lengths(&self) -> Vec<Option<u64>> {
        self.0.lengths.lock().unwrap().clone()
    }

    pub(crate) fn fail_once(&self) {
        self.0.fail.store(true, SeqCst);
    }

    pub(crate) fn panic_once(&self) {
        self.0.panic.store(true, SeqCst);
    }

    pub(crate) fn take(&self, latency: Duration) {
        *self.0.latency.lock().unwrap() = latency;
    }

    /// Holds all calls back until [`release`](Self::release).
    pub(crate) fn hold(&self) {
        self.0.gate.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.0.gate.send_replace(false);
    }

    /// Fails every request of this policy.
    pub(crate) fn refuse(&self, policy: CommitmentPolicy) {
        *self.0.refuses.lock().unwrap() = Some(policy);
    }

    /// Uses this suite whenever none is named, whatever the policy.
    pub(crate) fn default_to(&self, suite: AlgorithmSuiteId) {
        *self.0.default_suite.lock().unwrap() = Some(suite);
    }

    /// Waits until this many calls have begun.
    pub(crate) async fn called(&self, calls: u64) {
        for _ in 0..100_000 {
            if self.calls() >= calls {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("{} of {calls} calls have begun", self.calls());
    }

    async fn arrive(&self, policy: CommitmentPolicy) -> Result<u64, Refusal> {
        let number = self.0.calls.fetch_add(1, SeqCst);
        let in_flight = self.0.in_flight.fetch_add(1, SeqCst) + 1;
        self.0.most_in_flight.fetch_max(in_flight, SeqCst);
        let latency = *self.0.latency.lock().unwrap();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.0.gate.subscribe().wait_for(|held| !held).await.unwrap();
        self.0.in_flight.fetch_sub(1, SeqCst);
        assert!(!self.0.panic.swap(false, SeqCst), "a panic of the manager");
        if self.0.fail.swap(false, SeqCst) {
            return Err(Refusal::Down);
        }
        let refused = *self.0.refuses.lock().unwrap() == Some(policy);
        if refused { Err(Refusal::Policy) } else { Ok(number) }
    }

    fn default_suite(&self, policy: CommitmentPolicy) -> AlgorithmSuiteId {
        let configured = *self.0.default_suite.lock().unwrap();
        configured.unwrap_or(match policy {
            CommitmentPolicy::ForbidEncryptAllowDecrypt => {
                AlgorithmSuiteId::Aes256GcmHkdfSha384EcdsaP384
            }
            _ => AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKeyEcdsaP384,
        })
    }
}

impl MaterialsManager for Manager {
    type EncryptionMaterials = DataKey;
    type DecryptionMaterials = DataKey;
    type Error = Refusal;

    async fn encryption_materials(&self, request: &EncryptionRequest) -> Result<DataKey, Refusal> {
        let policy = request.commitment_policy;
        self.0.lengths.lock().unwrap().push(request.plaintext_length);
        let number = self.arrive(policy).await?;
        if request.suite.is_some_and(|suite| !policy.on_encrypt().allows(suite)) {
            return Err(Refusal::Suite);
        }
        let suite = request.suite.unwrap_or_else(|| self.default_suite(policy));
        Ok(DataKey { number, suite, context: request.encryption_context.clone() })
    }

    async fn decryption_materials(&self, request: &DecryptionRequest) -> Result<DataKey, Refusal> {
        let policy = request.commitment_policy;
        self.arrive(policy).await?;
        if !policy.on_decrypt().allows(request.suite) {
            return Err(Refusal::Suite);
        }
        let context = &request.encryption_context;
        let equals = |(key, value): (&String, &String)| context.get(key) == Some(value);
        if !request.reproduced_context.iter().all(equals) {
            return Err(Refusal::Context);
        }
        let key = request.encrypted_data_keys.first().ok_or(Refusal::NoKey)?;
        let number = key.ciphertext.clone().try_into().map_err(|_| Refusal::NoKey)?;
        let number = u64::from_be_bytes(number);
        Ok(DataKey { number, suite: request.suite, context: context.clone() })
    }

    fn only_compares_reproduced_context(&self) -> bool {
        true
    }
}

pub(crate) struct Fixture {
    pub(crate) builder: CachingCmmBuilder<Manager>,
    pub(crate) cache: Arc<LocalCache>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) manager: Manager,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let manager = Manager::default();
        let clock = Arc::new(ManualClock::default());
        let cache = Arc::new(LocalCache::with_clock(1000, clock.clone()));
        let builder = CachingCmm::builder(manager.clone())
            .cache(cache.clone())
            .max_age(MAX_AGE)
            .clock(clock.clone());
        Self { builder, cache, clock, manager }
    }
}

pub(crate) fn context(tenant: usize) -> EncryptionContext {
    EncryptionContext::from([("tenant".to_owned(), tenant.to_string())])
}

/// A request for a message of one byte, of no named suite.
pub(crate) fn request(tenant: usize) -> EncryptionRequest {
    let mut request = EncryptionRequest::new(context(tenant));
    request.plaintext_length = Some(1);
    request
}

pub(crate) fn request_under(policy: CommitmentPolicy) -> EncryptionRequest {
    let mut request = request(0);
    request.commitment_policy = policy;
    request
}

/// A request to decrypt a message under `key`.
pub(crate) fn decryption(key: &DataKey) -> DecryptionRequest {
    let wrapped = EncryptedDataKey::new("tests", "key", key.number.to_be_bytes());
    DecryptionRequest::new(key.suite, vec![wrapped], key.context.clone())
}
