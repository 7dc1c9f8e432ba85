//! Codec by [`esdk_message`], with materials from the caching CMM.

use std::fmt;

use aws_esdk::material_providers::types::error::Error as MaterialsError;
use aws_esdk::material_providers::types::{DecryptionMaterials, EncryptionMaterials};
use aws_smithy_types::Blob;
use esdk_caching_cmm::{
    AlgorithmSuiteId, AwsEsdkManager, CachingCmm, DecryptionRequest,
    EncryptedDataKey as WrappedKey, EncryptionRequest, Error as CmmError,
};
use esdk_message::{
    DecryptionKey, EncryptedDataKey, EncryptionKey, Error, Limits, UnverifiedMessage,
};
use tokio::task::spawn_blocking;

use crate::codec::{no_data_key, no_usable_key};
use crate::context::Context;
use crate::error::CipherError;
use crate::options::Suite;

/// Longest plaintext or message that is computed on the async worker that asks, in bytes: some
/// tens of microseconds. Longer ones, and signatures, go to Tokio's blocking threads.
const MAX_ON_WORKER: usize = 64 << 10;

#[derive(Clone)]
pub(crate) struct Native {
    cmm: CachingCmm<AwsEsdkManager>,
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
    pub(super) fn new(cmm: CachingCmm<AwsEsdkManager>, suite: Suite, frame_length: u32) -> Self {
        Self { cmm, suite, frame_length }
    }

    pub(super) async fn encrypt(
        &self,
        context: Context,
        plaintext: Vec<u8>,
    ) -> Result<Vec<u8>, CipherError> {
        let length = plaintext.len();
        let request = encryption_request(self.suite, context, length);
        let materials = self
            .cmm
            .encryption_materials(request)
            .await
            .map_err(|error| failure(error, no_data_key))?;
        let key = materials.prepared(encryption_key)?;
        let frame_length = self.frame_length;
        compute(key.suite(), length, move || key.encrypt(&plaintext, frame_length))
            .await?
            .map_err(|_| CipherError::Internal("the message could not be encoded"))
    }

    pub(super) async fn decrypt(&self, bytes: Vec<u8>) -> Result<(Vec<u8>, Context), CipherError> {
        let message = UnverifiedMessage::parse(bytes, Limits::default())?;
        let suite = message.suite();
        let request = decryption_request(&message);
        let materials = self
            .cmm
            .decryption_materials(request)
            .await
            .map_err(|error| failure(error, no_usable_key))?;
        let key = materials.prepared(decryption_key)?;
        let length = message.bytes().len();
        let decrypted = compute(suite, length, move || message.decrypt(&key)).await??;
        let context = decrypted.encryption_context.into_iter().collect();
        Ok((decrypted.plaintext.into_vec(), context))
    }
}

/// Runs `work` where it starves nobody.
async fn compute<T: Send + 'static>(
    suite: esdk_message::Suite,
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CipherError> {
    match suite {
        esdk_message::Suite::Unsigned if bytes <= MAX_ON_WORKER => Ok(work()),
        _ => {
            spawn_blocking(work).await.map_err(|_| CipherError::Internal("a computation panicked"))
        }
    }
}

/// An error of the caching CMM itself says nothing about the record.
fn failure(
    error: CmmError<MaterialsError>,
    of_manager: impl FnOnce(&MaterialsError) -> CipherError,
) -> CipherError {
    match error {
        CmmError::Manager(error) => of_manager(&error),
        _ => CipherError::Internal("the call for a data key did not finish"),
    }
}

fn encryption_request(
    suite: Suite,
    context: Context,
    plaintext_length: usize,
) -> EncryptionRequest {
    let mut request = EncryptionRequest::new(context);
    request.suite = Some(match suite {
        Suite::Signed => AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKeyEcdsaP384,
        Suite::Unsigned => AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey,
    });
    request.plaintext_length = Some(plaintext_length as u64);
    request
}

fn decryption_request(message: &UnverifiedMessage<impl AsRef<[u8]>>) -> DecryptionRequest {
    let suite = match message.suite() {
        esdk_message::Suite::Unsigned => AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey,
        _ => AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKeyEcdsaP384,
    };
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let context = message.encryption_context().map(owned).collect();
    let wrapped = |key: EncryptedDataKey<'_>| {
        WrappedKey::new(key.provider_id, key.provider_info, key.ciphertext)
    };
    let keys = message.encrypted_data_keys().map(wrapped).collect();
    DecryptionRequest::new(suite, keys, context)
}

/// Done once per data key: the materials keep the result.
fn encryption_key(materials: &EncryptionMaterials) -> Result<EncryptionKey, CipherError> {
    let prepare = || {
        let keys = materials.encrypted_data_keys.as_ref()?;
        let keys: Option<Vec<_>> = keys
            .iter()
            .map(|key| {
                Some(EncryptedDataKey {
                    provider_id: key.key_provider_id.as_ref()?,
                    provider_info: key.key_provider_info.as_ref()?.as_ref(),
                    ciphertext: key.ciphertext.as_ref()?.as_ref(),
                })
            })
            .collect();
        let context = materials.encryption_context.as_ref()?;
        let pairs = context.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let signing_key = materials.signing_key.as_ref().map(Blob::as_ref);
        let data_key = materials.plaintext_data_key.as_ref()?;
        Some(EncryptionKey::new(data_key.as_ref(), signing_key, pairs, &keys?))
    };
    prepare()
        .and_then(Result::ok)
        .ok_or(CipherError::Internal("the materials do not fit the message format"))
}

/// Done once per data key: the materials keep the result.
fn decryption_key(materials: &DecryptionMaterials) -> Result<DecryptionKey, CipherError> {
    let verification_key = materials.verification_key.as_ref().map(Blob::as_ref);
    let data_key = materials
        .plaintext_data_key
        .as_ref()
        .ok_or(CipherError::Internal("the materials contain no data key"))?;
    DecryptionKey::new(data_key.as_ref(), verification_key).map_err(CipherError::from)
}

impl From<Error> for CipherError {
    fn from(error: Error) -> Self {
        match error {
            Error::Crypto => Self::Internal("the cryptographic library failed"),
            error => Self::Message(error),
        }
    }
}
