//! The state of one entry: its value, its last failure, and the load in flight.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::entry::Entry;
use crate::upstream::{Freshness, Load, LoadError};
use crate::value::{Loaded, Value};
use dynamodb_cache::{Clock, Timestamp};

/// After a failed load, requests get the present value or the error for this time, so that they do
/// not all wait for a service that is down.
pub const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// How long a request waits for a load if there is a stale value that may be used.
const STALE_WAIT: Duration = Duration::from_millis(200);

/// The age at which a value is reloaded in the background: three quarters of its time-to-live.
pub(crate) fn refresh_after(ttl: Duration) -> Duration {
    ttl - ttl / 4
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The value.
    pub value: Value,
    /// Time since the value left its service.
    pub age: Duration,
    /// Where the value comes from, and how much of its time-to-live is left.
    pub status: CacheStatus,
}

/// Where an answer comes from, and how it relates to the value's time-to-live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// Loaded for the request.
    Loaded,
    /// From the cache, with this much time left.
    Fresh(Duration),
    /// From the cache, expired for this long, because it could not be reloaded.
    Stale(Duration),
}

/// An entry's value, or why there is none.
pub(crate) type Outcome = Result<Answer, LoadError>;

/// A load in flight.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    outcome: watch::Receiver<Option<Outcome>>,
    started: Instant,
}

impl Flight {
    pub(crate) async fn result(mut self) -> Outcome {
        match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("the outcome was waited for"),
            Err(_) => Err(LoadError::Unavailable("the load was cancelled".to_owned())),
        }
    }

    /// Returns `true` if the loading task is gone without a result.
    fn is_lost(&self) -> bool {
        self.outcome.has_changed().is_err()
    }
}

/// The duty to load a value.
#[derive(Debug)]
pub(crate) struct Lead {
    outcome: watch::Sender<Option<Outcome>>,
    started: Instant,
}

impl Lead {
    pub(crate) fn flight(&self) -> Flight {
        Flight { outcome: self.outcome.subscribe(), started: self.started }
    }

    fn finish(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

/// What a request does next.
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
    /// How long an expired value is used if it cannot be reloaded.
    stale_if_error: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    cached: Option<CachedValue>,
    /// The last load, if it failed.
    failed: Option<Failed>,
    flight: Option<Flight>,
    /// Whether a request asked for the value since it was loaded.
    was_requested: bool,
}

struct CachedValue {
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

    /// Decides how to answer a request that arrives `now`.
    pub(crate) fn next(&self, now: Timestamp, freshness: Freshness) -> Next {
        let mut state = self.lock();
        state.was_requested = true;
        if freshness == Freshness::Cached
            && (self.is_fresh(&state, now) || state.failed_lately(now))
        {
            return Next::Done(self.outcome(&state, now));
        }
        match state.flight() {
            Some(flight) => Next::Join(flight),
            None => Next::Lead(state.lead()),
        }
    }

    /// Waits for a load; if there is a stale value that may be used, not for long.
    pub(crate) async fn wait(
        &self,
        flight: Flight,
        freshness: Freshness,
        clock: &dyn Clock,
    ) -> Outcome {
        if freshness == Freshness::Cached && self.stale(clock.now()).is_some() {
            let outcome = timeout_at(flight.started + STALE_WAIT, flight.clone().result()).await;
            let stale = || self.stale(clock.now()).map(Ok);
            if let Some(outcome) = outcome.ok().or_else(stale) {
                return outcome;
            }
        }
        flight.result().await
    }

    /// Returns the load in flight, or the duty to start one if the value was never loaded.
    pub(crate) fn fill(&self) -> Option<Next> {
        let mut state = self.lock();
        match state.flight() {
            Some(flight) => Some(Next::Join(flight)),
            None => state.cached.is_none().then(|| Next::Lead(state.lead())),
        }
    }

    /// Returns the load in flight, or the duty to start one if the value was requested and will soon
    /// expire.
    pub(crate) fn refresh(&self, now: Timestamp) -> Option<Next> {
        let mut state = self.lock();
        if let Some(flight) = state.flight() {
            return Some(Next::Join(flight));
        }
        let is_due = |cached: &CachedValue| cached.age(now) > refresh_after(self.entry.ttl);
        let is_due = state.cached.as_ref().is_none_or(is_due);
        (is_due && state.was_requested && !state.failed_lately(now))
            .then(|| Next::Lead(state.lead()))
    }

    /// Returns the duty to load the value together with another one, if it was requested and is due.
    pub(crate) fn join_load(&self, now: Timestamp) -> Option<Lead> {
        match self.refresh(now)? {
            Next::Lead(lead) => Some(lead),
            Next::Join(_) | Next::Done(_) => None,
        }
    }

    /// Returns the expired value, if it may be used until it is reloaded.
    fn stale(&self, now: Timestamp) -> Option<Answer> {
        let state = self.lock();
        let is_usable = match &state.failed {
            None | Some(Failed { error: LoadError::Unavailable(_), .. }) => true,
            Some(_) => false,
        };
        let limit = self.entry.ttl.saturating_add(self.stale_if_error);
        let cached = state.cached.as_ref().filter(|cached| is_usable && cached.age(now) < limit)?;
        Some(cached.answer(now, self.entry.ttl))
    }

    /// Finishes a load.
    pub(crate) fn finish(&self, lead: Lead, load: Load, now: Timestamp) {
        let mut state = self.lock();
        state.flight = None;
        let outcome = match load {
            Ok(loaded) => {
                let answer = Answer {
                    value: loaded.value.clone(),
                    age: loaded.age,
                    status: CacheStatus::Loaded,
                };
                *state =
                    State { cached: Some(CachedValue { loaded, at: now }), ..State::default() };
                Ok(answer)
            }
            Err(error) => {
                if matches!(error, LoadError::NotFound(_)) {
                    state.cached = None;
                }
                state.failed = Some(Failed { error, at: now });
                self.outcome(&state, now)
            }
        };
        drop(state);
        lead.finish(outcome);
    }

    fn is_fresh(&self, state: &State, now: Timestamp) -> bool {
        state.cached.as_ref().is_some_and(|cached| cached.age(now) < self.entry.ttl)
    }

    /// Answers without a load. If the service refuses the value, it is not used once expired.
    fn outcome(&self, state: &State, now: Timestamp) -> Outcome {
        let ttl = self.entry.ttl;
        let may_be_stale = match &state.failed {
            Some(Failed { error: LoadError::Unavailable(_), .. }) => self.stale_if_error,
            _ => Duration::ZERO,
        };
        match (&state.cached, &state.failed) {
            (Some(cached), _) if cached.age(now) < ttl.saturating_add(may_be_stale) => {
                Ok(cached.answer(now, ttl))
            }
            (_, Some(failed)) => Err(failed.error.clone()),
            _ => unreachable!("there is a fresh value or an error"),
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
        let lead = Lead { outcome: watch::Sender::new(None), started: Instant::now() };
        self.flight = Some(lead.flight());
        lead
    }
}

impl CachedValue {
    fn age(&self, now: Timestamp) -> Duration {
        self.loaded.age + now.since(&self.at)
    }

    fn answer(&self, now: Timestamp, ttl: Duration) -> Answer {
        let age = self.age(now);
        let status = match ttl.checked_sub(age) {
            Some(left) if !left.is_zero() => CacheStatus::Fresh(left),
            _ => CacheStatus::Stale(age - ttl),
        };
        Answer { value: self.loaded.value.clone(), age, status }
    }
}
