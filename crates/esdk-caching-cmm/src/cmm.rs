//! The caching cryptographic materials manager.

use std::any::Any;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::builder::CachingCmmBuilder;
use crate::cache::{CacheStats, CryptographicMaterialsCache};
use crate::cache_id::CacheId;
use crate::clock::{Clock, Timestamp};
use crate::entry::{CacheEntry, Hit, Unusable};
use crate::error::Error;
use crate::flight::{Answer, Call, Flights, Landing, Next, call};
use crate::manager::{DecryptionRequest, EncryptionRequest, Materials, MaterialsManager};
use crate::request::{Caching, Input, Request};
use crate::suite::CommitmentPolicy;
use crate::sync;

/// A cryptographic materials manager that keeps data keys in a cache, and asks the
/// [`MaterialsManager`] below only when the cache has none that may still be used.
///
/// Requests that miss the cache together for the same materials make one call and share its answer.
/// Calls for different materials run side by side, up to a bound. A hit never waits for a call. Clones
/// share everything.
///
/// # What is not cached
/// A request goes straight to the manager, and its materials are not stored, when
/// - its suite derives no key per message (identity KDF);
/// - it encrypts a plaintext whose length is not given, or is above the limit on bytes;
/// - it names required encryption context keys, or reproduces context that the message does not
///   carry: the materials then depend on more than the cache id covers;
/// - it reproduces any context, and the manager does more than to
///   [compare it](MaterialsManager::only_compares_reproduced_context): a manager may refuse a message
///   for which a pair is not reproduced, and what it allowed once must not serve a reader who
///   reproduces nothing;
/// - it names no suite, and the cached materials are of a suite that its commitment policy forbids.
///   They stay in the cache for others.
///
/// A request that names a suite which its own commitment policy forbids fails at once.
///
/// Source: AWS Encryption SDK specification, `framework/caching-cmm.md`.
pub struct CachingCmm<M: MaterialsManager>(Arc<Inner<M>>);

pub(crate) struct Inner<M: MaterialsManager> {
    pub(crate) manager: M,
    pub(crate) cache: Arc<dyn CryptographicMaterialsCache>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) caching: Caching,
    /// One for each call that may be in flight.
    pub(crate) permits: Semaphore,
    pub(crate) flights: Flights<M::Error>,
    pub(crate) counters: Counters,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: AtomicU64,
    hits: AtomicU64,
    calls: AtomicU64,
}

/// Counters that show how much caching saves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CmmStats {
    /// Requests for materials, including those in flight and those that failed. Requests that break
    /// their own commitment policy or reproduced context are refused before they count.
    pub requests: u64,
    /// Requests that were answered without a call of their own.
    pub hits: u64,
    /// Calls to the manager, including those that failed or only refreshed an entry.
    pub calls: u64,
}

impl CmmStats {
    /// Returns the share of hits among hits and calls, 0 to 1; `None` before the first of either.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
    pub fn hit_rate(&self) -> Option<f64> {
        let answers = self.hits + self.calls;
        (answers > 0).then(|| self.hits as f64 / answers as f64)
    }
}

type Outcome<T, M> = Result<T, Error<<M as MaterialsManager>::Error>>;

impl<M: MaterialsManager> CachingCmm<M> {
    /// Starts a caching CMM over `manager`. A cache and a maximum age are required settings.
    pub fn builder(manager: M) -> CachingCmmBuilder<M> {
        CachingCmmBuilder::new(manager)
    }

    pub(crate) fn new(inner: Inner<M>) -> Self {
        Self(Arc::new(inner))
    }

    /// Returns materials to encrypt a message with, shared with other messages.
    ///
    /// On a miss the call to the manager also runs as a Tokio task, so that it ends even if the
    /// caller stops waiting; the next request then finds its answer.
    ///
    /// # Errors
    /// [`Error`]. It is not kept: the next request tries again.
    pub async fn encryption_materials(
        &self,
        request: EncryptionRequest,
    ) -> Outcome<Arc<M::EncryptionMaterials>, M> {
        let request = Request::encryption(&self.0.caching, request)?;
        downcast(self.materials(request).await?)
    }

