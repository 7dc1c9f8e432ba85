//! Data keys of messages, unwrapped with raw keys that are public.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepPrivateDecryptingKey, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use esdk_message::{EncryptedDataKey, UnverifiedMessage};
use serde_json::Value;

/// Bytes after the key's name in a raw AES key's provider information: tag length, IV length and IV.
const AES_INFO_BYTES: usize = 4 + 4 + 12;

type Message<'a> = UnverifiedMessage<&'a [u8]>;

/// Returns the data key of a message according to one of its master keys, or why there is none.
pub(crate) fn data_key(
    message: &Message<'_>,
    master: &Value,
    key: &Value,
) -> Result<Vec<u8>, &'static str> {
    let provider = master["provider-id"].as_str().unwrap_or_default();
    let material = key["material"].as_str().unwrap_or_default();
    let unwrapped = match (master["type"].as_str(), key["algorithm"].as_str()) {
        (Some("raw"), Some("aes")) => {
            let material = BASE64_STANDARD.decode(material).unwrap_or_default();
            with_aes(message, provider, &material)
        }
        (Some("raw"), Some("rsa")) => with_rsa(message, provider, material, master),
        _ => return Err("AWS KMS has the key"),
    };
    unwrapped.ok_or("its master key does not unwrap the data key")
}

/// Unwraps the data key with a raw AES key. Without a provider, all encrypted data keys are tried.
pub(crate) fn with_aes(message: &Message<'_>, provider: &str, key: &[u8]) -> Option<Vec<u8>> {
    let algorithm = [&AES_128_GCM, &AES_192_GCM, &AES_256_GCM];
    let algorithm = algorithm.into_iter().find(|algorithm| algorithm.key_len() == key.len())?;
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
    let aad = serialized_context(message);
    of_provider(message, provider).find_map(|wrapped| {
        let info = wrapped.provider_info;
        let iv = info.get(info.len().checked_sub(AES_INFO_BYTES)? + 8..)?;
        let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
        let mut data_key = wrapped.ciphertext.to_vec();
        Some(key.open_in_place(nonce, Aad::from(&aad), &mut data_key).ok()?.to_vec())
    })
}

fn with_rsa(message: &Message<'_>, provider: &str, pem: &str, master: &Value) -> Option<Vec<u8>> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let der = BASE64_STANDARD.decode(lines.collect::<String>()).ok()?;
    of_provider(message, provider).find_map(|wrapped| {
        let key = PrivateDecryptingKey::from_pkcs8(&der).ok()?;
        let mut data_key = vec![0; key.key_size_bytes()];
        let data_key = match master["padding-algorithm"].as_str()? {
            "pkcs1" => {
                let key = Pkcs1PrivateDecryptingKey::new(key).ok()?;
                key.decrypt(wrapped.ciphertext, &mut data_key).ok()?
            }
            _ => {
                let oaep = match master["padding-hash"].as_str()? {
                    "sha1" => &OAEP_SHA1_MGF1SHA1,
                    "sha256" => &OAEP_SHA256_MGF1SHA256,
                    "sha384" => &OAEP_SHA384_MGF1SHA384,
                    "sha512" => &OAEP_SHA512_MGF1SHA512,
                    _ => return None,
                };
                let key = OaepPrivateDecryptingKey::new(key).ok()?;
                key.decrypt(oaep, wrapped.ciphertext, &mut data_key, None).ok()?
            }
        };
        Some(data_key.to_vec())
    })
}

fn of_provider<'a>(
    message: &'a Message<'_>,
    provider: &str,
) -> impl Iterator<Item = EncryptedDataKey<'a>> {
    let keys = message.encrypted_data_keys();
    keys.filter(move |wrapped| provider.is_empty() || wrapped.provider_id == provider)
}

/// Returns the encryption context as the data key is bound to it: nothing if it is empty.
fn serialized_context(message: &Message<'_>) -> Vec<u8> {
    let pairs = message.encryption_context();
    if pairs.len() == 0 {
        return Vec::new();
    }
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX).to_be_bytes();
    let mut serialized = length(pairs.len()).to_vec();
    for part in pairs.flat_map(|(name, value)| [name, value]) {
        serialized.extend(length(part.len()));
        serialized.extend(part.as_bytes());
    }
    serialized
}
