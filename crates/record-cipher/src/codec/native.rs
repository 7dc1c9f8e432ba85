//! Messages by [`esdk_message`], with data keys from the caching CMM.

use std::fmt;

use bytes::Bytes;
use esdk_caching_cmm::{
    AlgorithmSuiteId, CacheStats, CachingCmm, CmmStats, DecryptionRequest, EncryptedDataKey,
    EncryptionContext, EncryptionRequest, Error,
};
use esdk_message::Suite;
use tokio::task::spawn_blocking;

use super::Message;
use crate::encrypted::Encrypted;
use crate::error::CipherError;
use crate::materials::Keyring;

/// Maximum length of a plaintext or message that the calling task processes itself, in bytes: some
/// tens of microseconds. Longer ones, and signatures, go to Tokio's blocking threads.
const MAX_ON_WORKER: usize = 64 << 10;

#[derive(Clone)]
pub(crate) struct Native {
    cmm: CachingCmm<Keyring>,
    suite: Suite,
    frame_length: u32,
}

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Native")
            .field("suite", &self.suite)
            .field("frame_length", &self.frame_length)
            .finish_non_exhaustive()
    }
}

impl Native {
    pub(crate) fn new(cmm: CachingCmm<Keyring>, suite: Suite, frame_length: u32) -> Self {
        Self { cmm, suite, frame_length }
    }

    pub(super) async fn encrypt(
        &self,
        context: EncryptionContext,
        plaintext: Bytes,
    ) -> Result<Encrypted, CipherError> {
        let length = plaintext.len();
        let mut request = EncryptionRequest::new(context);
        request.suite = Some(suite_id(self.suite));
        request.plaintext_length = u64::try_from(length).ok();
        let materials = self.cmm.encryption_materials(request).await?;
        let missing_regions = materials.missing_regions.clone();
        let frame_length = self.frame_length;
        let encrypt = move || materials.key.encrypt(&plaintext, frame_length);
        let message = compute(self.suite, length, encrypt).await??;
        Ok(Encrypted { message, missing_regions })
    }

    pub(super) async fn decrypt(
        &self,
        message: Message,
    ) -> Result<(Vec<u8>, EncryptionContext), CipherError> {
        let materials = self.cmm.decryption_materials(decryption_request(&message)).await?;
        let (suite, length) = (message.suite(), message.bytes().len());
        let decrypted = compute(suite, length, move || message.decrypt(&materials.0)).await??;
        let context = decrypted.encryption_context.into_iter().collect();
        Ok((decrypted.plaintext.into_vec(), context))
    }

    pub(super) fn stats(&self) -> (CmmStats, CacheStats) {
        (self.cmm.stats(), self.cmm.cache_stats())
    }
}

/// Runs `work` where it does not hold up other tasks.
async fn compute<T: Send + 'static>(
    suite: Suite,
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CipherError> {
    match suite {
        Suite::Unsigned if bytes <= MAX_ON_WORKER => Ok(work()),
        _ => spawn_blocking(work)
            .await
            .map_err(|_| CipherError::Internal("a computation panicked or was cut off")),
    }
}

fn decryption_request(message: &Message) -> DecryptionRequest {
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let keys = message.encrypted_data_keys();
    let keys =
        keys.map(|key| EncryptedDataKey::new(key.provider_id, key.provider_info, key.ciphertext));
    DecryptionRequest::new(
        suite_id(message.suite()),
        keys.collect(),
        message.encryption_context().map(owned).collect(),
    )
}

fn suite_id(suite: Suite) -> AlgorithmSuiteId {
    AlgorithmSuiteId::from_id(suite.id()).expect("the caching CMM knows every suite")
}

impl From<Error<Self>> for CipherError {
    fn from(error: Error<Self>) -> Self {
        match error {
            Error::Manager(error) => error,
            _ => Self::Internal("the call for a data key panicked or was cut off"),
        }
    }
}

impl From<esdk_message::Error> for CipherError {
    fn from(error: esdk_message::Error) -> Self {
        match error {
            esdk_message::Error::Crypto => Self::Internal("the cryptographic library failed"),
            error => Self::Message(error),
        }
    }
}
