//! Decrypting the data key of a message, with bounded work: nothing of the message is
//! authenticated yet.

use std::collections::HashSet;

use esdk_caching_cmm::{DecryptionRequest, EncryptionContext};

use super::error::NamedBy;
use super::{DataKey, KmsClient, KmsError, PROVIDER_ID};
use crate::arn::KmsArn;
use crate::error::{CipherError, ErrorKind};

/// Maximum number of calls for one message with each configured key. Writers encrypt a data key
/// once for each key.
const MAX_CALLS_PER_KEY: usize = 2;

/// Maximum number of calls for one message with discovery.
const MAX_DISCOVERY_CALLS: usize = 5;

/// Maximum number of answers that an encrypted data key is forged. Both limits above are for
/// messages whose keys cannot be used; a forged message ends here.
const MAX_FORGERIES: usize = 2;

/// Lengths of ciphertexts that `Decrypt` takes, in bytes. Source: AWS KMS API reference.
const CIPHERTEXT_LENS: std::ops::RangeInclusive<usize> = 1..=6144;

/// Maximum length of a key id. Source: AWS KMS API reference.
const MAX_KEY_ID_LEN: usize = 2048;

/// Keys that the settings name, in the order in which they are tried.
#[derive(Debug)]
pub(crate) struct StrictKeys(pub(crate) Vec<StrictKey>);

/// A key that the settings name.
#[derive(Debug)]
pub(crate) struct StrictKey {
    pub(crate) arn: KmsArn,
    pub(crate) kms: KmsClient,
}

impl StrictKeys {
    /// Source: AWS Encryption SDK specification, `framework/aws-kms/aws-kms-mrk-keyring.md`.
    pub(crate) async fn decrypt(
        &self,
        request: &DecryptionRequest,
    ) -> Result<DataKey, CipherError> {
        let wrapped = wrapped_keys(request)?;
        let mut attempts = Attempts::of(&request.encryption_context);
        for StrictKey { arn, kms } in &self.0 {
            let mut seen = HashSet::new();
            let ciphertexts = wrapped
                .iter()
                .filter(|wrapped| arn.matches_for_decrypt(&wrapped.arn))
                .map(|wrapped| wrapped.ciphertext)
                .filter(|ciphertext| seen.insert(*ciphertext));
            for ciphertext in ciphertexts.take(MAX_CALLS_PER_KEY) {
                let attempt = attempts.decrypt(kms, arn, NamedBy::Settings, ciphertext);
                if let Some(data_key) = attempt.await? {
                    return Ok(data_key);
                }
            }
        }
        Err(attempts.verdict())
    }
}

/// Any key of some accounts, in one Region.
#[derive(Debug)]
pub(crate) struct Discovery {
    pub(crate) partition: String,
    pub(crate) accounts: Vec<String>,
    pub(crate) kms: KmsClient,
}

impl Discovery {
    /// Source: AWS Encryption SDK specification,
    /// `framework/aws-kms/aws-kms-mrk-discovery-keyring.md`.
    pub(crate) async fn decrypt(
        &self,
        request: &DecryptionRequest,
    ) -> Result<DataKey, CipherError> {
        let mut attempts = Attempts::of(&request.encryption_context);
        let mut seen = HashSet::new();
        let usable = wrapped_keys(request)?
            .into_iter()
            .filter_map(|wrapped| Some((self.key_here(wrapped.arn)?, wrapped.ciphertext)));
        let distinct =
            usable.filter(|(arn, ciphertext)| seen.insert((arn.to_string(), *ciphertext)));
        for (arn, ciphertext) in distinct.take(MAX_DISCOVERY_CALLS) {
            let attempt = attempts.decrypt(&self.kms, &arn, NamedBy::Message, ciphertext);
            if let Some(data_key) = attempt.await? {
                return Ok(data_key);
            }
        }
        Err(attempts.verdict())
    }

    /// Returns the key to ask for in this Region, or `None` if the filter excludes it.
    fn key_here(&self, arn: KmsArn) -> Option<KmsArn> {
        let region = self.kms.region().as_str();
        let is_allowed = arn.partition == self.partition && self.accounts.contains(&arn.account);
        (is_allowed && (arn.region == region || arn.is_multi_region_key()))
            .then(|| arn.in_region(region))
    }
}

/// An encrypted data key that KMS can be asked for.
struct WrappedKey<'a> {
    arn: KmsArn,
    ciphertext: &'a [u8],
}

/// Returns the encrypted data keys of KMS, without those whose key or length KMS itself refuses.
fn wrapped_keys(request: &DecryptionRequest) -> Result<Vec<WrappedKey<'_>>, CipherError> {
    let mut wrapped = Vec::new();
    for key in request.encrypted_data_keys.iter().filter(|key| key.provider_id == PROVIDER_ID) {
        // The specification refuses the message as a whole if one of these is malformed.
        let text = std::str::from_utf8(&key.provider_info).ok();
        let arn = text.and_then(KmsArn::parse).filter(KmsArn::is_key);
        let arn = arn.ok_or(CipherError::NoUsableKey)?;
        if is_key_id(&key.provider_info) && CIPHERTEXT_LENS.contains(&key.ciphertext.len()) {
            wrapped.push(WrappedKey { arn, ciphertext: &key.ciphertext });
        }
    }
    Ok(wrapped)
}

/// Error messages show key ids, so this also keeps control characters out of them.
fn is_key_id(bytes: &[u8]) -> bool {
    bytes.len() <= MAX_KEY_ID_LEN && bytes.iter().all(u8::is_ascii_graphic)
}

/// Calls for one message, and their failures.
struct Attempts<'a> {
    context: &'a EncryptionContext,
    failures: Vec<KmsError>,
}

impl<'a> Attempts<'a> {
    fn of(context: &'a EncryptionContext) -> Self {
        Self { context, failures: Vec::new() }
    }

    /// Returns `None` if another encrypted data key may be tried.
    async fn decrypt(
        &mut self,
        kms: &KmsClient,
        key: &KmsArn,
        named_by: NamedBy,
        ciphertext: &[u8],
    ) -> Result<Option<DataKey>, CipherError> {
        match kms.decrypt(key, named_by, ciphertext, self.context).await {
            Ok(data_key) => return Ok(Some(data_key)),
            Err(error) => self.failures.push(error),
        }
        let forgeries = self.failures.iter().filter(|error| error.proves_forgery()).count();
        match forgeries < MAX_FORGERIES {
            true => Ok(None),
            false => Err(self.verdict()),
        }
    }

    /// Returns the failure that decides what happens to the record.
    fn verdict(&mut self) -> CipherError {
        let failures = std::mem::take(&mut self.failures).into_iter();
        failures.min_by_key(precedence).map_or(CipherError::NoUsableKey, CipherError::Kms)
    }
}

/// A forged data key never becomes better, whatever else failed: the header that holds it is
/// authenticated as a whole. Otherwise the record stays good while one call may succeed later.
fn precedence(error: &KmsError) -> u8 {
    match error.kind() {
        ErrorKind::Record if error.proves_forgery() => 0,
        ErrorKind::Retryable => 1,
        ErrorKind::Operator => 2,
        ErrorKind::Record => 3,
    }
}
