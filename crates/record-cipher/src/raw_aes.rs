//! Data keys under a key that the caller holds, without KMS.
//!
//! Source: AWS Encryption SDK specification, `framework/raw-aes-keyring.md`.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use esdk_caching_cmm::{DecryptionRequest, EncryptedDataKey, EncryptionContext};
use zeroize::Zeroizing;

use crate::error::CipherError;
use crate::kms::DataKey;

pub(crate) const NAMESPACE: &str = "record-cipher";
pub(crate) const NAME: &str = "raw-aes";

const TAG_BITS: u32 = 128;
const FAILED: CipherError = CipherError::Internal("the cryptographic library failed");

/// An AES-256-GCM wrapping key.
pub(crate) struct RawAes(RandomizedNonceKey);

impl fmt::Debug for RawAes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawAes([redacted])")
    }
}

impl RawAes {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(RandomizedNonceKey::new(&AES_256_GCM, key).expect("the key has 32 bytes"))
    }

    pub(crate) fn new_data_key(
        &self,
        context: &EncryptionContext,
    ) -> Result<(DataKey, EncryptedDataKey), CipherError> {
        let data_key = DataKey::generate().ok_or(FAILED)?;
        let mut sealed = Zeroizing::new(data_key.as_bytes().to_vec());
        let nonce = self.0.seal_in_place_append_tag(Aad::from(serialize(context)), &mut *sealed);
        let info =
            [provider_info_prefix().as_slice(), nonce.map_err(|_| FAILED)?.as_ref()].concat();
        Ok((data_key, EncryptedDataKey::new(NAMESPACE, info, sealed.as_slice())))
    }

    pub(crate) fn decrypt(&self, request: &DecryptionRequest) -> Result<DataKey, CipherError> {
        let context = serialize(&request.encryption_context);
        let open = |key: &EncryptedDataKey| {
            let nonce = key.provider_info.strip_prefix(provider_info_prefix().as_slice())?;
            let nonce: [u8; NONCE_LEN] = nonce.try_into().ok()?;
            let mut sealed = Zeroizing::new(key.ciphertext.clone());
            let nonce = Nonce::assume_unique_for_key(nonce);
            DataKey::new(self.0.open_in_place(nonce, Aad::from(&context), &mut sealed).ok()?)
        };
        let mut keys = request.encrypted_data_keys.iter();
        keys.find_map(|key| (key.provider_id == NAMESPACE).then(|| open(key)).flatten())
            .ok_or(CipherError::NoUsableKey)
    }
}

/// Key name, length of the tag in bits, and length of the nonce, which follows.
fn provider_info_prefix() -> Vec<u8> {
    let nonce_len = u32::try_from(NONCE_LEN).expect("12 fits");
    [NAME.as_bytes(), &TAG_BITS.to_be_bytes(), &nonce_len.to_be_bytes()].concat()
}

/// Source: AWS Encryption SDK specification, `framework/structures.md`, encryption context.
fn serialize(context: &EncryptionContext) -> Vec<u8> {
    let length = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let mut pairs: Vec<_> = context.iter().collect();
    pairs.sort_unstable();
    let mut bytes = Vec::new();
    if !pairs.is_empty() {
        bytes.extend(length(pairs.len()));
    }
    for text in pairs.into_iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend(length(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}
