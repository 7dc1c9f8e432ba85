//! One call to the materials manager per cache id, however many requests wait for it.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

use crate::cache::CryptographicMaterialsCache;
use crate::cache_id::CacheId;
use crate::entry::{CacheEntry, Found, Hit};
use crate::error::Error;
use crate::manager::Materials;
use crate::request::Request;
use crate::suite::CommitmentPolicy;
use crate::sync::{Mutex, MutexGuard};

/// The result of a call.
#[derive(Clone)]
pub(crate) struct Answer {
    /// For the request that made the call; its use is counted.
    pub(crate) materials: Arc<dyn Materials>,
    /// For the other requests that wait, unless the materials may serve one message only.
    pub(crate) entry: Option<Arc<CacheEntry>>,
}

/// A call in flight. Each request that waits for it polls it, so it makes progress while one waits.
pub(crate) type Call<E> = Shared<BoxFuture<'static, Result<Answer, Error<E>>>>;

/// The calls in flight.
pub(crate) struct Flights<E>(Arc<State<E>>);

struct State<E> {
    in_flight: Mutex<InFlight<E>>,
    /// Number of calls that have ended. Written under the lock.
    ended: AtomicU64,
}

struct InFlight<E> {
    flights: HashMap<CacheId, Flight<E>>,
    next_number: u64,
}

struct Flight<E> {
    number: u64,
    /// The cache's when the request looked into it.
    generation: u64,
    policy: CommitmentPolicy,
    /// Weak, so that a call is dropped when no task polls it any more.
    call: WeakShared<BoxFuture<'static, Result<Answer, Error<E>>>>,
}

/// The next step of a request.
pub(crate) enum Next<E> {
    /// Nothing: the cache had it.
    Hit(Hit),
    /// Call the manager outside the cache: the entry there is not for this request.
    Bypass,
    /// Wait for another request's call, made under this commitment policy.
    Join(Call<E>, CommitmentPolicy),
    /// Make the call.
    Lead(Call<E>),
}

impl<E: Clone + Send + Sync + 'static> Flights<E> {
    /// Looks into the cache, or joins a call for `id`, or begins one.
    ///
    /// A lookup holds no lock of ours. A call ends only after its result is in the cache. So if no
    /// call has ended since the lookup began and none is in flight, then nobody else has asked for
    /// what is missing; and if one has ended, the cache may have it now.
    pub(crate) fn next(
        &self,
        id: CacheId,
        request: &Request,
        cache: &dyn CryptographicMaterialsCache,
        begin: impl FnOnce(Landing<E>) -> Call<E>,
    ) -> Next<E> {
        loop {
            let ended = self.0.ended.load(Acquire);
            let generation = cache.generation();
            match cache.get(&id, &request.lookup) {
                Found::Hit(hit) => return Next::Hit(hit),
                Found::Forbidden => return Next::Bypass,
                Found::Miss => {}
            }
            let mut in_flight = self.lock();
            let joinable = in_flight.flights.get(&id).filter(|it| it.generation >= generation);
            if let Some((call, policy)) =
                joinable.and_then(|it| it.call.upgrade().zip(Some(it.policy)))
            {
                return Next::Join(call, policy);
            }
            if self.0.ended.load(Acquire) == ended {
                let call = self.begin(&mut in_flight, id, generation, request.policy, begin);
                return Next::Lead(call);
            }
        }
    }

    /// Begins a call for `id` whatever the cache has, unless one is in flight.
    pub(crate) fn refresh(
        &self,
        id: CacheId,
        request: &Request,
        cache: &dyn CryptographicMaterialsCache,
        begin: impl FnOnce(Landing<E>) -> Call<E>,
    ) -> Option<Call<E>> {
        let generation = cache.generation();
        let mut in_flight = self.lock();
        (!in_flight.flights.contains_key(&id))
            .then(|| self.begin(&mut in_flight, id, generation, request.policy, begin))
    }

    fn begin(
        &self,
        in_flight: &mut InFlight<E>,
        id: CacheId,
        generation: u64,
        policy: CommitmentPolicy,
        begin: impl FnOnce(Landing<E>) -> Call<E>,
    ) -> Call<E> {
        let number = in_flight.next_number;
        in_flight.next_number += 1;
        let call = begin(Landing { id, number, generation, flights: self.clone() });
        let weak = call.downgrade().expect("nobody has polled the call yet");
        in_flight.flights.insert(id, Flight { number, generation, policy, call: weak });
        call
    }
}

impl<E> Flights<E> {
    fn end(&self, id: &CacheId, number: u64) {
        let mut in_flight = self.lock();
        // After a clearing, a later call may have taken the place of this one.
        if in_flight.flights.get(id).is_some_and(|flight| flight.number == number) {
            in_flight.flights.remove(id);
        }
        self.0.ended.fetch_add(1, Release);
    }

    fn lock(&self) -> MutexGuard<'_, InFlight<E>> {
        self.0.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Clone for Flights<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E> Default for Flights<E> {
    fn default() -> Self {
        let in_flight = InFlight { flights: HashMap::new(), next_number: 0 };
        Self(Arc::new(State { in_flight: Mutex::new(in_flight), ended: AtomicU64::new(0) }))
    }
}

/// Ends a flight when it is dropped: after its result is in the cache, and before any request sees
/// the result. A request that finds the result used up then does not find this call again.
pub(crate) struct Landing<E> {
    pub(crate) id: CacheId,
    pub(crate) generation: u64,
    number: u64,
    flights: Flights<E>,
}

impl<E> Drop for Landing<E> {
    fn drop(&mut self) {
        self.flights.end(&self.id, self.number);
    }
}

/// Makes a call of a future.
pub(crate) fn call<E: Clone>(
    future: impl Future<Output = Result<Answer, Error<E>>> + Send + 'static,
) -> Call<E> {
    future.boxed().shared()
}
