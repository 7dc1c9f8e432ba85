//! Time, injected.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A moment, read from the monotonic and the wall clock at once.
///
/// Neither clock alone bounds the age of a data key. The monotonic clock may stand still while a
/// process is frozen (a Lambda execution environment between invocations, a suspended machine),
/// the wall clock may be set back. An age is the larger of the two differences, so that either
/// clock's failure can only end an entry early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// The monotonic reading.
    pub monotonic: Instant,
    /// The wall clock's reading.
    pub wall: SystemTime,
}

impl Timestamp {
    /// Time that has passed since `earlier`; zero if `earlier` lies ahead on both clocks.
    #[must_use]
    pub fn since(&self, earlier: &Timestamp) -> Duration {
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        monotonic.max(wall)
    }

    pub(crate) fn checked_add(&self, time: Duration) -> Option<Timestamp> {
        let monotonic = self.monotonic.checked_add(time)?;
        let wall = self.wall.checked_add(time)?;
        Some(Timestamp { monotonic, wall })
    }
}

/// A source of time for a cache.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present moment.
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

/// A clock that moves only when told to, for tests of what expires.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.monotonic += by;
        now.wall += by;
    }

    /// Moves the wall clock alone forward, as a machine that was frozen sees it.
    pub fn advance_frozen(&self, by: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wall += by;
    }

    /// Sets the wall clock back.
    pub fn set_wall_back(&self, by: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wall -= by;
    }
}

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
