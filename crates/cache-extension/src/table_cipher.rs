//! Encryption of shared values in the AWS Encryption SDK's message format.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_outcome::{Failure, Service};
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use esdk_message::{DecryptionKey, EncryptedDataKey, EncryptionKey, Limits, UnverifiedMessage};
use tokio::sync::{Mutex, OnceCell};

/// The provider of data keys that AWS KMS encrypts.
const KMS: &str = "aws-kms";
/// The key of the only pair in the encryption context. Its value is the table's name.
const CONTEXT: &str = "cache-extension-table";
const FRAME_BYTES: u32 = 4096;
/// Cached data keys of other execution environments.
const MAX_KEYS: usize = 64;
/// The extension's own messages have one data key and few frames.
const LIMITS: Limits =
    Limits::new().max_encrypted_data_keys(1).max_context_pairs(4).max_frames(1024);

/// Encrypts and decrypts the values of one table under one KMS key.
///
/// A process generates one data key when it first writes, and caches it and the keys with which it
/// reads. So KMS is called once for each environment that writes, and not for each value.
pub(crate) struct TableCipher {
    kms: Client,
    key: String,
    table: String,
    own: OnceCell<EncryptionKey>,
    /// By the encrypted data key.
    others: Mutex<HashMap<Vec<u8>, Arc<DecryptionKey>>>,
}

impl fmt::Debug for TableCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableCipher").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Why a value could not be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CipherError {
    #[error("AWS KMS: {0}")]
    Kms(Failure),
    #[error("AWS KMS: the answer has no data key")]
    NoDataKey,
    #[error(transparent)]
    Message(#[from] esdk_message::Error),
    #[error("the item is not this table's value for the key")]
    ForeignItem,
    #[error("the value is {age:?} old, which is more than its time-to-live")]
    TooOld { age: Duration },
    #[error("the value is from the future; check the clocks")]
    FromTheFuture,
}

impl TableCipher {
    pub(crate) fn new(config: &SdkConfig, key: String, table: &str) -> Self {
        Self {
            kms: Client::new(config),
            key,
            table: table.to_owned(),
            own: OnceCell::new(),
            others: Mutex::default(),
        }
    }

    pub(crate) async fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, CipherError> {
        let key = self.own.get_or_try_init(|| self.generate()).await?;
        Ok(key.encrypt(plaintext, FRAME_BYTES)?)
    }

    pub(crate) async fn decrypt(&self, message: &[u8]) -> Result<Vec<u8>, CipherError> {
        let message = UnverifiedMessage::parse(message, LIMITS)?;
        if !message.encryption_context().eq([(CONTEXT, self.table.as_str())]) {
            return Err(CipherError::ForeignItem);
        }
        let data_key = message.encrypted_data_keys().next().ok_or(CipherError::ForeignItem)?;
        let key = self.decryption_key(data_key.ciphertext).await?;
        Ok(message.decrypt(&key)?.plaintext.into_vec())
    }

    async fn generate(&self) -> Result<EncryptionKey, CipherError> {
        let request = self.kms.generate_data_key().key_id(&self.key);
        let request =
            request.key_spec(DataKeySpec::Aes256).encryption_context(CONTEXT, &self.table);
        let output = request
            .send()
            .await
            .map_err(|error| CipherError::Kms(Failure::new(Service::Kms, &error)))?;
        let missing = || CipherError::NoDataKey;
        let plaintext = output.plaintext().ok_or_else(missing)?.as_ref();
        let ciphertext = output.ciphertext_blob().ok_or_else(missing)?.as_ref();
        let arn = output.key_id().ok_or_else(missing)?;
        self.cache(ciphertext, DecryptionKey::new(plaintext, None)?).await;
        let data_key =
            EncryptedDataKey { provider_id: KMS, provider_info: arn.as_bytes(), ciphertext };
        Ok(EncryptionKey::new(plaintext, None, [(CONTEXT, self.table.as_str())], &[data_key])?)
    }

    /// Calls KMS once for each data key, however many messages use it.
    async fn decryption_key(&self, ciphertext: &[u8]) -> Result<Arc<DecryptionKey>, CipherError> {
        let mut keys = self.others.lock().await;
        if let Some(key) = keys.get(ciphertext) {
            return Ok(Arc::clone(key));
        }
        let request = self.kms.decrypt().key_id(&self.key).ciphertext_blob(Blob::new(ciphertext));
        let output = request.encryption_context(CONTEXT, &self.table).send().await;
        let output =
            output.map_err(|error| CipherError::Kms(Failure::new(Service::Kms, &error)))?;
        let plaintext = output.plaintext().map(Blob::as_ref).unwrap_or_default();
        Ok(insert(&mut keys, ciphertext, DecryptionKey::new(plaintext, None)?))
    }

    async fn cache(&self, ciphertext: &[u8], key: DecryptionKey) {
        insert(&mut *self.others.lock().await, ciphertext, key);
    }
}

fn insert(
    keys: &mut HashMap<Vec<u8>, Arc<DecryptionKey>>,
    ciphertext: &[u8],
    key: DecryptionKey,
) -> Arc<DecryptionKey> {
    // Values under old keys have expired and are not requested again.
    if keys.len() == MAX_KEYS {
        keys.clear();
    }
    Arc::clone(keys.entry(ciphertext.to_vec()).or_insert(Arc::new(key)))
}
