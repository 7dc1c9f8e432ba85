//! One call per key, however many wait for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::key::Key;

/// The calls that are under way.
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

/// What a caller has to do.
pub(crate) enum Next<T> {
    /// Wait for another caller's call.
    Join(Flight<T>),
    /// Make the call.
    Lead(Lead<T>),
}

impl<T: Clone> Flights<T> {
    /// Joins the call for `key` that is under way, or begins one.
    pub(crate) fn next(&self, key: &Key) -> Next<T> {
        let mut under_way = self.lock();
        if let Some(flight) = under_way.get(key) {
            return Next::Join(flight.clone());
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), Flight(receiver));
        Next::Lead(Lead { key: key.clone(), sender, flights: Self(Arc::clone(&self.0)) })
    }
}

impl<T> Flights<T> {
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
    /// What the call gave; none if it was given up.
    pub(crate) async fn landed(mut self) -> Option<T> {
        self.0.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// The duty to make a call. Dropped without landing, as when its caller stops waiting or panics, it
/// wakes those who wait, and one of them leads.
pub(crate) struct Lead<T> {
    key: Key,
    sender: watch::Sender<Option<T>>,
    flights: Flights<T>,
}

impl<T> Lead<T> {
    pub(crate) fn land(self, landed: T) {
        self.sender.send_replace(Some(landed));
    }
}

impl<T> Drop for Lead<T> {
    /// Before the sender goes, so that who is woken does not find this call again.
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}
