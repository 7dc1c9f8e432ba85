//! Encoding and decoding of messages, by either engine.

mod aws_esdk;
mod native;

use ::aws_esdk::material_providers::types::error::Error as MaterialsError;
use ::aws_esdk::material_providers::types::{
    AlgorithmSuiteId, CommitmentPolicy, EsdkAlgorithmSuiteId, EsdkCommitmentPolicy,
};
use esdk_caching_cmm::{AwsEsdkManager, CachingCmm};
use esdk_message::{Limits, UnverifiedMessage};

use crate::context::Context;
use crate::error::{CipherError, SetupError};
use crate::kms_failure::kms_failure;
use crate::options::{Engine, Suite};

use aws_esdk::AwsEsdk;
use native::Native;

/// More encrypted data keys than a record for every AWS Region would have. Without a limit, a
/// forged message could make one decryption call KMS 65,535 times.
const MAX_ENCRYPTED_DATA_KEYS: u16 = 64;

/// More pairs than any record has, which is two.
const MAX_CONTEXT_PAIRS: u16 = 64;

/// Encodes and decodes messages with the engine of a cipher.
#[derive(Debug, Clone)]
pub(crate) enum Codec {
    Native(Native),
    AwsEsdk(AwsEsdk),
}

impl Codec {
    pub(crate) fn new(
        engine: Engine,
        cmm: CachingCmm<AwsEsdkManager>,
        suite: Suite,
        frame_length: u32,
    ) -> Result<Self, SetupError> {
        Ok(match engine {
            Engine::Native => Self::Native(Native::new(cmm, suite, frame_length)),
            Engine::AwsEsdk => Self::AwsEsdk(AwsEsdk::new(cmm, suite, frame_length)?),
        })
    }

    pub(crate) async fn encrypt(
        &self,
        context: Context,
        plaintext: Vec<u8>,
    ) -> Result<Vec<u8>, CipherError> {
        match self {
            Self::Native(native) => native.encrypt(context, plaintext).await,
            Self::AwsEsdk(sdk) => sdk.encrypt(context, plaintext).await,
        }
    }

    /// The plaintext, and the encryption context that was authenticated with it.
    pub(crate) async fn decrypt(
        &self,
        message: Vec<u8>,
    ) -> Result<(Vec<u8>, Context), CipherError> {
        match self {
            Self::Native(native) => native.decrypt(message).await,
            Self::AwsEsdk(sdk) => sdk.decrypt(message).await,
        }
    }

    /// What a message says of itself, within the limits of this engine.
    pub(crate) fn parse<B: AsRef<[u8]>>(
        &self,
        message: B,
    ) -> Result<UnverifiedMessage<B>, CipherError> {
        let frames = match self {
            Self::Native(_) => u32::MAX,
            Self::AwsEsdk(_) => aws_esdk::MAX_FRAMES,
        };
        let limits = Limits::new()
            .max_encrypted_data_keys(MAX_ENCRYPTED_DATA_KEYS)
            .max_context_pairs(MAX_CONTEXT_PAIRS)
            .max_frames(frames);
        Ok(UnverifiedMessage::parse(message, limits)?)
    }
}

/// Why there are no materials to encrypt with.
fn no_data_key(error: &MaterialsError) -> CipherError {
    kms_failure(error).unwrap_or(CipherError::Internal("no data key could be made"))
}

/// Why there are no materials to decrypt with.
fn no_usable_key(error: &MaterialsError) -> CipherError {
    kms_failure(error).unwrap_or(CipherError::NoUsableKey)
}

/// What requests for materials ask for.
pub(crate) fn suite_and_policy(suite: Suite) -> (AlgorithmSuiteId, CommitmentPolicy) {
    let policy = EsdkCommitmentPolicy::RequireEncryptRequireDecrypt;
    (AlgorithmSuiteId::Esdk(suite.into()), CommitmentPolicy::Esdk(policy))
}

impl From<Suite> for EsdkAlgorithmSuiteId {
    fn from(suite: Suite) -> Self {
        match suite {
            Suite::Signed => Self::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384,
            Suite::Unsigned => Self::AlgAes256GcmHkdfSha512CommitKey,
        }
    }
}
