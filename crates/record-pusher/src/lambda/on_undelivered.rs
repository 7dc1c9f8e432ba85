//! What an invocation does about records that did not reach every Region.

use std::fmt;
use std::str::FromStr;

use super::response::{FailedRecords, PushResponse};

/// Failures that an error names.
const MAX_REASONS: usize = 10;

/// Policy for an invocation whose records did not all reach every Region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUndelivered {
    /// The invocation ends in error. Lambda then retries an asynchronous one with the whole event, and
    /// sends the event to the function's on-failure destination.
    #[default]
    Fail,
    /// The response says what was not delivered, for callers that read it.
    Report,
}

/// Some records did not reach every Region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeliveredError(PushResponse);

impl OnUndelivered {
    /// Returns the response, or an error if the policy asks for one.
    ///
    /// # Errors
    /// [`UndeliveredError`] if records are undelivered and the policy is [`Fail`](Self::Fail).
    pub fn apply(self, response: PushResponse) -> Result<PushResponse, UndeliveredError> {
        match self {
            Self::Fail if response.undelivered > 0 => Err(UndeliveredError(response)),
            _ => Ok(response),
        }
    }
}

impl fmt::Display for OnUndelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fail => "fail",
            Self::Report => "report",
        })
    }
}

impl FromStr for OnUndelivered {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fail" => Ok(Self::Fail),
            "report" => Ok(Self::Report),
            _ => Err("expected fail or report"),
        }
    }
}

impl std::error::Error for UndeliveredError {}

impl fmt::Display for UndeliveredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PushResponse { records, undelivered, failed, .. } = &self.0;
        write!(f, "{undelivered} of {records} records did not reach every Region")?;
        for (index, FailedRecords { error, region, count, .. }) in
            failed.iter().take(MAX_REASONS).enumerate()
        {
            let separator = if index == 0 { ": " } else { "; " };
            let region = region.as_ref().map(|region| format!(" in {region}")).unwrap_or_default();
            write!(f, "{separator}{count}{region}: {error}")?;
        }
        match failed.len().saturating_sub(MAX_REASONS) {
            0 => Ok(()),
            others => write!(f, "; and {others} other reasons"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::PushError;

    fn too_large(count: usize) -> PushResponse {
        let region = || "eu-west-1".parse().unwrap();
        let error = |size| PushError::TooLarge { size, limit: 1, region: region() };
        PushResponse::new(&(0..count).map(|size| Err(error(size))).collect::<Vec<_>>(), false)
    }

    #[test]
    fn an_error_has_counts_and_the_first_ten_reasons() {
        for (records, others) in
            [(0, None), (1, Some("")), (10, Some("")), (12, Some("; and 2 other reasons"))]
        {
            let response = too_large(records);
            assert_eq!(OnUndelivered::Report.apply(response.clone()), Ok(response.clone()));
            let text = OnUndelivered::Fail.apply(response).err().map(|error| error.to_string());
            assert_eq!(text.is_some(), others.is_some());
            let (Some(text), Some(others)) = (text, others) else { continue };
            let start =
                format!("{records} of {records} records did not reach every Region: 1: the ");
            assert!(text.starts_with(&start), "{text}");
            assert_eq!(text.matches("1: the encrypted record").count(), records.min(MAX_REASONS));
            assert!(
                text.ends_with(others) && (!others.is_empty() || !text.contains("other reasons")),
                "{text}"
            );
        }
    }

    #[test]
    fn policies_have_names() {
        for policy in [OnUndelivered::Fail, OnUndelivered::Report] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert!("ignore".parse::<OnUndelivered>().is_err());
    }
}
