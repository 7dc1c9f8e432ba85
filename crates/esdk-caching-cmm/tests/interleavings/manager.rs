//! A manager that makes a new data key at each call, or fails, or panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use crate::manager::{
    DecryptionRequest, EncryptionContext, EncryptionRequest, Materials, MaterialsManager,
};
use crate::suite::AlgorithmSuiteId;

#[derive(Clone, Default)]
pub(crate) struct Manager(Arc<State>);

#[derive(Default)]
struct State {
    calls: AtomicU64,
    in_flight: AtomicU64,
    most_in_flight: AtomicU64,
    fail: AtomicBool,
    panic: AtomicBool,
}

/// A data key: the number of the call that made it.
pub(crate) struct DataKey(pub(crate) u64);

impl Materials for DataKey {
    fn suite(&self) -> Option<AlgorithmSuiteId> {
        Some(AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("down")]
pub(crate) struct Down;

impl Manager {
    pub(crate) fn calls(&self) -> u64 {
        self.0.calls.load(SeqCst)
    }

    pub(crate) fn most_in_flight(&self) -> u64 {
        self.0.most_in_flight.load(SeqCst)
    }

    pub(crate) fn fail_once(&self) {
        self.0.fail.store(true, SeqCst);
    }

    pub(crate) fn panic_once(&self) {
        self.0.panic.store(true, SeqCst);
    }
}

impl MaterialsManager for Manager {
    type EncryptionMaterials = DataKey;
    type DecryptionMaterials = DataKey;
    type Error = Down;

    async fn encryption_materials(&self, _: &EncryptionRequest) -> Result<DataKey, Down> {
        let call = self.0.calls.fetch_add(1, SeqCst);
        let in_flight = self.0.in_flight.fetch_add(1, SeqCst) + 1;
        self.0.most_in_flight.fetch_max(in_flight, SeqCst);
        shuttle::future::yield_now().await;
        self.0.in_flight.fetch_sub(1, SeqCst);
        assert!(!self.0.panic.swap(false, SeqCst), "a panic of the manager");
        if self.0.fail.swap(false, SeqCst) {
            return Err(Down);
        }
        Ok(DataKey(call))
    }

    async fn decryption_materials(&self, _: &DecryptionRequest) -> Result<DataKey, Down> {
        unreachable!("these tests only encrypt")
    }
}

/// A request for a message of one byte.
pub(crate) fn request(tenant: usize) -> EncryptionRequest {
    let context = EncryptionContext::from([("tenant".to_owned(), tenant.to_string())]);
    let mut request = EncryptionRequest::new(context);
    request.plaintext_length = Some(1);
    request
}
