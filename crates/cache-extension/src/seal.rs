//! Encrypted values, in the AWS Encryption SDK's message format.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use esdk_message::{DecryptionKey, EncryptedDataKey, EncryptionKey, Limits, UnverifiedMessage};
use tokio::sync::{Mutex, OnceCell};

/// What the AWS Encryption SDK calls data keys that AWS KMS encrypts.
const KMS: &str = "aws-kms";
/// The name of the one pair of the encryption context. Its value is the table.
const CONTEXT: &str = "cache-extension-table";
const FRAME_BYTES: u32 = 4096;
/// Data keys of other execution environments that are kept.
const MAX_KEYS: usize = 64;
/// What this extension writes has one data key, and few frames.
const LIMITS: Limits =
    Limits::new().max_encrypted_data_keys(1).max_context_pairs(4).max_frames(1024);

/// Encrypts and decrypts what is in one table, under one KMS key.
///
/// A process makes one data key, the first time it writes, and keeps it and those with which it
/// reads: so a call to KMS is needed for each environment that writes, and not for each value.
pub(crate) struct Seal {
    kms: Client,
    key: String,
    table: String,
    own: OnceCell<EncryptionKey>,
    /// By the encrypted data key.
    others: Mutex<HashMap<Vec<u8>, Arc<DecryptionKey>>>,
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seal").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Why something could not be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("AWS KMS: {0}")]
    Kms(String),
    #[error(transparent)]
    Message(#[from] esdk_message::Error),
    #[error("it is not what belongs in this place of the table")]
    NotOurs,
}

impl Seal {
    pub(crate) fn new(config: &SdkConfig, key: String, table: &str) -> Self {
        Self {
            kms: Client::new(config),
            key,
            table: table.to_owned(),
            own: OnceCell::new(),
            others: Mutex::default(),
        }
    }

    pub(crate) async fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = self.own.get_or_try_init(|| self.generate()).await?;
        Ok(key.encrypt(plaintext, FRAME_BYTES)?)
    }

    pub(crate) async fn open(&self, message: &[u8]) -> Result<Vec<u8>, SealError> {
        let message = UnverifiedMessage::parse(message, LIMITS)?;
        if !message.encryption_context().eq([(CONTEXT, self.table.as_str())]) {
            return Err(SealError::NotOurs);
        }
        let data_key = message.encrypted_data_keys().next().ok_or(SealError::NotOurs)?;
        let key = self.decryption_key(data_key.ciphertext).await?;
        Ok(message.decrypt(&key)?.plaintext.into_vec())
    }

    async fn generate(&self) -> Result<EncryptionKey, SealError> {
        let request = self.kms.generate_data_key().key_id(&self.key);
        let request =
            request.key_spec(DataKeySpec::Aes256).encryption_context(CONTEXT, &self.table);
        let output = request.send().await.map_err(|error| kms_error(&error))?;
        let missing = || SealError::Kms("the answer holds no data key".to_owned());
        let plaintext = output.plaintext().ok_or_else(missing)?.as_ref();
        let ciphertext = output.ciphertext_blob().ok_or_else(missing)?.as_ref();
        let arn = output.key_id().ok_or_else(missing)?;
        self.keep(ciphertext, DecryptionKey::new(plaintext, None)?).await;
        let data_key =
            EncryptedDataKey { provider_id: KMS, provider_info: arn.as_bytes(), ciphertext };
        Ok(EncryptionKey::new(plaintext, None, [(CONTEXT, self.table.as_str())], &[data_key])?)
    }

    /// One call to KMS for each data key, however many messages have it.
    async fn decryption_key(&self, ciphertext: &[u8]) -> Result<Arc<DecryptionKey>, SealError> {
        let mut keys = self.others.lock().await;
        if let Some(key) = keys.get(ciphertext) {
            return Ok(Arc::clone(key));
        }
        let request = self.kms.decrypt().key_id(&self.key).ciphertext_blob(Blob::new(ciphertext));
        let output = request.encryption_context(CONTEXT, &self.table).send().await;
        let output = output.map_err(|error| kms_error(&error))?;
        let plaintext = output.plaintext().map(Blob::as_ref).unwrap_or_default();
        Ok(insert(&mut keys, ciphertext, DecryptionKey::new(plaintext, None)?))
    }

    async fn keep(&self, ciphertext: &[u8], key: DecryptionKey) {
        insert(&mut *self.others.lock().await, ciphertext, key);
    }
}

fn insert(
    keys: &mut HashMap<Vec<u8>, Arc<DecryptionKey>>,
    ciphertext: &[u8],
    key: DecryptionKey,
) -> Arc<DecryptionKey> {
    // The values with old keys have ended, and are not asked for again.
    if keys.len() == MAX_KEYS {
        keys.clear();
    }
    Arc::clone(keys.entry(ciphertext.to_vec()).or_insert(Arc::new(key)))
}

fn kms_error<E: ProvideErrorMetadata>(error: &SdkError<E>) -> SealError {
    let code = match error {
        SdkError::ServiceError(answer) => answer.err().code().unwrap_or("unknown error"),
        SdkError::TimeoutError(_) => "it did not answer in time",
        _ => "it could not be reached",
    };
    SealError::Kms(code.to_owned())
}
