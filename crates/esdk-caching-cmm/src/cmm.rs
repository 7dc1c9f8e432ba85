//! The caching cryptographic materials manager.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};

use aws_esdk::material_providers::operation::decrypt_materials::{
    DecryptMaterialsInput, DecryptMaterialsOutput,
};
use aws_esdk::material_providers::operation::get_encryption_materials::{
    GetEncryptionMaterialsInput, GetEncryptionMaterialsOutput,
};
use aws_esdk::material_providers::types::cryptographic_materials_manager::{
    CryptographicMaterialsManager, CryptographicMaterialsManagerRef,
};
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::{DecryptionMaterials, EncryptionMaterials};

use crate::builder::CachingCmmBuilder;
use crate::cache::{CacheEntry, CacheStats, CryptographicMaterialsCache, Hit};
use crate::clock::Clock;
use crate::flight::{Flights, Lead, Next, abandoned};
use crate::materials::{CachedMaterials, Zeroizing};
use crate::request::{Input, Policy, Request};
use crate::sync;

/// A cryptographic materials manager that keeps data keys in a cache, and asks the manager or
/// keyring under it only when the cache has none that may still be used.
///
/// Two ways lead to it. [`encryption_materials`](Self::encryption_materials) and
/// [`decryption_materials`](Self::decryption_materials) are asynchronous and hand out shared
/// materials. aws-esdk's own trait, [`CryptographicMaterialsManager`], which it also implements, is
/// synchronous, copies the materials, and lets one request at a time through.
///
/// Requests that miss the cache together make one call to the underlying manager and share its
/// answer. A hit waits for nobody. Clones share everything.
///
/// # What is not cached
/// A request goes straight to the underlying manager, and its materials are not stored, when
/// - its suite derives no key per message (identity KDF);
/// - it encrypts a plaintext whose length is not given, or is above the limit on bytes;
/// - it names required encryption context keys, or reproduces context that the message does not
///   carry: the materials then depend on more than the cache id covers;
/// - it reproduces any context, and the underlying manager was given as such and not as a keyring: a
///   manager may refuse a message for which a pair is not reproduced, as aws-esdk's required
///   encryption context CMM does, and what it allowed once must not serve who reproduces nothing.
///
/// Source: AWS Encryption SDK specification, `framework/caching-cmm.md`.
#[derive(Debug, Clone)]
pub struct CachingCmm {
    underlying: CryptographicMaterialsManagerRef,
    cache: Arc<dyn CryptographicMaterialsCache>,
    clock: Arc<dyn Clock>,
    policy: Arc<Policy>,
    flights: Flights,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    hits: AtomicU64,
    calls: AtomicU64,
}

/// How much caching saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CmmStats {
    /// Requests for materials, those that are not answered yet among them.
    pub requests: u64,
    /// Requests that were answered without a call of their own.
    pub hits: u64,
    /// Calls to the underlying manager, those that failed or only refreshed an entry among them.
    pub calls: u64,
}

impl CmmStats {
    /// Share of hits among hits and calls, 0 to 1; `None` before the first of either.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
    pub fn hit_rate(&self) -> Option<f64> {
        let answers = self.hits + self.calls;
        (answers > 0).then(|| self.hits as f64 / answers as f64)
    }
}

impl CachingCmm {
    pub(crate) fn new(
        underlying: CryptographicMaterialsManagerRef,
        cache: Arc<dyn CryptographicMaterialsCache>,
        clock: Arc<dyn Clock>,
        policy: Policy,
    ) -> Self {
        Self {
            underlying,
            cache,
            clock,
            policy: Arc::new(policy),
            flights: Flights::default(),
            counters: Arc::default(),
        }
    }

    /// Starts a caching CMM. A cache, a maximum age, and a keyring or manager are required.
    pub fn builder() -> CachingCmmBuilder {
        CachingCmmBuilder::default()
    }

    /// Materials to encrypt a message with, shared with other messages. Needs a Tokio runtime: the
    /// underlying manager is called on one of its blocking threads, and goes on there if the
    /// caller stops waiting.
    ///
    /// # Errors
    /// The underlying manager's. It is not kept: the next request tries again.
    pub async fn encryption_materials(
        &self,
        input: GetEncryptionMaterialsInput,
    ) -> Result<Arc<Zeroizing<EncryptionMaterials>>, Error> {
        let request = Request::encryption(&self.policy, input);
        match self.materials(request).await? {
            CachedMaterials::Encryption(materials) => Ok(materials),
            CachedMaterials::Decryption(_) => Err(foreign()),
        }
    }

    /// Materials to decrypt a message with, shared with other messages. Needs a Tokio runtime, as
    /// [`encryption_materials`](Self::encryption_materials).
    ///
    /// # Errors
    /// The underlying manager's; or the reproduced encryption context is not the message's.
    pub async fn decryption_materials(
        &self,
        input: DecryptMaterialsInput,
    ) -> Result<Arc<Zeroizing<DecryptionMaterials>>, Error> {
        let request = Request::decryption(&self.policy, input)?;
        match self.materials(request).await? {
            CachedMaterials::Decryption(materials) => Ok(materials),
            CachedMaterials::Encryption(_) => Err(foreign()),
        }
    }

    /// What this CMM and its clones have done.
    #[must_use]
    pub fn stats(&self) -> CmmStats {
        let Counters { requests, hits, calls } = &*self.counters;
        CmmStats {
            requests: requests.load(Relaxed),
            hits: hits.load(Relaxed),
            calls: calls.load(Relaxed),
        }
    }

