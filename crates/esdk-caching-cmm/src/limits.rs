//! Limits on the use of a data key, and the use that is counted against them.

use std::time::Duration;

use crate::suite::KeyCommitment;

/// Messages that one data key may encrypt, unless set: 2^32. Also the largest value that can be
/// set.
pub const DEFAULT_MAX_MESSAGES: u64 = 1 << 32;

/// Plaintext bytes that one data key may encrypt, unless set: 2^63 - 1. Also the largest value
/// that can be set.
pub const DEFAULT_MAX_BYTES: u64 = i64::MAX as u64;

/// A caller's conditions for a cache entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lookup {
    /// Limits of the caller.
    pub limits: Limits,
    /// Use to count against the entry.
    pub usage: Usage,
    /// Suites that the caller accepts.
    pub commitment: KeyCommitment,
}

impl Lookup {
    /// Creates a lookup.
    #[must_use]
    pub const fn new(limits: Limits, usage: Usage, commitment: KeyCommitment) -> Self {
        Self { limits, usage, commitment }
    }
}

/// Limits on the age and the use of one data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Age at which an entry ends.
    pub max_age: Duration,
    /// Messages that one data key may encrypt.
    pub max_messages: u64,
    /// Plaintext bytes that one data key may encrypt.
    pub max_bytes: u64,
    /// Time before `max_age` in which an entry is refreshed while it is still used; zero to let it
    /// end first. The same share of the messages and bytes counts as well.
    pub grace_period: Duration,
}

impl Limits {
    /// Creates limits on age alone: messages and bytes as the specification's maximum, no grace
    /// period.
    #[must_use]
    pub const fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            max_messages: DEFAULT_MAX_MESSAGES,
            max_bytes: DEFAULT_MAX_BYTES,
            grace_period: Duration::ZERO,
        }
    }

    /// Whether an entry of this age, with this use behind it, is in its grace period.
    pub(crate) fn are_near(&self, age: Duration, used: Usage) -> bool {
        if self.grace_period.is_zero() {
            return false;
        }
        let before = self.max_age.saturating_sub(self.grace_period);
        let share = before.div_duration_f64(self.max_age);
        age >= before
            || is_above_share(used.messages, share, self.max_messages)
            || is_above_share(used.bytes, share, self.max_bytes)
    }

    /// Shortest time between two attempts to refresh an entry.
    pub(crate) fn refresh_interval(&self) -> Duration {
        (self.grace_period / 10).max(Duration::from_secs(1))
    }
}

#[expect(clippy::cast_precision_loss, reason = "when to refresh need not be exact")]
fn is_above_share(used: u64, share: f64, limit: u64) -> bool {
    used as f64 > share * limit as f64
}

/// Messages and plaintext bytes encrypted under a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Usage {
    /// Number of messages.
    pub messages: u64,
    /// Number of plaintext bytes.
    pub bytes: u64,
}

impl Usage {
    /// No use at all: decryption is not counted.
    pub const NONE: Usage = Usage::new(0, 0);

    /// Creates a number of messages and of plaintext bytes.
    #[must_use]
    pub const fn new(messages: u64, bytes: u64) -> Usage {
        Usage { messages, bytes }
    }

    /// The encryption of one message of `bytes` bytes.
    #[must_use]
    pub const fn message(bytes: u64) -> Usage {
        Usage::new(1, bytes)
    }

    pub(crate) fn plus(self, other: Usage) -> Usage {
        Usage {
            messages: self.messages.saturating_add(other.messages),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// Returns `true` if this much use stays within `limits`.
    #[must_use]
    pub fn is_within(self, limits: &Limits) -> bool {
        self.messages <= limits.max_messages && self.bytes <= limits.max_bytes
    }
}

/// The reason for which a cache removed an entry by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EvictionReason {
    /// The cache was full, and the entry was the least recently used.
    Capacity,
    /// The entry reached its maximum age.
    Age,
    /// Another use would have exceeded a limit on messages or bytes.
    Usage,
}