    /// Returns materials to decrypt a message with, shared with other requests. The call to the
    /// manager runs as for [`encryption_materials`](Self::encryption_materials).
    ///
    /// # Errors
    /// [`Error`]. It is not kept: the next request tries again.
    pub async fn decryption_materials(
        &self,
        request: DecryptionRequest,
    ) -> Outcome<Arc<M::DecryptionMaterials>, M> {
        let request = Request::decryption(&self.0.caching, request)?;
        downcast(self.materials(request).await?)
    }

    /// Returns the counters of this CMM and its clones.
    #[must_use]
    pub fn stats(&self) -> CmmStats {
        let Counters { requests, hits, calls } = &self.0.counters;
        CmmStats {
            requests: requests.load(Relaxed),
            hits: hits.load(Relaxed),
            calls: calls.load(Relaxed),
        }
    }

    /// Returns the counters of the cache, which count for all CMMs that share it.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.0.cache.stats()
    }

    async fn materials(&self, request: Request) -> Outcome<Arc<dyn Materials>, M> {
        self.count_request();
        let Some(id) = request.id else { return self.bypass(&request).await };
        loop {
            let (landed, policy) =
                match self.next(id, &request, |landing| self.lead(landing, &request)) {
                    Next::Hit(hit) => return Ok(self.use_hit(hit, &request)),
                    Next::Bypass => return self.bypass(&request).await,
                    Next::Lead(call) => {
                        sync::spawn(call.clone().map(drop));
                        return call.await.map(|answer| answer.materials);
                    }
                    Next::Join(call, policy) => (call.await, policy),
                };
            match self.share(landed, policy, &request)? {
                Share::Materials(materials) => return Ok(materials),
                Share::Bypass => return self.bypass(&request).await,
                Share::UsedUp => {}
            }
        }
    }

    pub(crate) fn count_request(&self) {
        self.0.counters.requests.fetch_add(1, Relaxed);
    }

    pub(crate) fn next(
        &self,
        id: CacheId,
        request: &Request,
        begin: impl FnOnce(Landing<M::Error>) -> Call<M::Error>,
    ) -> Next<M::Error> {
        self.0.flights.next(id, request, &*self.0.cache, begin)
    }

    /// Takes this request's share of another request's call.
    pub(crate) fn share(
        &self,
        landed: Outcome<Answer, M>,
        policy: CommitmentPolicy,
        request: &Request,
    ) -> Outcome<Share, M> {
        let answer = match landed {
            Ok(answer) => answer,
            Err(error) if policy == request.policy => return Err(error),
            // The manager may refuse one policy and serve another.
            Err(_) => return Ok(Share::Bypass),
        };
        let Some(entry) = answer.entry else { return Ok(Share::Bypass) };
        Ok(match entry.take_use(&self.0.clock.now(), &request.lookup) {
            Ok(hit) => Share::Materials(self.use_hit(hit, request)),
            Err(Unusable::Forbidden) => Share::Bypass,
            Err(Unusable::Ended(_)) => Share::UsedUp,
        })
    }

    pub(crate) fn use_hit(&self, hit: Hit, request: &Request) -> Arc<dyn Materials> {
        self.0.counters.hits.fetch_add(1, Relaxed);
        if hit.refresh && sync::can_spawn() {
            self.refresh(&request.unused());
        }
        hit.materials
    }

    /// Replaces an entry before it ends, in the background. If that fails, the entry stays, and a
    /// later hit tries again.
    fn refresh(&self, request: &Request) {
        let Some(id) = request.id else { return };
        let begin = |landing| self.lead(landing, request);
        if let Some(call) = self.0.flights.refresh(id, request, &*self.0.cache, begin) {
            sync::spawn(call.map(drop));
        }
    }

    /// A call whose answer others share.
    fn lead(&self, landing: Landing<M::Error>, request: &Request) -> Call<M::Error> {
        let (cmm, request) = (self.clone(), request.clone());
        call(catching_panics(async move {
            let (materials, asked_at) = cmm.ask(&request).await?;
            Ok(cmm.land(&landing, materials, asked_at, &request))
        }))
    }

    /// Stores what a call gave, if it may serve other requests.
    pub(crate) fn land(
        &self,
        landing: &Landing<M::Error>,
        materials: Arc<dyn Materials>,
        asked_at: Timestamp,
        request: &Request,
    ) -> Answer {
        let caches = materials.suite().is_some_and(|suite| !suite.has_identity_kdf());
        let entry = caches.then(|| {
            let Caching { limits, .. } = &self.0.caching;
            let usage = request.lookup.usage;
            Arc::new(CacheEntry::new(materials.clone(), asked_at, limits.max_age, usage))
        });
        if let Some(entry) = &entry {
            self.0.cache.put(landing.id, entry.clone(), landing.generation);
        }
        Answer { materials, entry }
    }

    /// Boxed, because the future of a request has room for the manager's otherwise, which is copied
    /// on each hit: kilobytes for a client of a service.
    fn bypass<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Outcome<Arc<dyn Materials>, M>> {
        async move { Ok(catching_panics(self.ask(request)).await?.0) }.boxed()
    }

    /// Calls the manager. The answer counts as old as the moment before the call.
    async fn ask(&self, request: &Request) -> Outcome<(Arc<dyn Materials>, Timestamp), M> {
        let _permit = self.0.permits.acquire().await.expect("the semaphore is never closed");
        let asked_at = self.count_call();
        let materials = ask(&self.0.manager, &request.input).await.map_err(Error::Manager)?;
        Ok((materials, asked_at))
    }

    pub(crate) fn count_call(&self) -> Timestamp {
        self.0.counters.calls.fetch_add(1, Relaxed);
        self.0.clock.now()
    }

    #[cfg(feature = "aws-esdk")]
    pub(crate) fn manager(&self) -> &M {
        &self.0.manager
    }

    #[cfg(feature = "aws-esdk")]
    pub(crate) fn caching(&self) -> &Caching {
        &self.0.caching
    }
}

