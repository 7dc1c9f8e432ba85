//! A request for materials, and where its answer may be cached.

use std::collections::HashMap;

use aws_esdk::material_providers::operation::decrypt_materials::DecryptMaterialsInput;
use aws_esdk::material_providers::operation::get_encryption_materials::GetEncryptionMaterialsInput;
use aws_esdk::material_providers::types::error::Error;

use crate::cache::{Limits, Usage};
use crate::cache_id::CacheId;
use crate::materials::is_identity_kdf;

/// A request, and where its answer may be cached.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) input: Input,
    /// `None` to bypass the cache.
    pub(crate) id: Option<CacheId>,
    pub(crate) usage: Usage,
}

#[derive(Clone)]
pub(crate) enum Input {
    Encryption(GetEncryptionMaterialsInput),
    Decryption(DecryptMaterialsInput),
}

/// What of a caching CMM decides whether and where it caches.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) partition_id: String,
    pub(crate) limits: Limits,
    /// Whether the underlying manager is known to do no more with reproduced context than to
    /// compare it, as aws-esdk's default CMM.
    pub(crate) only_compares_context: bool,
}

impl Request {
    pub(crate) fn encryption(policy: &Policy, mut input: GetEncryptionMaterialsInput) -> Self {
        let (id, usage) = policy.encryption_lookup(&input).unzip();
        if id.is_some() {
            // The materials will serve messages of other lengths too.
            input.max_plaintext_length = None;
        }
        Self { input: Input::Encryption(input), id, usage: usage.unwrap_or(Usage::NONE) }
    }

    pub(crate) fn decryption(policy: &Policy, input: DecryptMaterialsInput) -> Result<Self, Error> {
        check_reproduced_context(&input)?;
        let id = policy.decryption_lookup(&input);
        Ok(Self { input: Input::Decryption(input), id, usage: Usage::NONE })
    }

    /// The same request for no message at all.
    pub(crate) fn unused(&self) -> Self {
        Self { usage: Usage::NONE, ..self.clone() }
    }
}

impl Policy {
    /// Where and with what use to look for encryption materials; `None` to bypass the cache.
    fn encryption_lookup(&self, input: &GetEncryptionMaterialsInput) -> Option<(CacheId, Usage)> {
        let suite = input.algorithm_suite_id.as_ref();
        let usage = Usage::message(u64::try_from(input.max_plaintext_length?).ok()?);
        let names_required_keys =
            input.required_encryption_context_keys.as_ref().is_some_and(|keys| !keys.is_empty());
        if suite.is_some_and(is_identity_kdf)
            || names_required_keys
            || !usage.is_within(&self.limits)
        {
            return None;
        }
        let context = input.encryption_context.as_ref()?;
        Some((CacheId::for_encryption(&self.partition_id, suite, context)?, usage))
    }

    /// Where to look for decryption materials; `None` to bypass the cache.
    fn decryption_lookup(&self, input: &DecryptMaterialsInput) -> Option<CacheId> {
        let suite = input.algorithm_suite_id.as_ref()?;
        let context = input.encryption_context.as_ref()?;
        let empty = HashMap::new();
        let reproduced = input.reproduced_encryption_context.as_ref().unwrap_or(&empty);
        let adds_pairs = reproduced.keys().any(|key| !context.contains_key(key));
        let is_compared = reproduced.is_empty() || self.only_compares_context;
        if is_identity_kdf(suite) || adds_pairs || !is_compared {
            return None;
        }
        let keys = input.encrypted_data_keys.as_ref()?;
        CacheId::for_decryption(&self.partition_id, suite, keys, context)
    }
}

/// Pairs that the caller reproduces must be those of the message. The underlying manager checks
/// this too, but is not asked on a hit (`framework/cmm-interface.md`, decrypt materials).
fn check_reproduced_context(input: &DecryptMaterialsInput) -> Result<(), Error> {
    let empty = HashMap::new();
    let context = input.encryption_context.as_ref().unwrap_or(&empty);
    let reproduced = input.reproduced_encryption_context.as_ref().unwrap_or(&empty);
    let differs = |(key, value)| context.get(key).is_some_and(|other| other != value);
    if reproduced.iter().any(differs) {
        return Err(Error::InvalidDecryptionMaterials {
            message: "the message's encryption context differs from the one that was reproduced \
                      for its decryption"
                .to_owned(),
        });
    }
    Ok(())
}
