//! A request for materials, and where its answer may be cached.

use crate::cache_id::CacheId;
use crate::error::Error;
use crate::limits::{Limits, Lookup, Usage};
use crate::manager::{DecryptionRequest, EncryptionRequest};
use crate::suite::{AlgorithmSuiteId, CommitmentPolicy, KeyCommitment};

/// A request that has passed the checks which the manager makes too, but not on a hit.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) input: Input,
    /// `None` to bypass the cache.
    pub(crate) id: Option<CacheId>,
    pub(crate) lookup: Lookup,
    pub(crate) policy: CommitmentPolicy,
}

#[derive(Clone)]
pub(crate) enum Input {
    Encryption(EncryptionRequest),
    Decryption(DecryptionRequest),
}

/// The settings of a caching CMM that decide whether and where it caches.
#[derive(Debug)]
pub(crate) struct Caching {
    pub(crate) partition_id: String,
    pub(crate) limits: Limits,
    /// See [`MaterialsManager`](crate::MaterialsManager).
    pub(crate) only_compares_reproduced_context: bool,
}

impl Request {
    pub(crate) fn encryption<E>(
        caching: &Caching,
        mut input: EncryptionRequest,
    ) -> Result<Self, Error<E>> {
        let policy = input.commitment_policy;
        check_suite(input.suite, policy, policy.on_encrypt())?;
        let (id, usage) = caching.encryption_lookup(&input).unzip();
        if id.is_some() {
            // The materials will serve messages of other lengths too.
            input.plaintext_length = None;
        }
        let usage = usage.unwrap_or(Usage::NONE);
        let lookup = Lookup::new(caching.limits, usage, policy.on_encrypt());
        Ok(Self { input: Input::Encryption(input), id, lookup, policy })
    }

    pub(crate) fn decryption<E>(
        caching: &Caching,
        input: DecryptionRequest,
    ) -> Result<Self, Error<E>> {
        let policy = input.commitment_policy;
        check_suite(Some(input.suite), policy, policy.on_decrypt())?;
        check_reproduced_context(&input)?;
        let id = caching.decryption_id(&input);
        let lookup = Lookup::new(caching.limits, Usage::NONE, policy.on_decrypt());
        Ok(Self { input: Input::Decryption(input), id, lookup, policy })
    }

    /// The same request for no message at all.
    pub(crate) fn unused(&self) -> Self {
        let lookup = Lookup { usage: Usage::NONE, ..self.lookup };
        Self { lookup, ..self.clone() }
    }
}

impl Caching {
    /// Cache id and use of a request for encryption materials; `None` to bypass the cache.
    fn encryption_lookup(&self, input: &EncryptionRequest) -> Option<(CacheId, Usage)> {
        let usage = Usage::message(input.plaintext_length?);
        if input.suite.is_some_and(AlgorithmSuiteId::has_identity_kdf)
            || !input.required_context_keys.is_empty()
            || !usage.is_within(&self.limits)
        {
            return None;
        }
        let context = &input.encryption_context;
        Some((CacheId::for_encryption(&self.partition_id, input.suite, context)?, usage))
    }

    /// Cache id of a request for decryption materials; `None` to bypass the cache.
    fn decryption_id(&self, input: &DecryptionRequest) -> Option<CacheId> {
        let (context, reproduced) = (&input.encryption_context, &input.reproduced_context);
        let adds_pairs = reproduced.keys().any(|key| !context.contains_key(key));
        let is_compared = reproduced.is_empty() || self.only_compares_reproduced_context;
        if input.suite.has_identity_kdf() || adds_pairs || !is_compared {
            return None;
        }
        let keys = &input.encrypted_data_keys;
        CacheId::for_decryption(&self.partition_id, input.suite, keys, context)
    }
}

/// `framework/default-cmm.md`: a request fails if its commitment policy does not support its suite.
fn check_suite<E>(
    suite: Option<AlgorithmSuiteId>,
    policy: CommitmentPolicy,
    allowed: KeyCommitment,
) -> Result<(), Error<E>> {
    match suite {
        Some(suite) if !allowed.allows(suite) => Err(Error::ForbiddenSuite { suite, policy }),
        _ => Ok(()),
    }
}

/// `framework/cmm-interface.md`, decrypt materials: reproduced pairs must be those of the message.
fn check_reproduced_context<E>(input: &DecryptionRequest) -> Result<(), Error<E>> {
    let differs = |(key, value): &(&String, &String)| {
        input.encryption_context.get(*key).is_some_and(|other| other != *value)
    };
    match input.reproduced_context.iter().find(differs) {
        Some((key, _)) => Err(Error::ReproducedContext { key: key.clone() }),
        None => Ok(()),
    }
}
