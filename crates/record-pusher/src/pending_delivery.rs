//! Entries that a Region has not acknowledged yet.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_outcome::Pauses;
use tokio::time::Instant;

use crate::entry::Entry;
use crate::kinesis::AttemptError;
use crate::outcome::{Delivery, DeliveryError};
use crate::stats::Counters;

/// Longest pause between attempts at an encryption or a delivery.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Returns the pauses between attempts at an encryption or a delivery.
pub(crate) fn pauses() -> Pauses {
    Pauses::new(Duration::from_millis(100), LONGEST_PAUSE)
}

/// Receives the result of an entry in a Region.
pub(crate) trait Recipient: Send + Sync {
    /// Called once for each Region, by its index.
    fn resolve(&self, region: usize, result: Result<Delivery, DeliveryError>);

    /// Returns whether a Region has acknowledged the entry.
    fn is_acknowledged(&self) -> bool;
}

/// An entry that one Region has not acknowledged yet. Reports `Stopped` if it is dropped
/// unresolved.
pub(crate) struct PendingDelivery {
    pub(crate) entry: Arc<Entry>,
    pub(crate) deadline: Instant,
    /// Bytes of the pusher's capacity that are held until every Region has a result.
    pub(crate) reserved: usize,
    /// Number of requests that contained the entry.
    pub(crate) attempts: u32,
    /// Error of the latest attempt.
    pub(crate) last_error: Option<AttemptError>,
    /// The pauses between attempts.
    pub(crate) pauses: Pauses,
    counters: Arc<Counters>,
    /// Index of the Region.
    region: usize,
    /// `None` once it has been told.
    recipient: Option<Arc<dyn Recipient>>,
}

impl fmt::Debug for PendingDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingDelivery")
            .field("entry", &self.entry)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl PendingDelivery {
    pub(crate) fn new(
        entry: Arc<Entry>,
        deadline: Instant,
        reserved: usize,
        counters: Arc<Counters>,
        region: usize,
        recipient: Arc<dyn Recipient>,
    ) -> Self {
        Self {
            entry,
            deadline,
            reserved,
            attempts: 0,
            last_error: None,
            pauses: pauses(),
            counters,
            region,
            recipient: Some(recipient),
        }
    }

    pub(crate) fn delivered(mut self, delivery: Delivery) {
        self.resolve(Ok(delivery));
    }

    pub(crate) fn failed(mut self, error: AttemptError) {
        self.fail(error);
    }

    /// The deadline passed: reports the latest error, if there was an attempt.
    pub(crate) fn expired(mut self) {
        let error = self.last_error.take().unwrap_or_else(AttemptError::expired);
        self.fail(error);
    }

    /// The Region is silent, and others need the capacity.
    pub(crate) fn displaced(mut self) {
        self.fail(AttemptError::silent());
    }

    /// Returns whether another Region has acknowledged the entry.
    pub(crate) fn is_acknowledged_elsewhere(&self) -> bool {
        self.recipient.as_ref().is_some_and(|recipient| recipient.is_acknowledged())
    }

    /// The message cannot be decrypted in this Region.
    pub(crate) fn not_encrypted(mut self) {
        self.resolve(Err(DeliveryError::not_encrypted()));
    }

    fn fail(&mut self, AttemptError { code, reason, cause, kind }: AttemptError) {
        let attempts = self.attempts;
        self.resolve(Err(DeliveryError { code, reason, cause, attempts, kind }));
    }

    fn resolve(&mut self, result: Result<Delivery, DeliveryError>) {
        let Some(recipient) = self.recipient.take() else { return };
        // Before the caller is told, because the caller may then read the counters.
        match &result {
            Ok(_) => self.counters.delivered(self.entry.size()),
            Err(_) => self.counters.undelivered(),
        }
        recipient.resolve(self.region, result);
    }
}

impl Drop for PendingDelivery {
    fn drop(&mut self) {
        if self.recipient.is_some() {
            self.fail(AttemptError::stopped());
        }
    }
}
