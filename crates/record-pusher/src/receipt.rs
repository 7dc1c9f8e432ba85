//! Who waits to be told what becomes of a record.

use std::sync::{Arc, Mutex, PoisonError};

use record_cipher::{ErrorKind, RegionName};
use tokio::sync::oneshot;

use crate::kinesis::{Entry, TryError};
use crate::outcome::{Delivery, DeliveryError, Outcome, PushError};
use crate::stats::Counters;

/// Where one caller waits for one record.
pub(crate) type Reply = oneshot::Sender<Result<Outcome, PushError>>;

/// Where an entry is to be delivered.
#[derive(Debug)]
pub(crate) struct Destination {
    pub(crate) region: RegionName,
    pub(crate) counters: Arc<Counters>,
}

/// The duty to say what became of an entry in one Region. Dropped without a word, it says that the
/// pusher was stopped.
#[derive(Debug)]
pub(crate) struct Receipt {
    waiting: Arc<Waiting>,
    /// Which of the destinations.
    at: usize,
    /// How often the entry was sent.
    pub(crate) tries: u32,
    is_resolved: bool,
}

/// Those who wait for one entry: one caller, or several whose records are in one message.
#[derive(Debug)]
struct Waiting {
    entry: Arc<Entry>,
    destinations: Arc<[Destination]>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// In the order of the destinations.
    results: Vec<Option<Result<Delivery, DeliveryError>>>,
    unresolved: usize,
    replies: Vec<Reply>,
}

/// A receipt for each destination. When the last is resolved, the callers are told.
pub(crate) fn receipts(
    entry: &Arc<Entry>,
    destinations: &Arc<[Destination]>,
    replies: Vec<Reply>,
) -> impl Iterator<Item = Receipt> + use<> {
    let results = destinations.iter().map(|_| None).collect();
    let state = Mutex::new(State { results, unresolved: destinations.len(), replies });
    let waiting = Waiting { entry: entry.clone(), destinations: destinations.clone(), state };
    let waiting = Arc::new(waiting);
    (0..destinations.len()).map(move |at| Receipt {
        waiting: waiting.clone(),
        at,
        tries: 0,
        is_resolved: false,
    })
}

impl Receipt {
    pub(crate) fn delivered(mut self, delivery: Delivery) {
        self.resolve(Ok(delivery));
    }

    pub(crate) fn failed(mut self, error: TryError) {
        let TryError { code, message, kind } = error;
        let tries = self.tries;
        self.resolve(Err(DeliveryError { code, message, tries, kind }));
    }

    /// The message cannot be read in this Region.
    pub(crate) fn not_encrypted(mut self) {
        self.resolve(Err(DeliveryError::not_encrypted()));
    }

    fn resolve(&mut self, result: Result<Delivery, DeliveryError>) {
        self.is_resolved = true;
        let Waiting { entry, destinations, state } = &*self.waiting;
        // Before the caller is told, who may then look.
        match &result {
            Ok(_) => destinations[self.at].counters.delivered(entry.size()),
            Err(_) => destinations[self.at].counters.undelivered(),
        }
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.results[self.at] = Some(result);
        state.unresolved -= 1;
        if state.unresolved == 0 {
            let results = std::mem::take(&mut state.results).into_iter().flatten();
            let regions = destinations.iter().map(|destination| destination.region.clone());
            let outcome = Outcome::new(entry.clone(), regions.zip(results).collect());
            tell(std::mem::take(&mut state.replies), Ok(outcome));
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.is_resolved {
            let tries = self.tries;
            let (code, kind) = ("Stopped".to_owned(), ErrorKind::Retryable);
            self.resolve(Err(DeliveryError { code, message: None, tries, kind }));
        }
    }
}

/// Tells all who wait the same. Who has stopped waiting does not need to know.
pub(crate) fn tell(mut replies: Vec<Reply>, result: Result<Outcome, PushError>) {
    let last = replies.pop();
    for reply in replies {
        let _ = reply.send(result.clone());
    }
    let _ = last.map(|reply| reply.send(result));
}
