//! Single flight: one call per key, shared by all callers.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::key::Key;

/// The calls in flight.
pub(crate) struct Flights<T>(Arc<Mutex<HashMap<Key, Flight<T>>>>);

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Flights")
    }
}

/// What a caller does next.
pub(crate) enum Next<T> {
    /// Waits for another caller's call.
    Join(Flight<T>),
    /// Makes the call.
    Lead(Lead<T>),
}

impl<T: Clone> Flights<T> {
    /// Joins the call in flight for `key`, or starts one.
    pub(crate) fn next(&self, key: &Key) -> Next<T> {
        let mut in_flight = self.lock();
        if let Some(flight) = in_flight.get(key) {
            return Next::Join(flight.clone());
        }
        let (sender, receiver) = watch::channel(None);
        in_flight.insert(key.clone(), Flight(receiver));
        Next::Lead(Lead { key: key.clone(), sender, flights: Self(Arc::clone(&self.0)) })
    }
}

impl<T> Flights<T> {
    /// Lets later callers start calls of their own, although some are in flight.
    pub(crate) fn detach(&self, keys: &[Key]) {
        let mut in_flight = self.lock();
        for key in keys {
            in_flight.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Flight<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that another caller makes.
pub(crate) struct Flight<T>(watch::Receiver<Option<T>>);

impl<T> Clone for Flight<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Flight<T> {
    /// Returns the call's result, or `None` if its caller gave up.
    pub(crate) async fn result(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// The duty to make a call. If it is dropped unfinished, because its caller was cancelled or
/// panicked, the waiting callers wake up and one of them takes over.
pub(crate) struct Lead<T> {
    key: Key,
    sender: watch::Sender<Option<T>>,
    flights: Flights<T>,
}

impl<T> Lead<T> {
    pub(crate) fn finish(self, result: T) {
        self.sender.send_replace(Some(result));
    }
}

impl<T> Drop for Lead<T> {
    /// Removes the call before the sender goes, so that callers that wake up do not find it again.
    fn drop(&mut self) {
        let mut in_flight = self.flights.lock();
        let own = self.sender.subscribe();
        if in_flight.get(&self.key).is_some_and(|flight| flight.0.same_channel(&own)) {
            in_flight.remove(&self.key);
        }
    }
}
