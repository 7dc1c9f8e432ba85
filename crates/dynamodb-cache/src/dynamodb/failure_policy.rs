//! How often requests to DynamoDB are repeated, and what a failure leads to.

use std::time::Duration;

use aws_outcome::{Cause, Failure, Pauses};
use tokio::time::{Instant, sleep};

/// What to do when DynamoDB throttles a request, fails or does not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// Retry the request up to this many times, and then go on without the table: a lookup finds
    /// nothing, and a write is returned as not written.
    Miss {
        /// Attempts after the first; 0 to go on at once.
        retries: u32,
    },
    /// Retry the request up to this many times, and then return the error.
    Fail {
        /// Attempts after the first.
        retries: u32,
    },
}

/// Two retries, and then a miss: a cache should not take its application down.
impl Default for FailurePolicy {
    fn default() -> Self {
        Self::Miss { retries: 2 }
    }
}

impl FailurePolicy {
    /// Starts an operation that may take this long with all its attempts.
    pub(super) fn attempts(self, time: Duration) -> Attempts {
        let (Self::Miss { retries } | Self::Fail { retries }) = self;
        let pauses = Pauses::new(Duration::from_millis(50), Duration::from_millis(400));
        Attempts { retries, pauses, end: Instant::now() + time }
    }
}

/// The attempts of an operation that remain after the first, and its time limit.
pub(super) struct Attempts {
    retries: u32,
    pauses: Pauses,
    end: Instant,
}

impl Attempts {
    /// Time limit of the next attempt: half of what is left while another one may follow, since a
    /// connection may be dead without notice.
    pub(super) fn limit(&self) -> Duration {
        let left = self.end.saturating_duration_since(Instant::now());
        if self.retries > 0 { left / 2 } else { left }
    }

    /// Waits for the next attempt. Returns `false` at once if none remains or helps.
    pub(super) async fn retry(&mut self, failure: &Failure) -> bool {
        if self.retries == 0 || !failure.is_retryable() {
            return false;
        }
        self.retries -= 1;
        // Who waited for a time-out has waited long enough.
        if failure.cause() == Cause::Timeout {
            return !self.limit().is_zero();
        }
        let left = self.end.saturating_duration_since(Instant::now());
        let Some(pause) = self.pauses.next_within(left) else { return false };
        sleep(pause).await;
        true
    }
}
