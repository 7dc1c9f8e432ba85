//! The sort key of messages.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use serde::{Deserialize, Serialize};

/// When a message was sent: ISO 8601 in UTC with nine decimals, `2026-01-31T12:00:00.123456789Z`.
///
/// All have the same length, so that their order as text, which is DynamoDB's, is that of time. Six
/// decimals are the time, in microseconds; the last three keep senders apart (see
/// [`MessageClock`](crate::MessageClock)).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CreatedAt(String);

/// A text that is no such time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time must have the form 2026-01-31T12:00:00.123456789Z")]
pub struct InvalidCreatedAt;

const FORM: &[u8] = b"0000-00-00T00:00:00.000000000Z";

/// Of the year 9999, the last microsecond.
const LAST_MICROS: u64 = 253_402_300_799_999_999;

impl CreatedAt {
    /// A time in microseconds since 1970, and the last three decimals.
    pub(crate) fn new(micros: u64, tail: u16) -> Self {
        debug_assert!(tail < 1000, "three decimals");
        let seconds = i64::try_from(micros / 1_000_000).expect("2^64 microseconds fit");
        let date = DateTime::from_secs(seconds).fmt(DateTimeFormat::DateTime);
        let date = date.expect("the year is between 1970 and 9999");
        let date = date.trim_end_matches('Z');
        Self(format!("{date}.{:06}{tail:03}Z", micros % 1_000_000))
    }

    /// The first possible key of a time: what is before it was sent earlier. Of a time before 1970
    /// or after 9999, that of the next one in between.
    #[must_use]
    pub fn first_of(time: SystemTime) -> Self {
        let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since_1970.as_micros()).unwrap_or(LAST_MICROS).min(LAST_MICROS);
        Self::new(micros, 0)
    }

    /// Microseconds since 1970.
    pub(crate) fn micros(&self) -> u64 {
        let time = self.time().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(time.as_micros()).expect("a year of four digits fits")
    }

    /// Microseconds since 1970, and what keeps senders apart.
    pub(crate) fn parts(&self) -> (u64, u16) {
        let tail = self.0[FORM.len() - 4..FORM.len() - 1].parse();
        (self.micros(), tail.expect("its form was checked"))
    }

    /// The opposite. Returns `None` if no time has these parts.
    pub(crate) fn from_parts(micros: u64, tail: u16) -> Option<Self> {
        (micros <= LAST_MICROS && tail < 1000).then(|| Self::new(micros, tail))
    }

    /// The time, without what keeps senders apart.
    #[must_use]
    pub fn time(&self) -> SystemTime {
        let time = DateTime::from_str(&self.0, DateTimeFormat::DateTime).expect("it was checked");
        let micros = u64::from(time.subsec_nanos() / 1000);
        let seconds = u64::try_from(time.secs()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros)
    }

    /// The text that the table has.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CreatedAt {
    type Err = InvalidCreatedAt;

    fn from_str(text: &str) -> Result<Self, InvalidCreatedAt> {
        let fits = |(byte, form): (u8, &u8)| match form {
            b'0' => byte.is_ascii_digit(),
            mark => byte == *mark,
        };
        let is_valid = text.len() == FORM.len()
            && text.bytes().zip(FORM).all(fits)
            && DateTime::from_str(text, DateTimeFormat::DateTime).is_ok();
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidCreatedAt) }
    }
}

impl TryFrom<String> for CreatedAt {
    type Error = InvalidCreatedAt;

    fn try_from(text: String) -> Result<Self, InvalidCreatedAt> {
        text.parse()
    }
}

impl From<CreatedAt> for String {
    fn from(created_at: CreatedAt) -> Self {
        created_at.0
    }
}

impl fmt::Display for CreatedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_as_text_is_that_of_time() {
        let times = [0, 1, 999_999, 1_000_000, 1_767_600_000_000_000, 253_402_300_799_999_999];
        let texts = times.map(|micros| CreatedAt::new(micros, 7));
        assert!(texts.is_sorted());
        assert_eq!(texts.each_ref().map(CreatedAt::micros), times);
        assert_eq!(texts[4].as_str(), "2026-01-05T08:00:00.000000007Z");
    }

    #[test]
    fn only_times_of_this_form_are_accepted() {
        assert!("2024-02-29T23:59:59.123456789Z".parse::<CreatedAt>().is_ok());
        for other in [
            "",
            "2026-01-05T08:01:26Z",
            "2026-01-05T08:01:26.123456Z",
            "2026-01-05T08:01:26.1234567890Z",
            "2026-01-05T08:01:26.123456789+00:00",
            "2026-01-05 08:01:26.123456789Z",
            "2026-02-29T08:01:26.123456789Z",
            "2026-01-05T08:01:26.12345678９Z",
        ] {
            assert_eq!(other.parse::<CreatedAt>(), Err(InvalidCreatedAt), "{other}");
        }
    }

    #[test]
    fn a_time_has_a_first_key() {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(12 * 3600);
        assert_eq!(CreatedAt::first_of(noon).as_str(), "1970-01-01T12:00:00.000000000Z");
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(CreatedAt::first_of(before).as_str(), "1970-01-01T00:00:00.000000000Z");
    }
}
