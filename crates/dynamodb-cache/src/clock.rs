//! Time, injected.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A moment, read from the monotonic and the wall clock at once.
///
/// Neither clock alone bounds the age of a value. The monotonic clock may stand still while a
/// process is frozen (a Lambda execution environment between invocations, a suspended machine),
/// and the wall clock may be set back. An age is the larger of the two differences, so that a fault
/// of either clock can only end a value early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// The monotonic clock's reading.
    pub monotonic: Instant,
    /// The wall clock's reading.
    pub wall: SystemTime,
}

impl Timestamp {
    /// Time that has passed since `earlier`; zero if `earlier` lies ahead on both clocks.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        monotonic.max(wall)
    }
}

/// The present moment, as a cache passes it to its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Now {
    /// The clocks' readings, to measure ages in this process.
    pub reading: Timestamp,
    /// The wall clock, to compare with [`Entry::expires_at`](crate::Entry::expires_at). It has gone
    /// forward at least as far as the monotonic clock since the cache was built, although the
    /// system's clock may have been set back.
    pub wall: SystemTime,
}

impl Now {
    pub(crate) fn new(reading: Timestamp, start: &Timestamp) -> Self {
        let elapsed = reading.monotonic.saturating_duration_since(start.monotonic);
        Self { reading, wall: reading.wall.max(start.wall + elapsed) }
    }
}

/// Where a cache takes its time from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the present moment.
    fn now(&self) -> Timestamp;
}

/// The clocks of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    fn now(&self) -> Timestamp {
        Timestamp { monotonic: Instant::now(), wall: SystemTime::now() }
    }
}

/// A clock that moves only when told to, for tests of expiry.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Creates a clock whose wall clock stands at `wall`.
    #[must_use]
    pub fn at(wall: SystemTime) -> Self {
        Self(Mutex::new(Timestamp { wall, ..SystemClock.now() }))
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        self.change(|now| {
            now.monotonic += by;
            now.wall += by;
        });
    }

    /// Moves the wall clock alone forward, as a machine that was frozen sees it.
    pub fn advance_frozen(&self, by: Duration) {
        self.change(|now| now.wall += by);
    }

    /// Sets the wall clock back.
    pub fn set_wall_back(&self, by: Duration) {
        self.change(|now| now.wall -= by);
    }

    fn change(&self, change: impl FnOnce(&mut Timestamp)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A clock that stands at the present moment.
impl Default for ManualClock {
    fn default() -> Self {
        Self(Mutex::new(SystemClock.now()))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
