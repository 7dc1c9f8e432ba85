//! A memory of trouble, so that not every operation waits for a table that does not answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_outcome::{Cause, Failure};
use tokio::time::Instant;

/// How long operations fail at once. Then one of them is retried.
const PAUSE: Duration = Duration::from_secs(5);
/// Failed operations in a row that count as trouble, unless one timed out.
const MAX_FAILURES: u32 = 3;

/// Lets operations fail at once for some seconds after a time-out, or after several failures in a
/// row. Failures that nobody has to wait for, such as a missing permission, do not count.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Instant,
    failure: Failure,
}

impl Breaker {
    /// Returns the last failure if an operation should not be tried. After the pause, one operation
    /// is tried, and the others wait for another pause or its success.
    pub(super) fn permit(&self) -> Result<(), Failure> {
        let mut state = self.lock();
        let Some(open) = &mut state.open else { return Ok(()) };
        let now = Instant::now();
        if now < open.until {
            return Err(open.failure.clone());
        }
        open.until = now + PAUSE;
        Ok(())
    }

    /// Takes note of an answer.
    pub(super) fn succeeded(&self) {
        *self.lock() = State::default();
    }

    /// Takes note of an operation that failed after all its attempts.
    pub(super) fn failed(&self, failure: &Failure) {
        if !failure.is_retryable() {
            return self.succeeded();
        }
        let mut state = self.lock();
        state.failures += 1;
        let timed_out = failure.cause() == Cause::Timeout;
        if timed_out || state.failures >= MAX_FAILURES || state.open.is_some() {
            let until = Instant::now() + PAUSE;
            state.open = Some(Open { until, failure: failure.clone() });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
