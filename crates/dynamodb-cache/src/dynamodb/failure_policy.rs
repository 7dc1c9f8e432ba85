//! How often requests to DynamoDB are repeated, and what a failure leads to.

use std::time::Duration;

use aws_outcome::{Failure, Pauses};
use tokio::time::sleep;

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
    pub(super) fn attempts(self) -> Attempts {
        let (Self::Miss { retries } | Self::Fail { retries }) = self;
        let pauses = Pauses::new(Duration::from_millis(50), Duration::from_millis(400));
        Attempts { retries, pauses }
    }
}

/// The attempts of a request that remain after the first.
pub(super) struct Attempts {
    retries: u32,
    pauses: Pauses,
}

impl Attempts {
    /// Waits for the next attempt. Returns `false` at once if none remains or helps.
    pub(super) async fn retry(&mut self, failure: &Failure) -> bool {
        if self.retries == 0 || !failure.is_retryable() {
            return false;
        }
        self.retries -= 1;
        sleep(self.pauses.next_pause()).await;
        true
    }
}
