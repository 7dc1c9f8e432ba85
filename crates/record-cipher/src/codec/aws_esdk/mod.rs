//! Messages by the AWS Encryption SDK's own `encrypt` and `decrypt`, over its own keyrings.
//!
//! The SDK computes, and calls KMS, on the thread that polls it, so all of it runs on Tokio's
//! blocking threads.

mod error;
mod keyring;

use std::fmt;

use ::aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManagerRef;
use ::aws_esdk::material_providers::types::{EsdkAlgorithmSuiteId, EsdkCommitmentPolicy};
use ::aws_esdk::{AwsEncryptionSdkConfig, Client};
use aws_smithy_types::Blob;
use bytes::Bytes;
use esdk_caching_cmm::{AwsEsdkManager, CacheStats, CachingCmm, CmmStats, EncryptionContext};
use esdk_message::Suite;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::spawn_blocking;

use super::MAX_ENCRYPTED_DATA_KEYS;
use crate::encrypted::Encrypted;
use crate::error::{CipherError, SetupError};

use error::{decryption_error, encryption_error, refused};
pub(crate) use keyring::manager;

/// The SDK recurses once per frame, about 600 bytes deep in a build without optimisation: more
/// frames than this could overflow [`STACK`], and so end the process.
pub(super) const MAX_FRAMES: u32 = 16_384;

/// Three times what [`MAX_FRAMES`] need, in bytes.
const STACK: usize = 32 << 20;

#[derive(Clone)]
pub(crate) struct AwsEsdk {
    client: Client,
    cmm: CachingCmm<AwsEsdkManager>,
    suite: EsdkAlgorithmSuiteId,
    frame_length: i64,
}

impl fmt::Debug for AwsEsdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsEsdk")
            .field("suite", &self.suite)
            .field("frame_length", &self.frame_length)
            .finish_non_exhaustive()
    }
}

/// The SDK blocks the thread that calls KMS.
pub(crate) fn check_runtime() -> Result<(), SetupError> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => Err(SetupError::Runtime),
        _ => Ok(()),
    }
}

impl AwsEsdk {
    pub(crate) fn new(
        cmm: CachingCmm<AwsEsdkManager>,
        suite: Suite,
        frame_length: u32,
    ) -> Result<Self, SetupError> {
        let config = AwsEncryptionSdkConfig::builder()
            .commitment_policy(EsdkCommitmentPolicy::RequireEncryptRequireDecrypt)
            .max_encrypted_data_keys(i64::from(MAX_ENCRYPTED_DATA_KEYS))
            .build()
            .map_err(refused)?;
        let client = Client::from_conf(config).map_err(refused)?;
        let suite = match suite {
            Suite::Unsigned => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey,
            _ => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384,
        };
        Ok(Self { client, cmm, suite, frame_length: frame_length.into() })
    }

    pub(super) async fn encrypt(
        &self,
        context: EncryptionContext,
        plaintext: Bytes,
    ) -> Result<Encrypted, CipherError> {
        let request = self
            .client
            .encrypt()
            .materials_manager(self.manager())
            .algorithm_suite_id(self.suite)
            .frame_length(self.frame_length)
            .encryption_context(context)
            .plaintext(Blob::from_maybe_shared(plaintext));
        let output = off_the_workers(move || Handle::current().block_on(request.send()))
            .await?
            .map_err(|error| encryption_error(&error))?;
        let message =
            output.ciphertext.ok_or(CipherError::Internal("aws-esdk returned no message"))?;
        Ok(Encrypted { message: message.into_inner(), missing_regions: Vec::new() })
    }

    /// Returns the plaintext, and the encryption context that was authenticated with it.
    pub(super) async fn decrypt(
        &self,
        message: Bytes,
    ) -> Result<(Vec<u8>, EncryptionContext), CipherError> {
        let message = Blob::from_maybe_shared(message);
        let request = self.client.decrypt().materials_manager(self.manager()).ciphertext(message);
        let output = off_the_workers(move || Handle::current().block_on(request.send()))
            .await?
            .map_err(decryption_error)?;
        let plaintext =
            output.plaintext.ok_or(CipherError::Internal("aws-esdk returned no plaintext"))?;
        Ok((plaintext.into_inner(), output.encryption_context.unwrap_or_default()))
    }

    pub(super) fn stats(&self) -> (CmmStats, CacheStats) {
        (self.cmm.stats(), self.cmm.cache_stats())
    }

    fn manager(&self) -> CryptographicMaterialsManagerRef {
        self.cmm.clone().into()
    }
}

async fn off_the_workers<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CipherError> {
    let on_a_large_stack = || stacker::grow(STACK, work);
    spawn_blocking(on_a_large_stack)
        .await
        .map_err(|_| CipherError::Internal("a computation panicked or was cut off"))
}
