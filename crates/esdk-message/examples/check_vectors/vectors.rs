//! AWS's published message vectors: manifests of the type `awses-decrypt`, and the file
//! `commitment-test-vectors.json` of the SDK for Python.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use esdk_message::{DecryptionKey, Error, Limits, UnverifiedMessage};
use serde_json::Value;

use crate::unwrap::{data_key, with_aes};

const MANIFEST: &str = "manifest.json";
const COMMITMENT: &str = "commitment-test-vectors.json";

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
        let of_master = |master: &Value| data_key(message, master, &keys[text(&master["key"])]);
        let mut found: Vec<_> = masters.iter().map(of_master).collect();
        // The first one that has it, or the last one's reason.
        found.sort_by_key(Result::is_err);
        found.into_iter().next().unwrap_or(Err("it names no master key"))
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
            true => with_aes(message, "", &[0; 32]).ok_or("its data key is not given"),
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
