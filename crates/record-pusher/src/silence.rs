//! How long a Region has acknowledged nothing.

use std::time::Duration;

use tokio::time::Instant;

/// Share of the delivery timeout after which a silence is long. An attempt takes as much at most.
const SILENCES_IN_TIMEOUT: u32 = 3;
/// Time between two checks in a long silence.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// The time since a Region acknowledged something, or since it was first given something.
#[derive(Debug)]
pub(crate) struct Silence {
    limit: Duration,
    since: Instant,
    next_check: Instant,
}

impl Silence {
    pub(crate) fn new(delivery_timeout: Duration) -> Self {
        let (limit, since) = (delivery_timeout / SILENCES_IN_TIMEOUT, Instant::now());
        Self { limit, since, next_check: since + limit }
    }

    pub(crate) fn begin(&mut self) {
        self.since = Instant::now();
        self.next_check = self.since + self.limit;
    }

    pub(crate) fn is_long(&self) -> bool {
        self.since.elapsed() >= self.limit
    }

    /// Returns when to look whether other Regions need the capacity.
    pub(crate) fn next_check(&self) -> Instant {
        self.next_check
    }

    pub(crate) fn check_again(&mut self) {
        self.next_check = Instant::now() + CHECK_INTERVAL;
    }
}
