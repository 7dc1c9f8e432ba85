//! The seam between records and messages: who encodes and decodes.

mod native;
mod vendor;

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use aws_esdk::material_providers::types::error::Error as MaterialsError;
use aws_esdk::material_providers::types::{
    AlgorithmSuiteId, CommitmentPolicy, EsdkAlgorithmSuiteId, EsdkCommitmentPolicy,
};
use esdk_caching_cmm::CachingCmm;
use esdk_message::{Limits, UnverifiedMessage};

use crate::cipher::Suite;
use crate::error::{CipherError, SetupError};
use crate::kms_failure::kms_failure;

use native::Native;
use vendor::AwsEsdk;

/// More encrypted data keys than a record for every AWS Region would have. Without a limit, a
/// forged message could make one decryption call KMS 65,535 times.
const MAX_ENCRYPTED_DATA_KEYS: u16 = 64;

/// More pairs than any record has, which is two.
const MAX_CONTEXT_PAIRS: u16 = 64;

/// Who encodes and decodes messages. Both make the same messages, and read each other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// [`esdk_message`], many times faster.
    #[default]
    Native,
    /// The AWS Encryption SDK's own `encrypt` and `decrypt`, for those whose policy wants the
    /// vendor's code.
    AwsEsdk,
}

impl FromStr for Engine {
    type Err = InvalidEngine;

    fn from_str(name: &str) -> Result<Self, InvalidEngine> {
        match name {
            "native" => Ok(Self::Native),
            "aws-esdk" => Ok(Self::AwsEsdk),
            _ => Err(InvalidEngine),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::AwsEsdk => "aws-esdk",
        })
    }
}

/// The name of an engine that there is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engines are 'native' and 'aws-esdk'")]
pub struct InvalidEngine;

/// An encryption context.
pub(crate) type Context = HashMap<String, String>;

/// The engine of a cipher.
#[derive(Debug, Clone)]
pub(crate) enum Messages {
    Native(Native),
    AwsEsdk(AwsEsdk),
}

impl Messages {
    pub(crate) fn new(
        engine: Engine,
        cmm: CachingCmm,
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
            Self::AwsEsdk(_) => vendor::MAX_FRAMES,
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
    kms_failure(error).unwrap_or(CipherError::Engine("it could not make a data key"))
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
