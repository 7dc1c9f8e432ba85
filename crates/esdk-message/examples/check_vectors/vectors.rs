//! AWS's published message vectors: manifests of the type `awses-decrypt`, and the file
//! `commitment-test-vectors.json` of the SDK for Python.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use esdk_message::{DecryptionKey, EncryptedDataKey, Error, Limits, UnverifiedMessage};
use serde_json::Value;

const MANIFEST: &str = "manifest.json";
const COMMITMENT: &str = "commitment-test-vectors.json";
/// Bytes after the key's name in a raw AES key's provider information: tag length, IV length and IV.
const AES_INFO_BYTES: usize = 4 + 4 + 12;

/// What became of a vector.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The message decodes to the vector's plaintext.
    Decoded,
    /// The message is refused, as the vector says.
    Refused(Error),
    /// The message has format version 1, which is not supported, and the error says so.
    Version1(Error),
    /// The message cannot be checked here, for this reason.
    Skipped(&'static str),
    /// The library disagrees with the vector.
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decoded => write!(f, "decoded"),
            Self::Refused(error) => write!(f, "refused, as it must be: {error}"),
            Self::Version1(error) => write!(f, "refused: {error}"),
            Self::Skipped(reason) => write!(f, "skipped: {reason}"),
            Self::Failed(what) => write!(f, "FAILED: {what}"),
        }
    }
}

/// Checks all vectors of a folder. Returns each with its name.
pub(crate) fn check(folder: &Path) -> io::Result<Vec<(String, Outcome)>> {
    if folder.join(MANIFEST).exists() {
        return check_manifest(folder);
    }
    let vectors = read_json(&folder.join(COMMITMENT))?;
    let vectors = vectors["tests"].as_array().cloned().unwrap_or_default();
    Ok(vectors.iter().map(|vector| (text(&vector["comment"]), check_commitment(vector))).collect())
}

fn check_manifest(folder: &Path) -> io::Result<Vec<(String, Outcome)>> {
    let manifest = read_json(&folder.join(MANIFEST))?;
    let keys = read_json(&file(folder, &manifest["keys"]))?["keys"].take();
    let tests = manifest["tests"].as_object().cloned().unwrap_or_default();
    tests.into_iter().map(|(name, test)| Ok((name, check_test(folder, &keys, &test)?))).collect()
}

fn check_test(folder: &Path, keys: &Value, test: &Value) -> io::Result<Outcome> {
    let message = fs::read(file(folder, &test["ciphertext"]))?;
    // Newer manifests have the plaintext within the result.
    let plaintext = [&test["plaintext"], &test["result"]["output"]["plaintext"]];
    let plaintext = plaintext.into_iter().find(|plaintext| plaintext.is_string());
    let plaintext = plaintext.map(|plaintext| fs::read(file(folder, plaintext))).transpose()?;
    let masters = test["master-keys"].as_array().cloned().unwrap_or_default();
    Ok(check_message(&message, plaintext.as_deref(), |message| {
        let of_master = |master| data_key(message, master, &keys[text(&master["key"])]);
        let mut found = masters.iter().map(of_master);
        found.find(Result::is_ok).unwrap_or(Err("no public AES key wraps its data key"))
    }))
}

fn check_commitment(vector: &Value) -> Outcome {
    let frames = vector["plaintext-frames"].as_array().cloned().unwrap_or_default();
    let plaintext: String = frames.iter().map(text).collect();
    let is_good = vector["exception"].is_null() || vector["exception"] == "";
    let plaintext = is_good.then_some(plaintext.as_bytes());
    check_message(&decode(&vector["ciphertext"]), plaintext, |message| {
        let key = decode(&vector["decrypted-dek"]);
        match key.is_empty() {
            false => Ok(key),
            true => unwrap(message, "", &[0; 32]).ok_or("its data key is not given"),
        }
    })
}

/// `plaintext` is `None` if the message must be refused.
fn check_message(
    message: &[u8],
    plaintext: Option<&[u8]>,
    data_key: impl FnOnce(&UnverifiedMessage<&[u8]>) -> Result<Vec<u8>, &'static str>,
) -> Outcome {
    let message = match UnverifiedMessage::parse(message, Limits::default()) {
        Ok(message) => message,
        Err(error @ Error::Version1 { .. }) => return Outcome::Version1(error),
        Err(error) => return refused(error, plaintext),
    };
    let key = match data_key(&message) {
        Ok(key) => key,
        Err(reason) => return Outcome::Skipped(reason),
    };
    let decrypted = message
        .verification_key()
        .and_then(|verification| DecryptionKey::new(&key, verification.as_deref()))
        .and_then(|key| message.decrypt(&key));
    match (decrypted, plaintext) {
        (Ok(decrypted), Some(plaintext)) if decrypted.plaintext.as_ref() == plaintext => {
            Outcome::Decoded
        }
        (Ok(_), Some(_)) => Outcome::Failed("the plaintext differs".to_owned()),
        (Ok(_), None) => Outcome::Failed("a message that must be refused decodes".to_owned()),
        (Err(error), plaintext) => refused(error, plaintext),
    }
}

fn refused(error: Error, plaintext: Option<&[u8]>) -> Outcome {
    match plaintext {
        None => Outcome::Refused(error),
        Some(_) => Outcome::Failed(error.to_string()),
    }
}

/// Returns the data key of a message according to one of its master keys.
fn data_key(
    message: &UnverifiedMessage<&[u8]>,
    master: &Value,
    key: &Value,
) -> Result<Vec<u8>, &'static str> {
    match (text(&master["type"]).as_str(), text(&key["algorithm"]).as_str()) {
        ("raw", "aes") => unwrap(message, &text(&master["provider-id"]), &decode(&key["material"]))
            .ok_or("the AES key does not fit"),
        ("raw", _) => Err("the key is RSA"),
        _ => Err("AWS KMS has the key"),
    }
}

/// Unwraps the data key with a raw AES key. Without a provider, all encrypted data keys are tried.
fn unwrap(message: &UnverifiedMessage<&[u8]>, provider: &str, key: &[u8]) -> Option<Vec<u8>> {
    let algorithm = [&AES_128_GCM, &AES_192_GCM, &AES_256_GCM];
    let algorithm = algorithm.into_iter().find(|algorithm| algorithm.key_len() == key.len())?;
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
    let aad = serialized_context(message);
    let is_of_provider =
        |wrapped: &EncryptedDataKey<'_>| provider.is_empty() || wrapped.provider_id == provider;
    message.encrypted_data_keys().filter(is_of_provider).find_map(|wrapped| {
        let info = wrapped.provider_info;
        let iv = info.get(info.len().checked_sub(AES_INFO_BYTES)? + 8..)?;
        let mut data_key = wrapped.ciphertext.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(iv).ok()?;
        Some(key.open_in_place(nonce, Aad::from(&aad), &mut data_key).ok()?.to_vec())
    })
}

/// Returns the encryption context as the data key is bound to it: nothing if it is empty.
fn serialized_context(message: &UnverifiedMessage<&[u8]>) -> Vec<u8> {
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

fn read_json(path: &Path) -> io::Result<Value> {
    let of_path =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    serde_json::from_slice(&fs::read(path).map_err(of_path)?).map_err(io::Error::other)
}

/// Returns the path of a reference such as `file://ciphertexts/1`.
fn file(folder: &Path, reference: &Value) -> std::path::PathBuf {
    folder.join(text(reference).trim_start_matches("file://"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn decode(value: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(text(value)).unwrap_or_default()
}
