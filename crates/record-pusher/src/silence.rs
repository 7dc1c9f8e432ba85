//! How long a Region has acknowledged nothing.

use std::time::Duration;

use tokio::time::Instant;

/// Time between two checks in a long silence.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Time without entries that ends a silence: the Region may have recovered, and nobody asked.
const IDLE: Duration = Duration::from_secs(1);

/// The time since a Region acknowledged something, or since it was first given something.
#[derive(Debug)]
pub(crate) struct Silence {
    limit: Duration,
    since: Instant,
    next_check: Instant,
    last_response: Instant,
}

impl Silence {
    pub(crate) fn new(delivery_timeout: Duration) -> Self {
        // Sooner, an entry would be returned that the delivery timeout promises to attempt still.
        let (limit, since) = (delivery_timeout, Instant::now());
        Self { limit, since, next_check: since + limit, last_response: since }
    }

    /// The Region acknowledged something.
    pub(crate) fn begin(&mut self) {
        self.since = Instant::now();
        self.next_check = self.since + self.limit;
    }

    /// A request has ended, one way or the other.
    pub(crate) fn responded(&mut self) {
        self.last_response = Instant::now();
    }

    /// The Region is given entries, and had none.
    pub(crate) fn resume(&mut self) {
        if self.last_response.elapsed() >= IDLE {
            self.begin();
        }
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
