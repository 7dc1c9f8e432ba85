//! One call to the underlying manager per cache id, however many requests wait for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_esdk::material_providers::types::error::Error;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::watch;

use crate::cache::CacheEntry;
use crate::cache_id::CacheId;

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

    /// Waits on this thread, which may be one of Tokio's workers: others can then use its place.
    pub(crate) fn wait(self) -> Landed {
        let wait = || futures::executor::block_on(self.landed());
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }
}

pub(crate) fn abandoned() -> Error {
    Error::AwsCryptographicMaterialProvidersException {
        message: "the underlying cryptographic materials manager panicked".to_owned(),
    }
}

/// The calls that are under way.
#[derive(Clone, Default)]
pub(crate) struct Flights(Arc<Mutex<HashMap<CacheId, Flight>>>);

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights")
    }
}

/// What a request has to do.
pub(crate) enum Next<T> {
    /// Nothing: the cache had it.
    Hit(T),
    /// Wait for another request's call.
    Join(Flight),
    /// Make the call.
    Lead(Lead),
}

impl Flights {
    /// Joins a call for `id`, or looks into the cache, or begins a call.
    ///
    /// The lookup is under the same lock as the begin and the end of a call, and a call ends only
    /// after its result is in the cache: so no request can miss both.
    pub(crate) fn next<T>(&self, id: CacheId, look_up: impl FnOnce() -> Option<T>) -> Next<T> {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&id) {
            return Next::Join(flight.clone());
        }
        if let Some(found) = look_up() {
            return Next::Hit(found);
        }
        let (sender, receiver) = watch::channel(None);
        flights.insert(id, Flight(receiver));
        Next::Lead(Lead(Some(Led { id, sender, flights: self.clone() })))
    }
}

/// The duty to make a call. Dropped without landing, as by a panic, it fails those who wait.
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
            led.remove();
            led.sender.send_replace(Some(landed));
        }
    }
}

impl Led {
    fn remove(&self) {
        self.flights.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        if self.sender.borrow().is_none() {
            self.remove();
        }
    }
}
