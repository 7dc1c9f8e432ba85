//! KMS without state: a key follows from its ARN, so that every key and alias exists. A multi-Region
//! key (`key/mrk-…`) is the same in every Region.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::ACCOUNT;
use crate::answer::{Answer, ServiceError, json, parse};
use crate::base64_bytes::Base64;

/// The ARN of the key that an alias such as `alias/records` stands for in a Region.
#[must_use]
pub fn kms_key_arn(region: &str, alias: &str) -> String {
    let digest = digest(&SHA256, alias.as_bytes());
    let bytes = digest.as_ref().first_chunk().expect("SHA-256 has 32 bytes");
    let id = uuid::Builder::from_random_bytes(*bytes).into_uuid();
    format!("{}key/{id}", arn_prefix(region))
}

pub(crate) fn generate_data_key(region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
    let request: GenerateDataKey = parse(body)?;
    let mut plaintext = vec![0; request.key_len()?];
    aws_lc_rs::rand::fill(&mut plaintext).expect("AWS-LC's generator does not fail");
    let key_id = resolve(region, &request.key_id)?;
    let blob = seal(&key_id, &request.encryption_context, &plaintext);
    let plaintext = Some(Base64(plaintext));
    Ok(json(&Output { key_id, plaintext, ciphertext_blob: Some(Base64(blob)) }))
}

pub(crate) fn encrypt(region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
    let request: Encrypt = parse(body)?;
    if !(1..=4096).contains(&request.plaintext.0.len()) {
        return Err(ServiceError::validation("Plaintext has from 1 to 4096 bytes"));
    }
    let key_id = resolve(region, &request.key_id)?;
    let blob = seal(&key_id, &request.encryption_context, &request.plaintext.0);
    Ok(json(&Output { key_id, plaintext: None, ciphertext_blob: Some(Base64(blob)) }))
}

pub(crate) fn decrypt(region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
    let request: Decrypt = parse(body)?;
    let wanted = request.key_id.map(|key_id| resolve(region, &key_id)).transpose()?;
    let (key_id, plaintext) = open(region, &request.encryption_context, &request.ciphertext_blob.0)
        .ok_or_else(|| ServiceError::new(400, "InvalidCiphertextException", ""))?;
    if wanted.is_some_and(|wanted| wanted != key_id) {
        let message = "the ciphertext is of another key than KeyId";
        return Err(ServiceError::new(400, "IncorrectKeyException", message));
    }
    Ok(json(&Output { key_id, plaintext: Some(Base64(plaintext)), ciphertext_blob: None }))
}

pub(crate) fn describe_key(region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
    let request: DescribeKey = parse(body)?;
    let arn = resolve(region, &request.key_id)?;
    let key_id = arn.rsplit('/').next().unwrap_or_default();
    let metadata = serde_json::json!({ "Arn": arn, "KeyId": key_id, "Enabled": true });
    Ok(json(&serde_json::json!({ "KeyMetadata": metadata })))
}

type EncryptionContext = BTreeMap<String, String>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GenerateDataKey {
    key_id: String,
    #[serde(default)]
    encryption_context: EncryptionContext,
    key_spec: Option<String>,
    number_of_bytes: Option<usize>,
    #[serde(default, rename = "GrantTokens")]
    _grant_tokens: IgnoredAny,
}

impl GenerateDataKey {
    fn key_len(&self) -> Result<usize, ServiceError> {
        match (self.key_spec.as_deref(), self.number_of_bytes) {
            (Some("AES_128"), None) => Ok(16),
            (Some("AES_256"), None) => Ok(32),
            (None, Some(len @ 1..=1024)) => Ok(len),
            _ => Err(ServiceError::validation("KeySpec or NumberOfBytes, from 1 to 1024")),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Encrypt {
    key_id: String,
    plaintext: Base64,
    #[serde(default)]
    encryption_context: EncryptionContext,
    #[serde(default, rename = "GrantTokens")]
    _grant_tokens: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Decrypt {
    key_id: Option<String>,
    ciphertext_blob: Base64,
    #[serde(default)]
    encryption_context: EncryptionContext,
    #[serde(default, rename = "GrantTokens")]
    _grant_tokens: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeKey {
    key_id: String,
    #[serde(default, rename = "GrantTokens")]
    _grant_tokens: IgnoredAny,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    key_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Base64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext_blob: Option<Base64>,
}

/// The key's ARN, from a key id, the name of an alias, or the ARN of a key or an alias.
fn resolve(region: &str, key_id: &str) -> Result<String, ServiceError> {
    let prefix = arn_prefix(region);
    let name = key_id.strip_prefix(&prefix).unwrap_or(key_id);
    match name.split_once('/') {
        Some(("alias", _)) => Ok(kms_key_arn(region, name)),
        Some(("key", id)) if name != key_id => Ok(format!("{prefix}key/{id}")),
        None if name == key_id => Ok(format!("{prefix}key/{name}")),
        _ => Err(ServiceError::new(400, "NotFoundException", "no key of this account and Region")),
    }
}

fn arn_prefix(region: &str) -> String {
    format!("arn:aws:kms:{region}:{ACCOUNT}:")
}

/// The key's ARN, a zero byte, the nonce, the ciphertext and its tag.
fn seal(arn: &str, context: &EncryptionContext, plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = plaintext.to_vec();
    let nonce = key(arn)
        .seal_in_place_append_tag(aad(context), &mut sealed)
        .expect("AES-GCM takes every plaintext that fits into a request");
    [arn.as_bytes(), &[0], nonce.as_ref(), &sealed].concat()
}

/// The key's ARN and the plaintext, if the blob is whole and of this Region and context.
fn open(region: &str, context: &EncryptionContext, blob: &[u8]) -> Option<(String, Vec<u8>)> {
    let (arn, rest) = blob.split_at_checked(blob.iter().position(|byte| *byte == 0)?)?;
    let arn = key_here(region, str::from_utf8(arn).ok()?)?;
    let (nonce, sealed) = rest[1..].split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = sealed.to_vec();
    let plaintext = key(&arn).open_in_place(nonce, aad(context), &mut sealed).ok()?;
    Some((arn, plaintext.to_vec()))
}

/// The ARN in this Region of the key that made a blob, if the key exists here.
fn key_here(region: &str, arn: &str) -> Option<String> {
    match multi_region_id(arn) {
        Some(id) => Some(format!("{}key/{id}", arn_prefix(region))),
        None => arn.starts_with(&arn_prefix(region)).then(|| arn.to_owned()),
    }
}

fn multi_region_id(arn: &str) -> Option<&str> {
    arn.split_once(":key/").map(|(_, id)| id).filter(|id| id.starts_with("mrk-"))
}

/// It is no secret: everyone can derive it.
fn key(arn: &str) -> RandomizedNonceKey {
    let bytes = digest(&SHA256, multi_region_id(arn).unwrap_or(arn).as_bytes());
    RandomizedNonceKey::new(&AES_256_GCM, bytes.as_ref()).expect("SHA-256 has a key's 32 bytes")
}

/// The same bytes for the same pairs, and for no others.
fn aad(context: &EncryptionContext) -> Aad<Vec<u8>> {
    Aad::from(serde_json::to_vec(context).expect("a map of strings is JSON"))
}