    /// What the cache has done for all that share it.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    async fn materials(&self, request: Request) -> Result<CachedMaterials, Error> {
        self.counters.requests.fetch_add(1, Relaxed);
        loop {
            let landed = match self.next(&request) {
                Next::Hit(hit) => return Ok(self.use_hit(hit, &request)),
                Next::Join(flight) => flight.landed().await?,
                Next::Lead(lead) => {
                    let cmm = self.clone();
                    let call = sync::spawn_blocking(move || cmm.lead(lead, &request));
                    return call.await.unwrap_or_else(|| Err(abandoned()));
                }
            };
            if let Some(hit) = self.take_use(landed, &request) {
                return Ok(self.use_hit(hit, &request));
            }
        }
    }

    /// The same on the caller's thread.
    fn materials_blocking(&self, request: &Request) -> Result<CachedMaterials, Error> {
        self.counters.requests.fetch_add(1, Relaxed);
        loop {
            let landed = match self.next(request) {
                Next::Hit(hit) => return Ok(self.use_hit(hit, request)),
                Next::Join(flight) => flight.wait()?,
                Next::Lead(lead) => return self.lead(lead, request),
            };
            if let Some(hit) = self.take_use(landed, request) {
                return Ok(self.use_hit(hit, request));
            }
        }
    }

    fn next(&self, request: &Request) -> Next {
        match request.id {
            None => Next::Lead(Lead::alone()),
            Some(id) => {
                let look_up = || self.cache.get(&id, &self.policy.limits, request.usage);
                self.flights.next(id, look_up)
            }
        }
    }

    /// A use of what another request's call gave, if that leaves one for this request.
    fn take_use(&self, landed: Option<Arc<CacheEntry>>, request: &Request) -> Option<Hit> {
        landed?.take_use(&self.clock.now(), &self.policy.limits, request.usage).ok()
    }

    fn use_hit(&self, hit: Hit, request: &Request) -> CachedMaterials {
        self.counters.hits.fetch_add(1, Relaxed);
        if hit.refresh && sync::can_spawn() {
            self.refresh(request.unused());
        }
        hit.materials
    }

    /// Replaces an entry before it ends, in the background. If that fails, the entry ends as if
    /// nothing had been tried.
    fn refresh(&self, request: Request) {
        if let Some(lead) = request.id.and_then(|id| self.flights.refresh(id)) {
            let cmm = self.clone();
            drop(sync::spawn_blocking(move || cmm.lead(lead, &request)));
        }
    }

    /// Calls the underlying manager, and shares what it gives.
    fn lead(&self, lead: Lead, request: &Request) -> Result<CachedMaterials, Error> {
        self.counters.calls.fetch_add(1, Relaxed);
        // A panic must not poison the mutex that aws-esdk holds around this CMM.
        let asked = catch_unwind(AssertUnwindSafe(|| self.ask(request)));
        let materials = match asked.unwrap_or_else(|_| Err(panicked())) {
            Ok(materials) => materials,
            Err(error) => {
                lead.land(Err(error.clone()));
                return Err(error);
            }
        };
        let entry = match lead.id() {
            Some(id) if materials.derive_message_keys() => {
                let (now, max_age) = (self.clock.now(), self.policy.limits.max_age);
                let entry = CacheEntry::new(materials.clone(), now, max_age, request.usage);
                let entry = Arc::new(entry);
                self.cache.put(id, entry.clone());
                Some(entry)
            }
            _ => None,
        };
        lead.land(Ok(entry));
        Ok(materials)
    }

    fn ask(&self, request: &Request) -> Result<CachedMaterials, Error> {
        let manager = self.underlying.inner.lock().unwrap_or_else(PoisonError::into_inner);
        match &request.input {
            Input::Encryption(input) => manager
                .get_encryption_materials(input.clone())?
                .encryption_materials
                .map(CachedMaterials::from),
            Input::Decryption(input) => manager
                .decrypt_materials(input.clone())?
                .decryption_materials
                .map(CachedMaterials::from),
        }
        .ok_or_else(|| Error::AwsCryptographicMaterialProvidersException {
            message: "the underlying cryptographic materials manager returned nothing".to_owned(),
        })
    }
}

fn panicked() -> Error {
    Error::AwsCryptographicMaterialProvidersException {
        message: "the underlying cryptographic materials manager panicked".to_owned(),
    }
}

fn foreign() -> Error {
    Error::AwsCryptographicMaterialProvidersException {
        message: "the cache returned materials of the other kind".to_owned(),
    }
}

impl CryptographicMaterialsManager for CachingCmm {
    fn get_encryption_materials(
        &self,
        input: GetEncryptionMaterialsInput,
    ) -> Result<GetEncryptionMaterialsOutput, Error> {
        match self.materials_blocking(&Request::encryption(&self.policy, input))? {
            CachedMaterials::Encryption(materials) => GetEncryptionMaterialsOutput::builder()
                .encryption_materials(EncryptionMaterials::clone(&materials))
                .build()
                .map_err(Error::wrap_validation_err),
            CachedMaterials::Decryption(_) => Err(foreign()),
        }
    }

    fn decrypt_materials(
        &self,
        input: DecryptMaterialsInput,
    ) -> Result<DecryptMaterialsOutput, Error> {
        match self.materials_blocking(&Request::decryption(&self.policy, input)?)? {
            CachedMaterials::Decryption(materials) => DecryptMaterialsOutput::builder()
                .decryption_materials(DecryptionMaterials::clone(&materials))
                .build()
                .map_err(Error::wrap_validation_err),
            CachedMaterials::Encryption(_) => Err(foreign()),
        }
    }
}
