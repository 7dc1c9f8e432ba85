//! Cache entries, and what becomes of them at a lookup.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::limits::{EvictionReason, Lookup, Usage};
use crate::manager::Materials;
use crate::sync::Mutex;

/// Materials in a cache, with their age, their time to live and their usage.
pub struct CacheEntry {
    materials: Arc<dyn Materials>,
    created: Timestamp,
    max_age: Duration,
    uses: Mutex<Uses>,
}

#[derive(Debug)]
struct Uses {
    usage: Usage,
    /// When a caller was last told to refresh the entry.
    refreshed: Option<Timestamp>,
}

/// Materials that a cache has found.
#[derive(Clone)]
#[non_exhaustive]
pub struct Hit {
    /// The materials, with their use counted.
    pub materials: Arc<dyn Materials>,
    /// `true` if the caller should replace the entry: it is in its grace period, and no other caller
    /// was told so in this refresh interval.
    pub refresh: bool,
}

/// The result of a lookup.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Found {
    /// Usable materials.
    Hit(Hit),
    /// No entry, or one that has ended and was removed.
    Miss,
    /// An entry whose suite the caller's commitment policy forbids. It stays for others.
    Forbidden,
}

/// The reason for which an entry cannot serve a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unusable {
    /// The entry is too old or used up. The cache should remove it.
    Ended(EvictionReason),
    /// The caller's commitment policy forbids the entry's suite, or the suite is unknown. The cache
    /// should keep the entry.
    Forbidden,
}

impl CacheEntry {
    /// Creates an entry that begins at `created`, ends at `max_age`, and has seen `usage` already.
    #[must_use]
    pub fn new(
        materials: Arc<dyn Materials>,
        created: Timestamp,
        max_age: Duration,
        usage: Usage,
    ) -> Self {
        let uses = Mutex::new(Uses { usage, refreshed: None });
        Self { materials, created, max_age, uses }
    }

    /// Returns the moment right before the call that made the materials.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Returns the end of the entry's time to live. It ends when either clock gets there. `None` if
    /// the end lies beyond the range of the clocks.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        self.created.checked_add(self.max_age)
    }

    /// Returns what the materials have encrypted so far, messages in progress included.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner).usage
    }

    /// Returns `true` if the entry's own time to live has ended.
    #[must_use]
    pub fn has_expired(&self, now: &Timestamp) -> bool {
        now.since(&self.created) >= self.max_age
    }

    /// Counts the lookup's use and returns the materials, in one atomic step: however many callers
    /// there are, the uses that succeed stay within the limits.
    ///
    /// # Errors
    /// [`Unusable`] says why the entry cannot serve the lookup. Its use is then not counted.
    pub fn take_use(&self, now: &Timestamp, lookup: &Lookup) -> Result<Hit, Unusable> {
        let age = now.since(&self.created);
        if age >= self.max_age.min(lookup.limits.max_age) {
            return Err(Unusable::Ended(EvictionReason::Age));
        }
        if !self.materials.suite().is_some_and(|suite| lookup.commitment.allows(suite)) {
            return Err(Unusable::Forbidden);
        }
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let total = uses.usage.plus(lookup.usage);
        if !total.is_within(&lookup.limits) {
            return Err(Unusable::Ended(EvictionReason::Usage));
        }
        uses.usage = total;
        let refresh = lookup.limits.are_near(age, total) && uses.is_refresh_due(now, lookup);
        Ok(Hit { materials: self.materials.clone(), refresh })
    }
}

impl Uses {
    /// Returns `true` once per retry interval, so that a refresh that failed is tried again.
    fn is_refresh_due(&mut self, now: &Timestamp, lookup: &Lookup) -> bool {
        let interval = lookup.limits.refresh_interval();
        let due = self.refreshed.is_none_or(|last| now.since(&last) >= interval);
        if due {
            self.refreshed = Some(*now);
        }
        due
    }
}

impl fmt::Debug for CacheEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheEntry")
            .field("suite", &self.materials.suite())
            .field("created", &self.created)
            .field("max_age", &self.max_age)
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hit")
            .field("suite", &self.materials.suite())
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}
