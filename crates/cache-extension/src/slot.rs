//! What is known of one entry: its value, what failed, and who is loading it.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Timestamp;
use crate::entry::Entry;
use crate::upstream::{Load, LoadError, Want};
use crate::value::{Loaded, Value};

/// After a load that failed, requests are answered from what there is for this time, so that not
/// each of them waits for a service that is down.
pub const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// For how long a value is not loaded again in the background: three quarters of its time.
pub(crate) fn undisturbed(ttl: Duration) -> Duration {
    ttl - ttl / 4
}

/// What a request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// For how long the value has been away from its service.
    pub age: Duration,
    /// How the value relates to its time to live.
    pub freshness: Freshness,
}

/// How a value relates to its time to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It was loaded for the request.
    Loaded,
    /// It was in the cache, and may be used for this much longer.
    Fresh(Duration),
    /// Its time has been over for this long, but it could not be loaded again.
    Stale(Duration),
}

/// An entry's value, or why there is none.
pub(crate) type Outcome = Result<Answer, LoadError>;

/// A load that is under way.
#[derive(Debug, Clone)]
pub(crate) struct Flight(watch::Receiver<Option<Outcome>>);

impl Flight {
    pub(crate) async fn landed(mut self) -> Outcome {
        match self.0.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("it was waited for"),
            Err(_) => Err(LoadError::Unavailable("the load was given up".to_owned())),
        }
    }

    /// Whether the one who loads is gone without a result.
    fn is_lost(&self) -> bool {
        self.0.has_changed().is_err()
    }
}

/// The duty to load a value.
#[derive(Debug)]
pub(crate) struct Lead(watch::Sender<Option<Outcome>>);

impl Lead {
    pub(crate) fn flight(&self) -> Flight {
        Flight(self.0.subscribe())
    }

    fn end(self, outcome: Outcome) {
        self.0.send_replace(Some(outcome));
    }
}

/// What a request has to do.
pub(crate) enum Next {
    /// Nothing.
    Done(Outcome),
    /// Wait for another request's load.
    Join(Flight),
    /// Load the value.
    Lead(Lead),
}

/// One entry.
pub(crate) struct Slot {
    pub(crate) entry: Entry,
    /// For how long a value is used beyond its time if it cannot be loaded again.
    stale_if_error: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// The last load, if that failed.
    failed: Option<Failed>,
    flight: Option<Flight>,
    /// Whether a request wanted the value since it was loaded.
    is_wanted: bool,
}

struct Held {
    loaded: Loaded,
    at: Timestamp,
}

struct Failed {
    error: LoadError,
    at: Timestamp,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("entry", &self.entry).finish_non_exhaustive()
    }
}

impl Slot {
    pub(crate) fn new(entry: Entry, stale_if_error: Duration) -> Self {
        Self { entry, stale_if_error, state: Mutex::default() }
    }

    /// What a request has to do that comes `now`.
    pub(crate) fn next(&self, now: Timestamp, want: Want) -> Next {
        let mut state = self.lock();
        state.is_wanted = true;
        if want == Want::Fresh && (self.is_fresh(&state, now) || state.failed_lately(now)) {
            return Next::Done(self.outcome(&state, now));
        }
        match state.flight() {
            Some(flight) => Next::Join(flight),
            None => Next::Lead(state.lead()),
        }
    }

    /// The load that is under way, or the duty to begin one if the value was never loaded.
    pub(crate) fn fill(&self) -> Option<Next> {
        let mut state = self.lock();
        match state.flight() {
            Some(flight) => Some(Next::Join(flight)),
            None => state.held.is_none().then(|| Next::Lead(state.lead())),
        }
    }

    /// The load that is under way, or the duty to begin one if the value is wanted and near the
    /// end of its time.
    pub(crate) fn refresh(&self, now: Timestamp) -> Option<Next> {
        let mut state = self.lock();
        if let Some(flight) = state.flight() {
            return Some(Next::Join(flight));
        }
        let is_due = |held: &Held| held.age(now) > undisturbed(self.entry.ttl);
        let is_due = state.held.as_ref().is_none_or(is_due);
        (is_due && state.is_wanted && !state.failed_lately(now)).then(|| Next::Lead(state.lead()))
    }

    /// Ends a load.
    pub(crate) fn land(&self, lead: Lead, load: Load, now: Timestamp) {
        let mut state = self.lock();
        state.flight = None;
        let outcome = match load {
            Ok(loaded) => {
                let answer = Answer {
                    value: loaded.value.clone(),
                    age: loaded.age,
                    freshness: Freshness::Loaded,
                };
                *state = State { held: Some(Held { loaded, at: now }), ..State::default() };
                Ok(answer)
            }
            Err(error) => {
                if matches!(error, LoadError::NotFound(_)) {
                    state.held = None;
                }
                state.failed = Some(Failed { error, at: now });
                self.outcome(&state, now)
            }
        };
        drop(state);
        lead.end(outcome);
    }

    fn is_fresh(&self, state: &State, now: Timestamp) -> bool {
        state.held.as_ref().is_some_and(|held| held.age(now) < self.entry.ttl)
    }

    /// What there is without a load. A value that the service refuses is not used beyond its time.
    fn outcome(&self, state: &State, now: Timestamp) -> Outcome {
        let ttl = self.entry.ttl;
        let may_be_stale = match &state.failed {
            Some(Failed { error: LoadError::Unavailable(_), .. }) => self.stale_if_error,
            _ => Duration::ZERO,
        };
        match (&state.held, &state.failed) {
            (Some(held), _) if held.age(now) < ttl.saturating_add(may_be_stale) => {
                Ok(held.answer(now, ttl))
            }
            (_, Some(failed)) => Err(failed.error.clone()),
            _ => unreachable!("it is asked for when there is a fresh value or an error"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn failed_lately(&self, now: Timestamp) -> bool {
        self.failed.as_ref().is_some_and(|failed| now.since(&failed.at) < RETRY_PAUSE)
    }

    fn flight(&self) -> Option<Flight> {
        self.flight.clone().filter(|flight| !flight.is_lost())
    }

    fn lead(&mut self) -> Lead {
        let lead = Lead(watch::Sender::new(None));
        self.flight = Some(lead.flight());
        lead
    }
}

impl Held {
    fn age(&self, now: Timestamp) -> Duration {
        self.loaded.age + now.since(&self.at)
    }

    fn answer(&self, now: Timestamp, ttl: Duration) -> Answer {
        let age = self.age(now);
        let freshness = match ttl.checked_sub(age) {
            Some(left) if !left.is_zero() => Freshness::Fresh(left),
            _ => Freshness::Stale(age - ttl),
        };
        Answer { value: self.loaded.value.clone(), age, freshness }
    }
}
