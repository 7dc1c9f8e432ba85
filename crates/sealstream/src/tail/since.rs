//! Where reading begins.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::stream::kinesis::Position;

/// Where reading begins: `latest`, `trim-horizon`, a time before now such as `10m`, or a time of
/// RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq)]

pub(crate) enum Since {
    /// With what is put from now on.
    Latest,
    /// With the oldest record that the stream still has.
    TrimHorizon,
    /// With what was put so long ago.
    Ago(Duration),
    /// With what was put at this time.
    At(DateTime),
}

impl Since {
    /// The place in every shard.
    pub(crate) fn position(self, now: SystemTime) -> Position {
        match self {
            Self::Latest => Position::Latest { now: now.into() },
            Self::TrimHorizon => Position::TrimHorizon,
            Self::Ago(duration) => {
                let oldest = SystemTime::UNIX_EPOCH;
                Position::At(now.checked_sub(duration).unwrap_or(oldest).max(oldest).into())
            }
            Self::At(time) => Position::At(time),
        }
    }
}

impl FromStr for Since {
    type Err = InvalidSince;

    fn from_str(text: &str) -> Result<Self, InvalidSince> {
        match text {
            "latest" => Ok(Self::Latest),
            "trim-horizon" => Ok(Self::TrimHorizon),
            text => ago(text)
                .map(Self::Ago)
                .or_else(|| DateTime::from_str(text, Format::DateTimeWithOffset).ok().map(Self::At))
                .ok_or(InvalidSince),
        }
    }
}

/// A number with its unit, such as `10m`.
fn ago(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::TrimHorizon => f.write_str("trim-horizon"),
            Self::Ago(duration) => write!(f, "{}s", duration.as_secs()),
            Self::At(time) => fmt::Display::fmt(time, f),
        }
    }
}

/// A text that names no such place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "give latest, trim-horizon, a time before now such as 30s, 10m, 2h or 1d, or a time such as \
     2026-01-31T12:00:00Z"
)]
pub(crate) struct InvalidSince;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Since, InvalidSince> {
        text.parse()
    }

    #[test]
    fn names_spans_and_times_are_understood() {
        assert_eq!(parse("latest"), Ok(Since::Latest));
        assert_eq!(parse("trim-horizon"), Ok(Since::TrimHorizon));
        for (text, seconds) in [("0s", 0), ("30s", 30), ("10m", 600), ("2h", 7200), ("1d", 86400)] {
            assert_eq!(parse(text), Ok(Since::Ago(Duration::from_secs(seconds))), "{text}");
        }
        let noon = DateTime::from_secs(1_769_860_800);
        for text in
            ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00.000Z"]
        {
            assert_eq!(parse(text), Ok(Since::At(noon)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "m",
            "10",
            "10 m",
            "-1m",
            "1.5h",
            "10M",
            "now",
            "2026-01-31",
            "99999999999999999d",
            "é",
        ] {
            assert_eq!(parse(text), Err(InvalidSince), "{text}");
        }
    }

    #[test]
    fn a_span_reaches_back_from_now_and_not_before_time_began() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(700);
        let at = |seconds| Position::At(DateTime::from_secs(seconds));
        assert_eq!(parse("10m").unwrap().position(now), at(100));
        assert_eq!(parse("1d").unwrap().position(now), at(0));
        assert_eq!(Since::Latest.position(now), Position::Latest { now: now.into() });
    }

    #[test]
    fn a_text_is_shown_as_it_can_be_given() {
        for text in ["latest", "trim-horizon", "90s", "2026-01-31T12:00:00Z"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }
}
