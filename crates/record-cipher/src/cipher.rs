//! [`RecordCipher`].

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use bytes::Bytes;

use crate::builder::RecordCipherBuilder;
use crate::codec::Codec;
use crate::context::{STREAM_CONTEXT_KEY, check_stream, context_for};
use crate::encrypted::Encrypted;
use crate::error::CipherError;
use crate::keys::Keys;
use crate::names::{RegionName, StreamName};
use crate::stats::{CipherStats, KmsMeter};

/// Encrypts records for a stream, and decrypts records of a stream.
///
/// Clones share the data key cache. [`Keys`] decide whether a cipher encrypts or decrypts.
#[derive(Debug, Clone)]
pub struct RecordCipher {
    codec: Codec,
    kms: Arc<BTreeMap<RegionName, KmsMeter>>,
}

impl RecordCipher {
    /// Configures a cipher over `keys`. `config` gives credentials, endpoints and, for discovery and
    /// alias names, the Region.
    pub fn builder(keys: Keys, config: &SdkConfig) -> RecordCipherBuilder {
        RecordCipherBuilder::new(keys, config)
    }

    pub(crate) fn new(codec: Codec, kms: BTreeMap<RegionName, KmsMeter>) -> Self {
        Self { codec, kms: Arc::new(kms) }
    }

    /// Encrypts `plaintext` for `stream`. The message cannot be decrypted as a record of any other
    /// stream. Give [`Bytes`] to keep the plaintext, for example for a second attempt, without a copy.
    ///
    /// # Errors
    /// [`CipherError`]. Failures of AWS KMS name the Region.
    pub async fn encrypt(
        &self,
        stream: &StreamName,
        plaintext: impl Into<Bytes>,
    ) -> Result<Encrypted, CipherError> {
        self.codec.encrypt(context_for(stream), plaintext.into()).await
    }

    /// Decrypts a message that came from `stream`. Give [`Bytes`] to keep the message without a copy.
    ///
    /// # Errors
    /// [`CipherError`]; its [`kind`](CipherError::kind) says whether the record can ever be
    /// decrypted, and who must act.
    pub async fn decrypt(
        &self,
        stream: &StreamName,
        message: impl Into<Bytes>,
    ) -> Result<Vec<u8>, CipherError> {
        let message = self.codec.parse(message.into())?;
        // Not authenticated yet: used only to reject a record early, without a call to KMS.
        let mut claims = message.encryption_context();
        let claimed = claims.find(|(key, _)| *key == STREAM_CONTEXT_KEY);
        check_stream(stream, claimed.map(|(_, stream)| stream))?;
        drop(claims);
        let (plaintext, context) = self.codec.decrypt(message).await?;
        // Authenticated now, so this is the check that counts.
        check_stream(stream, context.get(STREAM_CONTEXT_KEY).map(String::as_str))?;
        Ok(plaintext)
    }

    /// Returns counters accumulated by this cipher and its clones.
    #[must_use]
    pub fn stats(&self) -> CipherStats {
        let kms = self.kms.iter().map(|(region, meter)| (region.clone(), meter.read())).collect();
        let (data_keys, cache) = self.codec.stats();
        CipherStats { data_keys, cache, kms }
    }

    /// Returns the number of failed requests to AWS KMS, by this cipher and its clones.
    ///
    /// Forged records make requests that fail. A reader of untrusted records can compare this
    /// number before and after, and bound the requests that a batch may cost.
    #[must_use]
    pub fn failed_kms_requests(&self) -> u64 {
        self.kms.values().map(KmsMeter::errors).sum()
    }
}
