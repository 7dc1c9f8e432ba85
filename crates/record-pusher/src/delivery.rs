//! The callers that wait for the outcome of their records.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use record_cipher::Record;
use tokio::sync::oneshot;

use crate::capacity::Reservation;
use crate::entry::Entry;
use crate::outcome::{Delivery, DeliveryError, Outcome, PushError, Undelivered};
use crate::pending_delivery::Recipient;
use crate::region::Region;

/// The one caller that waits for one record.
#[derive(Debug)]
pub(crate) struct Reply {
    sender: Option<oneshot::Sender<Result<Outcome, PushError>>>,
    reservation: Reservation,
}

impl Reply {
    pub(crate) fn new(
        sender: oneshot::Sender<Result<Outcome, PushError>>,
        reservation: Reservation,
    ) -> Self {
        Self { sender: Some(sender), reservation }
    }

    /// Returns the bytes of capacity that the record holds.
    pub(crate) fn reserved(&self) -> usize {
        self.reservation.bytes()
    }

    /// Tells the caller, which may have stopped waiting.
    fn tell(mut self, result: Result<Outcome, PushError>) {
        let _ = self.sender.take().map(|sender| sender.send(result));
    }
}

/// What a pusher could not deliver, from the moment on when it is closed.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(Mutex<Option<Vec<Undelivered>>>);

impl Leftovers {
    /// Collects from now on.
    pub(crate) fn collect(&self) {
        self.lock().get_or_insert_default();
    }

    pub(crate) fn take(&self) -> Vec<Undelivered> {
        self.lock().take().unwrap_or_default()
    }

    fn add(&self, undelivered: impl IntoIterator<Item = Undelivered>) {
        if let Some(collected) = &mut *self.lock() {
            collected.extend(undelivered);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Undelivered>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The callers of the records in one message, who are told once every Region has a result.
pub(crate) struct Callers {
    entry: Arc<Entry>,
    regions: Arc<[Region]>,
    leftovers: Arc<Leftovers>,
    state: Mutex<State>,
}

struct State {
    /// In the order of the Regions.
    results: Vec<Option<Result<Delivery, DeliveryError>>>,
    unresolved: usize,
    replies: Vec<Reply>,
}

impl Callers {
    pub(crate) fn new(
        entry: Arc<Entry>,
        regions: Arc<[Region]>,
        leftovers: Arc<Leftovers>,
        replies: Vec<Reply>,
    ) -> Arc<Self> {
        let results = regions.iter().map(|_| None).collect();
        let state = Mutex::new(State { results, unresolved: regions.len(), replies });
        Arc::new(Self { entry, regions, leftovers, state })
    }

    fn tell(&self, state: &mut State) {
        let results = std::mem::take(&mut state.results).into_iter().flatten();
        let regions = self.regions.iter().map(|region| region.name.clone());
        let outcome = Outcome::new(self.entry.clone(), regions.zip(results).collect());
        if !outcome.is_delivered() {
            self.leftovers.add([Undelivered::Message(outcome.clone())]);
        }
        for (index, reply) in std::mem::take(&mut state.replies).into_iter().enumerate() {
            reply.tell(Ok(outcome.at(index)));
        }
    }
}

impl Recipient for Callers {
    fn resolve(&self, region: usize, result: Result<Delivery, DeliveryError>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.results[region] = Some(result);
        state.unresolved -= 1;
        if state.unresolved == 0 {
            self.tell(&mut state);
        }
    }

    fn is_acknowledged(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.results.iter().any(|result| matches!(result, Some(Ok(_))))
    }
}

/// Tells the callers of records that were not encrypted.
pub(crate) fn refuse(
    leftovers: &Leftovers,
    records: impl IntoIterator<Item = Record>,
    replies: Vec<Reply>,
    error: &PushError,
) {
    let undelivered = |record| Undelivered::Record { record, error: error.clone() };
    leftovers.add(records.into_iter().map(undelivered));
    replies.into_iter().for_each(|reply| reply.tell(Err(error.clone())));
}
