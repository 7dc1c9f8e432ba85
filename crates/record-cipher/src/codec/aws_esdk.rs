//! Codec by the AWS Encryption SDK's own `encrypt` and `decrypt`.
//!
//! The SDK computes, and calls KMS, on the thread that polls it, so all of it runs on Tokio's
//! blocking threads.

use std::collections::HashMap;
use std::fmt;

use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManagerRef;
use aws_esdk::material_providers::types::{EsdkAlgorithmSuiteId, EsdkCommitmentPolicy};
use aws_esdk::types::error::Error;
use aws_esdk::{AwsEncryptionSdkConfig, Client};
use aws_smithy_types::Blob;
use esdk_caching_cmm::{AwsEsdkManager, CachingCmm};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::codec::{MAX_ENCRYPTED_DATA_KEYS, no_data_key, no_usable_key};
use crate::error::{CipherError, SetupError};
use crate::options::Suite;

/// The SDK recurses once per frame, about 600 bytes deep in a build without optimisation: more
/// frames than this could overflow [`STACK`], and so end the process.
pub(super) const MAX_FRAMES: u32 = 16_384;

/// Three times what [`MAX_FRAMES`] need, in bytes.
const STACK: usize = 32 << 20;

#[derive(Clone)]
pub(crate) struct AwsEsdk {
    client: Client,
    cmm: CryptographicMaterialsManagerRef,
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

impl AwsEsdk {
    pub(super) fn new(
        cmm: CachingCmm<AwsEsdkManager>,
        suite: Suite,
        frame_length: u32,
    ) -> Result<Self, SetupError> {
        let config = AwsEncryptionSdkConfig::builder()
            .commitment_policy(EsdkCommitmentPolicy::RequireEncryptRequireDecrypt)
            .max_encrypted_data_keys(i64::from(MAX_ENCRYPTED_DATA_KEYS))
            .build()
            .map_err(|error| SetupError::Sdk(error.to_string()))?;
        let client =
            Client::from_conf(config).map_err(|error| SetupError::Sdk(error.to_string()))?;
        Ok(Self { client, cmm: cmm.into(), suite: suite.into(), frame_length: frame_length.into() })
    }

    pub(super) async fn encrypt(
        &self,
        context: HashMap<String, String>,
        plaintext: Vec<u8>,
    ) -> Result<Vec<u8>, CipherError> {
        let request = self
            .client
            .encrypt()
            .materials_manager(self.cmm.clone())
            .algorithm_suite_id(self.suite)
            .frame_length(self.frame_length)
            .encryption_context(context)
            .plaintext(Blob::new(plaintext));
        let output = off_the_workers(move || Handle::current().block_on(request.send()))
            .await?
            .map_err(encryption_error)?;
        let ciphertext =
            output.ciphertext.ok_or(CipherError::Internal("aws-esdk returned no message"))?;
        Ok(ciphertext.into_inner())
    }

    /// The plaintext, and the encryption context that was authenticated with it.
    pub(super) async fn decrypt(
        &self,
        message: Vec<u8>,
    ) -> Result<(Vec<u8>, HashMap<String, String>), CipherError> {
        let request = self
            .client
            .decrypt()
            .materials_manager(self.cmm.clone())
            .ciphertext(Blob::new(message));
        let output = off_the_workers(move || Handle::current().block_on(request.send()))
            .await?
            .map_err(decryption_error)?;
        let plaintext =
            output.plaintext.ok_or(CipherError::Internal("aws-esdk returned no plaintext"))?;
        Ok((plaintext.into_inner(), output.encryption_context.unwrap_or_default()))
    }
}

async fn off_the_workers<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CipherError> {
    let with_room = || stacker::grow(STACK, work);
    spawn_blocking(with_room).await.map_err(|_| CipherError::Internal("a computation panicked"))
}

fn encryption_error(error: Error) -> CipherError {
    match error {
        Error::AwsCryptographicMaterialProvidersError { error } => no_data_key(&error),
        _ => CipherError::Internal("aws-esdk could not encrypt"),
    }
}

fn decryption_error(error: Error) -> CipherError {
    match error {
        Error::AwsCryptographicMaterialProvidersError { error } => no_usable_key(&error),
        _ => CipherError::NotAuthentic,
    }
}
