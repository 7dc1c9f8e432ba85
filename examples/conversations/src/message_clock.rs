//! Unique times for messages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::created_at::CreatedAt;
use crate::user::UserId;

/// Values of the last three decimals of a time for each side of a conversation.
const LANES: u16 = 500;

/// Assigns times to messages. Create one for the process and keep it.
///
/// Two messages of one conversation never share a time:
///
/// - each time of a clock is at least 1 µs after the previous one, whatever the system clock does;
/// - the two participants have different last decimals: even for the one whose UUID is less, odd
///   for the other;
/// - clocks of the same participant, two devices say, have lanes of their own among five hundred,
///   picked at random. They can only meet if they pick the same lane and then the same microsecond.
#[derive(Debug)]
pub struct MessageClock {
    now: fn() -> SystemTime,
    lane: u16,
    /// The last assigned time, in microseconds since 1970.
    last: AtomicU64,
}

impl Default for MessageClock {
    fn default() -> Self {
        #[expect(clippy::disallowed_methods, reason = "the only place where logic gets its clock")]
        Self::new(SystemTime::now, fastrand::u16(..))
    }
}

impl MessageClock {
    /// Creates a clock over another one, in one of 500 lanes (modulo 500).
    #[must_use]
    pub fn new(now: fn() -> SystemTime, lane: u16) -> Self {
        Self { now, lane: lane % LANES, last: AtomicU64::new(0) }
    }

    /// Returns the time of a message that is sent now.
    ///
    /// With `after`, the newest message that the sender has seen, it is later than that too. So an
    /// answer never comes before its question, even if the other's clock is ahead.
    pub fn stamp(&self, sender: UserId, recipient: UserId, after: Option<&CreatedAt>) -> CreatedAt {
        let now = CreatedAt::first_of((self.now)()).micros();
        let earliest = after.map_or(now, |after| now.max(after.micros() + 1));
        let next = |last: u64| Some(earliest.max(last + 1));
        let last = self.last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let last = last.expect("there is always a next time");
        let side = u16::from(sender > recipient);
        CreatedAt::new(earliest.max(last + 1), 2 * self.lane + side)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn noon() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600)
    }

    fn users() -> [UserId; 2] {
        [1, 2].map(|number| UserId::from(Uuid::from_u128(number)))
    }

    proptest! {
        #[test]
        fn messages_of_the_same_instant_are_unique_and_each_clocks_are_in_order(
            turns in prop::collection::vec((0..6_usize, any::<bool>()), 1..100)
        ) {
            let clocks: Vec<_> = (0..6).map(|lane| MessageClock::new(noon, lane * 499)).collect();
            let [a, b] = users();
            let mut last = vec![None; clocks.len()];
            let mut all = BTreeSet::new();
            for (clock, is_a) in turns {
                let (sender, recipient) = if is_a { (a, b) } else { (b, a) };
                let stamp = clocks[clock].stamp(sender, recipient, None);
                prop_assert!(last[clock].as_ref().is_none_or(|last| *last < stamp));
                prop_assert!(all.insert(stamp.clone()));
                prop_assert_eq!(stamp.as_str().parse(), Ok(stamp.clone()));
                last[clock] = Some(stamp);
            }
        }
    }

    #[test]
    fn an_answer_is_after_what_it_answers() {
        let [a, b] = users();
        let ahead = CreatedAt::first_of(noon() + Duration::from_secs(60));
        let clock = MessageClock::new(noon, 0);
        let answer = clock.stamp(a, b, Some(&ahead));
        assert!(answer > ahead);
        assert!(clock.stamp(a, b, None) > answer);
    }
}
