//! Cache ids against vectors that a script computed from the specification's formulas.

use std::collections::HashMap;

use esdk_caching_cmm::{AlgorithmSuiteId, CacheId, EncryptedDataKey};
use serde::Deserialize;

const VECTORS: &str = include_str!("vectors.json");

#[derive(Deserialize)]
struct Vectors {
    encryption: Vec<Encryption>,
    decryption: Vec<Decryption>,
}

#[derive(Deserialize)]
struct Encryption {
    partition: String,
    suite: Option<u16>,
    context: HashMap<String, String>,
    id: String,
}

#[derive(Deserialize)]
struct Decryption {
    partition: String,
    suite: u16,
    context: HashMap<String, String>,
    /// Provider id, provider information and ciphertext, the last two in hexadecimal.
    keys: Vec<(String, String, String)>,
    id: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(VECTORS).expect("the vectors have this form")
}

fn suite(id: u16) -> AlgorithmSuiteId {
    AlgorithmSuiteId::from_id(id).expect("the vectors name suites of the specification")
}

fn hex(id: &CacheId) -> String {
    id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn encryption_ids_are_those_of_the_specification() {
    let vectors = vectors().encryption;
    assert!(vectors.len() > 20);
    for Encryption { partition, suite: id, context, id: expected } in vectors {
        let computed = CacheId::for_encryption(&partition, id.map(suite), &context);
        assert_eq!(hex(&computed.unwrap()), expected, "{partition} {id:?} {context:?}");
    }
}

#[test]
fn decryption_ids_are_those_of_the_specification_whatever_the_order_of_keys() {
    let vectors = vectors().decryption;
    assert!(vectors.len() > 90);
    for Decryption { partition, suite: id, context, keys, id: expected } in vectors {
        let keys: Vec<_> = keys
            .iter()
            .map(|(provider, info, ciphertext)| {
                EncryptedDataKey::new(provider, bytes(info), bytes(ciphertext))
            })
            .collect();
        let computed = CacheId::for_decryption(&partition, suite(id), &keys, &context);
        assert_eq!(hex(&computed.unwrap()), expected);
    }
}

#[test]
fn what_cannot_be_serialized_has_no_id() {
    let long = [("key".to_owned(), "x".repeat(1 << 16))].into();
    assert!(CacheId::for_encryption("partition", None, &long).is_none());
}
