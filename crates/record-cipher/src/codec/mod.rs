//! Encoding and decoding of messages, by either engine.

#[cfg(feature = "aws-esdk")]
pub(crate) mod aws_esdk;
pub(crate) mod native;

use bytes::Bytes;
use esdk_caching_cmm::{CacheStats, CmmStats, EncryptionContext};
use esdk_message::{Limits, UnverifiedMessage};

use crate::encrypted::Encrypted;
use crate::error::CipherError;

/// More encrypted data keys than a record for every AWS Region would have.
const MAX_ENCRYPTED_DATA_KEYS: u16 = 64;

/// More pairs than any record has, which is two.
const MAX_CONTEXT_PAIRS: u16 = 64;

/// Maximum length of an encryption context in bytes. KMS refuses longer ones.
const MAX_CONTEXT_BYTES: u16 = 8192;

const LIMITS: Limits = Limits::new()
    .max_encrypted_data_keys(MAX_ENCRYPTED_DATA_KEYS)
    .max_context_pairs(MAX_CONTEXT_PAIRS)
    .max_context_bytes(MAX_CONTEXT_BYTES);

/// A message that is parsed and not authenticated.
pub(crate) type Message = UnverifiedMessage<Bytes>;

/// Engine of a cipher, with its data keys.
#[derive(Debug, Clone)]
pub(crate) enum Codec {
    Native(native::Native),
    #[cfg(feature = "aws-esdk")]
    AwsEsdk(aws_esdk::AwsEsdk),
}

impl Codec {
    pub(crate) async fn encrypt(
        &self,
        context: EncryptionContext,
        plaintext: Bytes,
    ) -> Result<Encrypted, CipherError> {
        match self {
            Self::Native(native) => native.encrypt(context, plaintext).await,
            #[cfg(feature = "aws-esdk")]
            Self::AwsEsdk(sdk) => sdk.encrypt(context, plaintext).await,
        }
    }

    /// Returns the plaintext, and the encryption context that was authenticated with it.
    pub(crate) async fn decrypt(
        &self,
        message: Message,
    ) -> Result<(Vec<u8>, EncryptionContext), CipherError> {
        match self {
            Self::Native(native) => native.decrypt(message).await,
            #[cfg(feature = "aws-esdk")]
            Self::AwsEsdk(sdk) => sdk.decrypt(message.into_bytes()).await,
        }
    }

    /// Parses a message within the limits of the engine.
    pub(crate) fn parse(&self, message: Bytes) -> Result<Message, CipherError> {
        let limits = match self {
            Self::Native(_) => LIMITS,
            #[cfg(feature = "aws-esdk")]
            Self::AwsEsdk(_) => LIMITS.max_frames(aws_esdk::MAX_FRAMES),
        };
        Ok(UnverifiedMessage::parse(message, limits)?)
    }

    pub(crate) fn stats(&self) -> (CmmStats, CacheStats) {
        match self {
            Self::Native(native) => native.stats(),
            #[cfg(feature = "aws-esdk")]
            Self::AwsEsdk(sdk) => sdk.stats(),
        }
    }
}
