//! The limit on what a pusher holds in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that one record counts for beside its own, so that small records do not fill the memory
/// with the message and the bookkeeping around them.
const OVERHEAD: usize = 1 << 10;

/// Bytes that a pusher may hold at once. They are reserved before anything is accepted and released
/// when the outcome is known, so memory stays bounded for any linger, aggregation and backlog. Clones
/// share it.
#[derive(Debug, Clone)]
pub(crate) struct Capacity {
    limit: usize,
    free: Arc<Semaphore>,
    reservations: Arc<AtomicUsize>,
}

/// Capacity of one record or message. Released on drop.
#[derive(Debug)]
pub(crate) struct Reservation {
    permit: Option<OwnedSemaphorePermit>,
    reservations: Arc<AtomicUsize>,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.reservations.fetch_sub(1, Relaxed);
    }
}

impl Reservation {
    /// Returns the bytes that are reserved.
    pub(crate) fn bytes(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }
}

impl Capacity {
    pub(crate) fn new(limit: usize) -> Self {
        let free = Arc::new(Semaphore::new(limit));
        Self { limit, free, reservations: Arc::default() }
    }

    /// Reserves capacity if that is possible at once.
    pub(crate) fn try_reserve(&self, bytes: usize) -> Option<Reservation> {
        let permit = self.free.clone().try_acquire_many_owned(self.permits(bytes)).ok()?;
        Some(self.reservation(Some(permit)))
    }

    /// Reserves capacity, waiting for others to release theirs. Requests are served in order.
    pub(crate) async fn reserve(&self, bytes: usize) -> Reservation {
        let permit = self.free.clone().acquire_many_owned(self.permits(bytes)).await;
        self.reservation(permit.ok())
    }

    /// Waits until everything that was reserved before this call is released. Later requests wait
    /// with it.
    pub(crate) async fn all_released(&self) {
        // The semaphore is never closed, and its waiters are served in order.
        let _ = self.free.acquire_many(clamped(self.limit)).await;
    }

    /// Returns half of the capacity in bytes.
    pub(crate) fn half(&self) -> usize {
        self.limit / 2
    }

    /// Returns whether less than half of the capacity is free.
    pub(crate) fn is_scarce(&self) -> bool {
        self.free.available_permits() < self.half()
    }

    /// Returns the number of reservations that are not released.
    pub(crate) fn in_flight(&self) -> usize {
        self.reservations.load(Relaxed)
    }

    fn reservation(&self, permit: Option<OwnedSemaphorePermit>) -> Reservation {
        self.reservations.fetch_add(1, Relaxed);
        Reservation { permit, reservations: self.reservations.clone() }
    }

    /// A record larger than the limit takes all of it.
    fn permits(&self, bytes: usize) -> u32 {
        clamped(bytes.saturating_add(OVERHEAD).min(self.limit))
    }
}

fn clamped(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures::future::FutureExt;

    use super::*;

    #[tokio::test]
    async fn capacity_is_held_until_a_reservation_is_dropped() {
        let capacity = Capacity::new(10 * OVERHEAD);
        let half = capacity.try_reserve(4 * OVERHEAD).unwrap();
        let other_half = capacity.reserve(4 * OVERHEAD).await;
        assert_eq!(capacity.in_flight(), 2);
        assert!(capacity.is_scarce());
        assert!(capacity.try_reserve(0).is_none());
        drop(half);
        assert!(!capacity.is_scarce());
        assert!(capacity.try_reserve(0).is_some());
        assert!(capacity.all_released().now_or_never().is_none());
        drop(other_half);
        capacity.all_released().await;
        assert_eq!(capacity.in_flight(), 0);
    }

    #[tokio::test]
    async fn a_record_above_the_limit_takes_all_of_it() {
        let capacity = Capacity::new(OVERHEAD);
        let large = capacity.reserve(usize::MAX).await;
        assert!(capacity.try_reserve(0).is_none());
        drop(large);
        assert!(capacity.try_reserve(0).is_some());
    }
}
