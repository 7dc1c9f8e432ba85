//! The parameters of an event source mapping.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::time::Instant;

/// The parameters of a mapping, by Lambda's names and with its defaults.
///
/// Defaults and limits are those of "Lambda parameters for Amazon Kinesis Data Streams event source
/// mappings" and of `CreateEventSourceMapping` in the API reference.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The most records in a batch: 1 to 10,000, 100 by default.
    pub batch_size: usize,
    /// Where the first call on a shard begins. Lambda has no default for it; here it is
    /// [`TrimHorizon`](StartingPosition::TrimHorizon).
    pub starting_position: StartingPosition,
    /// Whether a batch that fails is split, and its parts are retried one after the other. Off by
    /// default.
    pub bisect_batch_on_function_error: bool,
    /// What [bisecting](Self::bisect_batch_on_function_error) does with a batch whose first record is
    /// reported. Lambda's documentation can be read both ways.
    pub first_record_reported: FirstRecordReported,
    /// How often a batch is retried after its first delivery: 0 to 10,000. `None`, the default, is
    /// Lambda's -1: without end.
    pub maximum_retry_attempts: Option<u32>,
    /// The age after which a record is discarded instead of delivered: 60 seconds to 7 days.
    /// `None`, the default, is Lambda's -1: never.
    pub maximum_record_age: Option<Duration>,
    /// Whether `ReportBatchItemFailures` is in `FunctionResponseTypes`: without it, the function's
    /// response is not looked at. Off by default.
    pub report_batch_item_failures: bool,
}

/// How a batch is bisected if the function reports its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstRecordReported {
    /// The batch has failed as a whole, and is halved. The default.
    #[default]
    Halve,
    /// "The batch is bisected at the returned sequence number", which splits nothing off. The whole
    /// batch is retried.
    Retry,
}

/// Where reading begins when a shard has no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// With the oldest record.
    TrimHorizon,
    /// After the records that are there when the shard is first read.
    Latest,
    /// With the first record that arrived at this time or later.
    AtTimestamp(Instant),
}

/// Lambda does not accept a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}; it has to be {allowed}")]
pub struct InvalidSetting {
    setting: &'static str,
    value: String,
    allowed: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_size: 100,
            starting_position: StartingPosition::TrimHorizon,
            bisect_batch_on_function_error: false,
            first_record_reported: FirstRecordReported::default(),
            maximum_retry_attempts: None,
            maximum_record_age: None,
            report_batch_item_failures: false,
        }
    }
}

impl Settings {
    pub(crate) fn validate(&self) -> Result<(), InvalidSetting> {
        check("BatchSize", self.batch_size, 1..=10_000)?;
        if let Some(retries) = self.maximum_retry_attempts {
            check("MaximumRetryAttempts", retries, 0..=10_000)?;
        }
        if let Some(age) = self.maximum_record_age {
            check("MaximumRecordAgeInSeconds", age.as_secs_f64(), 60.0..=604_800.0)?;
        }
        Ok(())
    }
}

fn check<T: Copy + PartialOrd + fmt::Display>(
    setting: &'static str,
    value: T,
    allowed: RangeInclusive<T>,
) -> Result<(), InvalidSetting> {
    if allowed.contains(&value) {
        return Ok(());
    }
    let allowed = format!("from {} to {}", allowed.start(), allowed.end());
    Err(InvalidSetting { setting, value: value.to_string(), allowed })
}
