//! The command that checks AWS's published vectors, on vectors of our own in the same formats.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

#[path = "../examples/check_vectors/vectors.rs"]
mod published;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

use published::{Outcome, check};

const PYTHON: &str = include_str!("vectors/python.json");
const VERSION_1: &str = include_str!("vectors/python-version-1.json");

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Returns the message and the plaintext of a vector.
fn vector(file: &str, at: usize) -> (Vec<u8>, Vec<u8>) {
    let vector = serde_json::from_str::<Value>(file).unwrap()[at].take();
    let length = vector["plaintext_length"].as_u64().unwrap();
    let message = BASE64_STANDARD.decode(vector["message"].as_str().unwrap()).unwrap();
    (message, (0..length).map(|n| (n % 251) as u8).collect())
}

fn write_json(path: PathBuf, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn a_manifest_is_checked_vector_by_vector() {
    let folder = folder("manifest");
    let zeros = BASE64_STANDARD.encode([0; 32]);
    let keys = json!({
        "zeros": { "algorithm": "aes", "bits": 256, "encoding": "base64", "material": zeros },
        "rsa": { "algorithm": "rsa", "encoding": "pem", "material": "-----BEGIN" },
        "kms": { "type": "aws-kms", "key-id": "arn:aws:kms:us-west-2:000000000000:key/1" },
    });
    write_json(folder.join("keys.json"), &json!({ "keys": keys }));
    let (message, plaintext) = vector(PYTHON, 2);
    let (signed, _) = vector(PYTHON, 3);
    let (version_1, _) = vector(VERSION_1, 0);
    let mut changed = message.clone();
    *changed.last_mut().unwrap() ^= 1;
    for (file, content) in [
        ("plaintext", &plaintext),
        ("message", &message),
        ("signed", &signed),
        ("version-1", &version_1),
        ("changed", &changed),
    ] {
        fs::write(folder.join(file), content).unwrap();
    }
    let raw = json!({ "type": "raw", "key": "zeros", "provider-id": "esdk-message" });
    let test = |file: &str, master: &Value| {
        json!({
            "plaintext": "file://plaintext", "ciphertext": format!("file://{file}"),
            "master-keys": [master],
        })
    };
    let newer = json!({
        "ciphertext": "file://signed", "master-keys": [raw],
        "result": { "output": { "plaintext": "file://plaintext" } },
    });
    let negative = json!({
        "ciphertext": "file://changed", "master-keys": [raw],
        "result": { "error": { "error-description": "changed" } },
    });
    let tests = json!({
        "good": test("message", &raw),
        "newer": newer,
        "negative": negative,
        "old": test("version-1", &raw),
        "broken": test("changed", &raw),
        "rsa": test("message", &json!({ "type": "raw", "key": "rsa" })),
        "kms": test("message", &json!({ "type": "aws-kms", "key": "kms" })),
    });
    let manifest = json!({
        "manifest": { "type": "awses-decrypt", "version": 2 }, "keys": "file://keys.json",
        "tests": tests,
    });
    write_json(folder.join("manifest.json"), &manifest);

    let outcomes: BTreeMap<_, _> = check(&folder).unwrap().into_iter().collect();
    assert_eq!(outcomes.len(), 7);
    assert_eq!(outcomes["good"], Outcome::Decoded);
    assert_eq!(outcomes["newer"], Outcome::Decoded);
    assert!(matches!(outcomes["negative"], Outcome::Refused(_)), "{:?}", outcomes["negative"]);
    assert!(matches!(outcomes["old"], Outcome::Version1(_)), "{:?}", outcomes["old"]);
    assert!(matches!(outcomes["broken"], Outcome::Failed(_)), "{:?}", outcomes["broken"]);
    assert_eq!(outcomes["rsa"], Outcome::Skipped("the key is RSA"));
    assert_eq!(outcomes["kms"], Outcome::Skipped("AWS KMS has the key"));
}

#[test]
fn vectors_of_commitment_are_checked_one_by_one() {
    let folder = folder("commitment");
    // The plaintext of this format is text, which an empty one is.
    let (message, _) = vector(PYTHON, 0);
    let mut changed = message.clone();
    // A byte of the message id, from which the commitment is derived.
    changed[5] ^= 1;
    let test = |comment: &str, message: &[u8], exception: Value| {
        json!({
            "comment": comment, "ciphertext": BASE64_STANDARD.encode(message),
            "keyring-type": "static", "plaintext-frames": [""], "exception": exception,
        })
    };
    let good = test("good", &message, Value::Null);
    let tests = [good, test("bad", &changed, json!("Key commitment validation failed"))];
    write_json(folder.join("commitment-test-vectors.json"), &json!({ "tests": tests }));
    let outcomes: BTreeMap<_, _> = check(&folder).unwrap().into_iter().collect();
    assert_eq!(outcomes["good"], Outcome::Decoded);
    assert!(matches!(outcomes["bad"], Outcome::Refused(_)), "{:?}", outcomes["bad"]);
}
