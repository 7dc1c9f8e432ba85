//! Entries on their way to one Region, and who is told what became of them.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_outcome::Pauses;
use record_cipher::Record;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::capacity::Reservation;
use crate::entry::Entry;
use crate::kinesis::AttemptError;
use crate::outcome::{Delivery, DeliveryError, Outcome, PushError, Undelivered};
use crate::region::Region;
use crate::stats::Counters;

/// Returns the pauses between attempts at an encryption or a delivery.
pub(crate) fn pauses() -> Pauses {
    Pauses::new(Duration::from_millis(100), Duration::from_secs(5))
}

/// Receives the result of an entry in a Region.
pub(crate) trait Recipient: Send + Sync {
    /// Called once for each Region, by its index.
    fn resolve(&self, region: usize, result: Result<Delivery, DeliveryError>);
}

/// An entry that one Region has not acknowledged yet. Reports `Stopped` if it is dropped
/// unresolved.
pub(crate) struct PendingDelivery {
    pub(crate) entry: Arc<Entry>,
    pub(crate) deadline: Instant,
    /// Number of requests that contained the entry.
    pub(crate) attempts: u32,
    /// Error of the latest attempt.
    pub(crate) last_error: Option<AttemptError>,
    /// The pauses between attempts.
    pub(crate) pauses: Pauses,
    counters: Arc<Counters>,
    /// Index of the Region.
    region: usize,
    /// `None` once it has been told.
    recipient: Option<Arc<dyn Recipient>>,
}

impl fmt::Debug for PendingDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingDelivery")
            .field("entry", &self.entry)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl PendingDelivery {
    pub(crate) fn new(
        entry: Arc<Entry>,
        deadline: Instant,
        counters: Arc<Counters>,
        region: usize,
        recipient: Arc<dyn Recipient>,
    ) -> Self {
        Self {
            entry,
            deadline,
            attempts: 0,
            last_error: None,
            pauses: pauses(),
            counters,
            region,
            recipient: Some(recipient),
        }
    }

    pub(crate) fn delivered(mut self, delivery: Delivery) {
        self.resolve(Ok(delivery));
    }

    pub(crate) fn failed(mut self, error: AttemptError) {
        self.fail(error);
    }

    /// The deadline passed: reports the latest error, if there was an attempt.
    pub(crate) fn expired(mut self) {
        let error = self.last_error.take().unwrap_or_else(AttemptError::expired);
        self.fail(error);
    }

    /// The message cannot be decrypted in this Region.
    pub(crate) fn not_encrypted(mut self) {
        self.resolve(Err(DeliveryError::not_encrypted()));
    }

    fn fail(&mut self, AttemptError { code, reason, cause, kind }: AttemptError) {
        let attempts = self.attempts;
        self.resolve(Err(DeliveryError { code, reason, cause, attempts, kind }));
    }

    fn resolve(&mut self, result: Result<Delivery, DeliveryError>) {
        let Some(recipient) = self.recipient.take() else { return };
        // Before the caller is told, because the caller may then read the counters.
        match &result {
            Ok(_) => self.counters.delivered(self.entry.size()),
            Err(_) => self.counters.undelivered(),
        }
        recipient.resolve(self.region, result);
    }
}

impl Drop for PendingDelivery {
    fn drop(&mut self) {
        if self.recipient.is_some() {
            self.fail(AttemptError::stopped());
        }
    }
}

/// The one caller that waits for one record.
#[derive(Debug)]
pub(crate) struct Reply {
    sender: Option<oneshot::Sender<Result<Outcome, PushError>>>,
    _reservation: Reservation,
}

impl Reply {
    pub(crate) fn new(
        sender: oneshot::Sender<Result<Outcome, PushError>>,
        reservation: Reservation,
    ) -> Self {
        Self { sender: Some(sender), _reservation: reservation }
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
