//! How much a Region is sent at once, and how long a request may take.

use std::time::Duration;

/// Kinesis's limit on the entries of one request.
pub(crate) const MAX_ENTRIES: usize = 500;
/// Bytes of one request, partition keys included. Kinesis accepts 5 MiB and more, but a request is in
/// memory several times while it is encoded and signed, and larger ones save nothing.
const MAX_REQUEST_BYTES: usize = 1 << 20;
const MIN_REQUEST_BYTES: usize = 16 << 10;
/// Bytes that a request grows by after a success.
const GROWTH: usize = 64 << 10;
const MAX_REQUESTS: usize = 4;

/// Time that the smallest request may take.
const BASE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes in a second that a link is trusted to carry.
const SLOWEST_LINK: usize = 64 << 10;
/// Share of the delivery timeout that one attempt may take.
const ATTEMPTS_IN_TIMEOUT: u32 = 3;

/// Requests in flight and their size. Both halve after a timeout, so that a slow link or a slow
/// stream is not offered what it cannot carry, and grow again with each success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) requests: usize,
    pub(crate) request_bytes: usize,
    /// How often they were halved.
    pub(crate) generation: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: MAX_REQUESTS, request_bytes: MAX_REQUEST_BYTES, generation: 0 }
    }
}

impl Limits {
    /// Halves the limits, unless that was done since a request of this generation was sent: requests
    /// that were in flight together time out together.
    pub(crate) fn halve(&mut self, generation: u64) {
        if generation != self.generation {
            return;
        }
        self.generation += 1;
        self.requests = (self.requests / 2).max(1);
        self.request_bytes = (self.request_bytes / 2).max(MIN_REQUEST_BYTES);
    }

    pub(crate) fn grow(&mut self) {
        self.request_bytes = (self.request_bytes + GROWTH).min(MAX_REQUEST_BYTES);
        if self.request_bytes == MAX_REQUEST_BYTES {
            self.requests = (self.requests + 1).min(MAX_REQUESTS);
        }
    }
}

/// Returns how long one attempt may take: longer for larger requests, and a fraction of the delivery
/// timeout, so that there is time for others.
pub(crate) fn attempt_timeout(request_bytes: usize, delivery_timeout: Duration) -> Duration {
    let transfer = Duration::from_secs_f64(request_bytes as f64 / SLOWEST_LINK as f64);
    (BASE_TIMEOUT + transfer).min(delivery_timeout / ATTEMPTS_IN_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_halve_to_one_small_request_and_grow_to_the_maximum() {
        let mut limits = Limits::default();
        limits.halve(0);
        limits.halve(0);
        let half = Limits { requests: 2, request_bytes: MAX_REQUEST_BYTES / 2, generation: 1 };
        assert_eq!(limits, half);
        (1..20).for_each(|generation| limits.halve(generation));
        assert_eq!((limits.requests, limits.request_bytes), (1, MIN_REQUEST_BYTES));
        limits.grow();
        assert_eq!((limits.requests, limits.request_bytes), (1, MIN_REQUEST_BYTES + GROWTH));
        (0..20).for_each(|_| limits.grow());
        assert_eq!((limits.requests, limits.request_bytes), (MAX_REQUESTS, MAX_REQUEST_BYTES));
    }

    #[test]
    fn attempts_are_given_more_time_for_more_bytes_and_a_third_of_the_whole_at_most() {
        let minute = Duration::from_secs(60);
        assert_eq!(attempt_timeout(0, minute), BASE_TIMEOUT);
        assert_eq!(attempt_timeout(SLOWEST_LINK, minute), BASE_TIMEOUT + Duration::from_secs(1));
        assert_eq!(attempt_timeout(10 << 20, minute), minute / 3);
        assert_eq!(attempt_timeout(0, Duration::from_secs(3)), Duration::from_secs(1));
    }
}
