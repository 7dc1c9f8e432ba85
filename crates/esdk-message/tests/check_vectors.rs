//! The command that checks AWS's published vectors, on vectors of our own in the same formats.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

#[path = "../examples/check_vectors/unwrap.rs"]
mod unwrap;
#[path = "../examples/check_vectors/vectors.rs"]
mod vectors;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey,
    PrivateDecryptingKey, PublicEncryptingKey,
};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use esdk_message::{EncryptedDataKey, EncryptionKey};
use serde_json::{Value, json};

use vectors::{Outcome, check};

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

/// An RSA key that wraps data keys.
struct RsaKey {
    pem: String,
    public: PublicEncryptingKey,
}

impl RsaKey {
    const DATA_KEY: [u8; 32] = [7; 32];

    fn generate() -> Self {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let base64 = BASE64_STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n");
        Self { pem, public: key.public_key() }
    }

    fn message_with_pkcs1(&self, plaintext: &[u8]) -> Vec<u8> {
        let key = Pkcs1PublicEncryptingKey::new(self.public.clone()).unwrap();
        let mut wrapped = vec![0; key.ciphertext_size()];
        message(key.encrypt(&Self::DATA_KEY, &mut wrapped).unwrap(), plaintext)
    }

    fn message_with_oaep(&self, plaintext: &[u8]) -> Vec<u8> {
        let key = OaepPublicEncryptingKey::new(self.public.clone()).unwrap();
        let mut wrapped = vec![0; key.ciphertext_size()];
        let wrapped = key.encrypt(&OAEP_SHA256_MGF1SHA256, &Self::DATA_KEY, &mut wrapped, None);
        message(wrapped.unwrap(), plaintext)
    }
}

fn message(wrapped: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let key = EncryptedDataKey { provider_id: "rsa", provider_info: b"rsa", ciphertext: wrapped };
    let key = EncryptionKey::new(&RsaKey::DATA_KEY, None, [("stream", "records")], &[key]);
    key.unwrap().encrypt(plaintext, 4096).unwrap()
}

fn write_json(path: PathBuf, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

#[test]
fn a_manifest_is_checked_vector_by_vector() {
    let folder = folder("manifest");
    let zeros = BASE64_STANDARD.encode([0; 32]);
    let rsa = RsaKey::generate();
    let keys = json!({
        "zeros": { "algorithm": "aes", "bits": 256, "encoding": "base64", "material": zeros },
        "rsa": { "algorithm": "rsa", "encoding": "pem", "material": rsa.pem },
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
        ("pkcs1", &rsa.message_with_pkcs1(&plaintext)),
        ("oaep", &rsa.message_with_oaep(&plaintext)),
    ] {
        fs::write(folder.join(file), content).unwrap();
    }
    let raw = json!({ "type": "raw", "key": "zeros", "provider-id": "esdk-message" });
    let rsa_master = |padding: &str, hash: Value| {
        json!({
            "type": "raw", "key": "rsa", "provider-id": "rsa", "padding-algorithm": padding,
            "padding-hash": hash,
        })
    };
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
        "pkcs1": test("pkcs1", &rsa_master("pkcs1", Value::Null)),
        "oaep": test("oaep", &rsa_master("oaep-mgf1", json!("sha256"))),
        "other": test("oaep", &rsa_master("oaep-mgf1", json!("sha1"))),
        "kms": test("message", &json!({ "type": "aws-kms", "key": "kms" })),
    });
    let manifest = json!({
        "manifest": { "type": "awses-decrypt", "version": 2 }, "keys": "file://keys.json",
        "tests": tests,
    });
    write_json(folder.join("manifest.json"), &manifest);

    let outcomes: BTreeMap<_, _> = check(&folder).unwrap().into_iter().collect();
    assert_eq!(outcomes.len(), 9);
    assert_eq!(outcomes["good"], Outcome::Decoded);
    assert_eq!(outcomes["newer"], Outcome::Decoded);
    assert!(matches!(outcomes["negative"], Outcome::Refused(_)), "{:?}", outcomes["negative"]);
    assert!(matches!(outcomes["old"], Outcome::Version1(_)), "{:?}", outcomes["old"]);
    assert!(matches!(outcomes["broken"], Outcome::Failed(_)), "{:?}", outcomes["broken"]);
    assert_eq!(outcomes["pkcs1"], Outcome::Decoded);
    assert_eq!(outcomes["oaep"], Outcome::Decoded);
    let reason = "its master key does not unwrap the data key";
    assert_eq!(outcomes["other"], Outcome::Skipped(reason));
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
