//! How many items are sent at once.

use std::time::Duration;

use aws_outcome::Pauses;
use tokio::time::Instant;

/// Upper bound of the first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Upper bound of all pauses.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Limits requests in flight and their items.
///
/// After a request that failed, the lowest item goes alone, so that a table that takes only few
/// items takes those that count. While requests succeed, both limits double.
#[derive(Debug)]
pub(crate) struct Pace {
    max_requests: usize,
    max_items: usize,
    requests: usize,
    items: usize,
    pauses: Pauses,
    resume_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(max_requests: usize, max_items: usize) -> Self {
        Self {
            max_requests,
            max_items,
            requests: max_requests,
            items: max_items,
            pauses: pauses(),
            resume_at: None,
        }
    }

    /// Returns `true` if a request may be sent beside those in flight.
    pub(crate) fn allows(&self, in_flight: usize) -> bool {
        !self.is_pausing() && in_flight < self.requests
    }

    /// Returns the maximum number of items in the next request.
    pub(crate) fn items_per_request(&self) -> usize {
        self.items
    }

    pub(crate) fn is_pausing(&self) -> bool {
        self.resume_at.is_some()
    }

    /// Returns when the pause ends; now if there is none.
    pub(crate) fn resume_at(&self) -> Instant {
        self.resume_at.unwrap_or_else(Instant::now)
    }

    pub(crate) fn resume(&mut self) {
        self.resume_at = None;
    }

    /// A request succeeded.
    pub(crate) fn speed_up(&mut self) {
        self.pauses = pauses();
        self.requests = (self.requests * 2).min(self.max_requests);
        self.items = (self.items * 2).min(self.max_items);
    }

    /// A request was processed in part: the table takes items, but not that fast.
    pub(crate) fn hold(&mut self) {
        self.pauses = pauses();
        self.requests = 1;
        self.pause();
    }

    /// A request was not processed at all.
    pub(crate) fn slow_down(&mut self) {
        self.requests = 1;
        self.items = 1;
        self.pause();
    }

    /// Requests that were in flight together and failed together cause one pause.
    fn pause(&mut self) {
        if self.resume_at.is_none() {
            self.resume_at = Some(Instant::now() + self.pauses.next_pause());
        }
    }
}

fn pauses() -> Pauses {
    Pauses::new(FIRST_PAUSE, LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_one_item_and_successes_double_the_limits() {
        let mut pace = Pace::new(4, 25);
        assert!(pace.allows(3) && !pace.allows(4));
        pace.slow_down();
        assert!(pace.is_pausing() && !pace.allows(0));
        pace.resume();
        assert!(pace.allows(0) && !pace.allows(1));
        let mut items = Vec::new();
        for _ in 0..6 {
            items.push(pace.items_per_request());
            pace.speed_up();
        }
        assert_eq!(items, [1, 2, 4, 8, 16, 25]);
        assert!(pace.allows(3) && !pace.allows(4));
    }

    #[test]
    fn failures_of_the_same_moment_cause_one_pause() {
        let mut pace = Pace::new(4, 25);
        pace.hold();
        let resume_at = pace.resume_at();
        pace.slow_down();
        assert_eq!(pace.resume_at(), resume_at);
    }
}