/// A request's share of another request's call.
pub(crate) enum Share {
    /// Materials, with their use counted.
    Materials(Arc<dyn Materials>),
    /// Nothing: this request needs a call outside the cache.
    Bypass,
    /// Nothing: the entry has ended, and this request starts over.
    UsedUp,
}

/// A panic must reach neither the requests that share a call nor their callers.
async fn catching_panics<T, E>(
    call: impl Future<Output = Result<T, Error<E>>>,
) -> Result<T, Error<E>> {
    AssertUnwindSafe(call).catch_unwind().await.unwrap_or(Err(Error::Unfinished))
}

async fn ask<M: MaterialsManager>(
    manager: &M,
    input: &Input,
) -> Result<Arc<dyn Materials>, M::Error> {
    Ok(match input {
        Input::Encryption(request) => Arc::new(manager.encryption_materials(request).await?),
        Input::Decryption(request) => Arc::new(manager.decryption_materials(request).await?),
    })
}

pub(crate) fn downcast<T: Materials, E>(materials: Arc<dyn Materials>) -> Result<Arc<T>, Error<E>> {
    let materials: Arc<dyn Any + Send + Sync> = materials;
    materials.downcast().map_err(|_| Error::SharedPartition)
}

impl<M: MaterialsManager> Clone for CachingCmm<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: MaterialsManager> fmt::Debug for CachingCmm<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachingCmm")
            .field("caching", &self.0.caching)
            .field("cache", &self.0.cache)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
