//! One call to the underlying manager per cache id, however many requests wait for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, PoisonError};

use aws_esdk::material_providers::types::error::Error;
use tokio::sync::watch;

use crate::cache::{CacheEntry, Hit};
use crate::cache_id::CacheId;
use crate::sync::{self, Mutex, MutexGuard};

/// What a call gave: an entry to share, or none if the materials may serve one message only.
pub(crate) type Landed = Result<Option<Arc<CacheEntry>>, Error>;

/// A call that another request makes.
#[derive(Debug, Clone)]
pub(crate) struct Flight(watch::Receiver<Option<Landed>>);

impl Flight {
    pub(crate) async fn landed(mut self) -> Landed {
        match self.0.wait_for(Option::is_some).await {
            Ok(landed) => landed.clone().expect("it was waited for"),
            Err(_) => Err(abandoned()),
        }
    }

    /// The same on the caller's thread.
    pub(crate) fn wait(self) -> Landed {
        sync::block_on(self.landed())
    }
}

pub(crate) fn abandoned() -> Error {
    Error::AwsCryptographicMaterialProvidersException {
        message:
            "the underlying cryptographic materials manager was not asked: the runtime is ending"
                .to_owned(),
    }
}

/// The calls that are under way.
#[derive(Clone, Default)]
pub(crate) struct Flights(Arc<State>);

#[derive(Default)]
struct State {
    under_way: Mutex<HashMap<CacheId, Flight>>,
    /// How many calls have ended. Written under the lock.
    ended: AtomicU64,
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights")
    }
}

/// What a request has to do.
pub(crate) enum Next {
    /// Nothing: the cache had it.
    Hit(Hit),
    /// Wait for another request's call.
    Join(Flight),
    /// Make the call.
    Lead(Lead),
}

impl Flights {
    /// Looks into the cache, or joins a call for `id`, or begins one.
    ///
    /// A lookup holds no lock of ours. A call ends only after its result is in the cache. So if no
    /// call has ended since the lookup began and none is under way, then nobody else has asked for
    /// what is missing; and if one has ended, the cache may have it now.
    pub(crate) fn next(&self, id: CacheId, look_up: impl Fn() -> Option<Hit>) -> Next {
        loop {
            let ended = self.0.ended.load(Acquire);
            if let Some(hit) = look_up() {
                return Next::Hit(hit);
            }
            let mut under_way = self.lock();
            if let Some(flight) = under_way.get(&id) {
                return Next::Join(flight.clone());
            }
            if self.0.ended.load(Acquire) == ended {
                return Next::Lead(self.begin(&mut under_way, id));
            }
        }
    }

    /// Begins a call for `id` whatever the cache has, unless one is under way.
    pub(crate) fn refresh(&self, id: CacheId) -> Option<Lead> {
        let mut under_way = self.lock();
        (!under_way.contains_key(&id)).then(|| self.begin(&mut under_way, id))
    }

    fn begin(&self, under_way: &mut HashMap<CacheId, Flight>, id: CacheId) -> Lead {
        let (sender, receiver) = watch::channel(None);
        under_way.insert(id, Flight(receiver));
        Lead(Some(Led { id, sender, flights: self.clone() }))
    }

    fn end(&self, id: &CacheId) {
        let mut under_way = self.lock();
        under_way.remove(id);
        self.0.ended.fetch_add(1, Release);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CacheId, Flight>> {
        self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The duty to make a call. Dropped without landing, as when the runtime ends before the call
/// begins, it fails those who wait.
pub(crate) struct Lead(Option<Led>);

struct Led {
    id: CacheId,
    sender: watch::Sender<Option<Landed>>,
    flights: Flights,
}

impl Lead {
    /// A call that nobody can join.
    pub(crate) fn alone() -> Self {
        Self(None)
    }

    /// Where the result belongs, if others may use it.
    pub(crate) fn id(&self) -> Option<CacheId> {
        self.0.as_ref().map(|led| led.id)
    }

    pub(crate) fn land(self, landed: Landed) {
        if let Some(led) = self.0 {
            // First, so that who finds the result used up does not find this call again.
            led.flights.end(&led.id);
            led.sender.send_replace(Some(landed));
        }
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        if self.sender.borrow().is_none() {
            self.flights.end(&self.id);
        }
    }
}
