//! Messages by the AWS Encryption SDK's own `encrypt` and `decrypt`.
//!
//! The only module that knows how messages are made. The SDK computes, and calls KMS, on the
//! thread that polls it, so all of it runs on Tokio's blocking threads.

use std::collections::HashMap;
use std::fmt;

use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManagerRef;
use aws_esdk::material_providers::types::error::Error as MaterialsError;
use aws_esdk::material_providers::types::{EsdkAlgorithmSuiteId, EsdkCommitmentPolicy};
use aws_esdk::types::error::Error;
use aws_esdk::{AwsEncryptionSdkConfig, Client};
use aws_smithy_types::Blob;
use esdk_caching_cmm::CachingCmm;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::cipher::Suite;
use crate::error::{CipherError, SetupError};
use crate::keyring;

/// More encrypted data keys than a record for every AWS Region would have. Without a limit, a
/// forged message could make one decryption call KMS 65,535 times.
const MAX_ENCRYPTED_DATA_KEYS: i64 = 64;

/// The SDK recurses once per frame, about 600 bytes deep in a build without optimisation: more
/// frames than this could overflow [`STACK`], and so end the process.
pub(crate) const MAX_FRAMES: usize = 16_384;

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
    pub(crate) fn new(
        cmm: CachingCmm,
        suite: Suite,
        frame_length: i64,
    ) -> Result<Self, SetupError> {
        let config = AwsEncryptionSdkConfig::builder()
            .commitment_policy(EsdkCommitmentPolicy::RequireEncryptRequireDecrypt)
            .max_encrypted_data_keys(MAX_ENCRYPTED_DATA_KEYS)
            .build()
            .map_err(|error| SetupError::Sdk(error.to_string()))?;
        let client =
            Client::from_conf(config).map_err(|error| SetupError::Sdk(error.to_string()))?;
        let suite = match suite {
            Suite::Signed => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384,
            Suite::Unsigned => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey,
        };
        Ok(Self { client, cmm: cmm.into(), suite, frame_length })
    }

    pub(crate) async fn encrypt(
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
        let ciphertext = output.ciphertext.ok_or(CipherError::Engine("it returned no message"))?;
        Ok(ciphertext.into_inner())
    }

    /// The plaintext, and the encryption context that was authenticated with it.
    pub(crate) async fn decrypt(
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
        let plaintext = output.plaintext.ok_or(CipherError::Engine("it returned no plaintext"))?;
        Ok((plaintext.into_inner(), output.encryption_context.unwrap_or_default()))
    }

    /// Sends one message to itself under a throw-away key, for the SDK's one-off initialisation.
    pub(crate) async fn warm_up(&self) -> Result<(), SetupError> {
        let keyring = keyring::raw_aes(&[0; 32]).await?;
        let (client, suite) = (self.client.clone(), self.suite);
        let round_trip = async move {
            let message = client
                .encrypt()
                .keyring(keyring.clone())
                .algorithm_suite_id(suite)
                .plaintext(Blob::default())
                .send()
                .await?;
            let ciphertext = message.ciphertext.unwrap_or_default();
            client.decrypt().keyring(keyring).ciphertext(ciphertext).send().await
        };
        off_the_workers(move || Handle::current().block_on(round_trip))
            .await
            .map_err(|error| SetupError::Sdk(error.to_string()))?
            .map_err(|error| SetupError::Sdk(error.to_string()))?;
        Ok(())
    }
}

async fn off_the_workers<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CipherError> {
    let with_room = || stacker::grow(STACK, work);
    spawn_blocking(with_room).await.map_err(|_| CipherError::Engine("it panicked"))
}

fn encryption_error(error: Error) -> CipherError {
    match error {
        Error::AwsCryptographicMaterialProvidersError { error } => {
            kms_failure(&error).unwrap_or(CipherError::Engine("it could not make a data key"))
        }
        _ => CipherError::Engine("it could not encrypt"),
    }
}

fn decryption_error(error: Error) -> CipherError {
    match error {
        Error::AwsCryptographicMaterialProvidersError { error } => {
            kms_failure(&error).unwrap_or(CipherError::NoUsableKey)
        }
        _ => CipherError::NotAuthentic,
    }
}

/// The failure of KMS among what a keyring reports, if there is one that is not the message's
/// fault.
fn kms_failure(error: &MaterialsError) -> Option<CipherError> {
    match error {
        MaterialsError::TrentServiceError { error } => classify(error),
        MaterialsError::CollectionOfErrors { list, .. } => list.iter().find_map(kms_failure),
        _ => None,
    }
}

fn classify(error: &aws_esdk::com_amazonaws_kms::types::error::Error) -> Option<CipherError> {
    use aws_esdk::com_amazonaws_kms::types::error::Error as Kms;
    match error {
        // The message's encrypted data key is not what KMS made.
        Kms::InvalidCiphertextException { .. } | Kms::IncorrectKeyException { .. } => None,
        Kms::DisabledException { .. } => Some(CipherError::KmsRefused("the key is disabled")),
        Kms::NotFoundException { .. } => Some(CipherError::KmsRefused("the key does not exist")),
        Kms::KmsInvalidStateException { .. } => {
            Some(CipherError::KmsRefused("the key's state does not allow it"))
        }
        Kms::InvalidKeyUsageException { .. } => {
            Some(CipherError::KmsRefused("the key is not for encryption"))
        }
        Kms::OpaqueWithText { objMessage, .. } => Some(classify_text(objMessage)),
        _ => Some(CipherError::KmsUnavailable("it reported an internal failure")),
    }
}

/// The SDK hands on throttling, missing permission and trouble on the network only as the debug
/// text of an HTTP exchange. That text may hold a response's body, so it is searched for known
/// words and never shown.
fn classify_text(text: &str) -> CipherError {
    const REFUSED: [(&str, &str); 4] = [
        ("AccessDenied", "access was denied"),
        ("UnrecognizedClient", "the credentials are not valid"),
        ("ExpiredToken", "the credentials have expired"),
        ("CredentialsNotLoaded", "no credentials were found"),
    ];
    const UNAVAILABLE: [(&str, &str); 4] = [
        ("Throttling", "it is throttling requests"),
        ("TimeoutError", "it did not answer in time"),
        ("DispatchFailure", "it could not be reached"),
        ("Unhandled", "it answered with an error"),
    ];
    let find = |words: &[(&str, &'static str)]| {
        words.iter().find(|(word, _)| text.contains(word)).map(|(_, reason)| *reason)
    };
    match (find(&REFUSED), find(&UNAVAILABLE)) {
        (Some(reason), _) => CipherError::KmsRefused(reason),
        (None, reason) => CipherError::KmsUnavailable(reason.unwrap_or("the request failed")),
    }
}
