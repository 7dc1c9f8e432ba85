//! What to do when DynamoDB fails, and what it fails with.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::sleep;

/// What to do when DynamoDB throttles a request, fails or does not answer in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTrouble {
    /// Repeat the request so many times, and then go on without: a lookup has found nothing, and
    /// what was to be written is returned as not written.
    Miss {
        /// Tries after the first; 0 to go on at once.
        retries: u32,
    },
    /// Repeat the request so many times, and then return the error.
    Fail {
        /// Tries after the first.
        retries: u32,
    },
}

/// Two more tries, and then a miss: a cache should not take its application down.
impl Default for OnTrouble {
    fn default() -> Self {
        Self::Miss { retries: 2 }
    }
}

impl OnTrouble {
    pub(super) fn tries(self) -> Tries {
        let (Self::Miss { retries } | Self::Fail { retries }) = self;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(25))
            .with_max_delay(Duration::from_millis(400))
            .without_max_times()
            .with_jitter()
            .build();
        Tries { left: retries, pauses }
    }
}

/// The tries of a request that are left.
pub(super) struct Tries {
    left: u32,
    pauses: ExponentialBackoff,
}

impl Tries {
    /// Waits for the next try. False, at once, if there is none.
    pub(super) async fn again(&mut self, trouble: &Trouble) -> bool {
        if self.left == 0 || !trouble.may_pass {
            return false;
        }
        self.left -= 1;
        sleep(self.pauses.next().unwrap_or_default()).await;
        true
    }
}

/// Why a request failed.
#[derive(Debug, Clone)]
pub(super) struct Trouble {
    /// DynamoDB's error code, or what else happened. DynamoDB's messages may quote values of the
    /// item, so they are not used.
    pub(super) reason: String,
    pub(super) is_throttling: bool,
    /// Whether the same request may soon succeed.
    may_pass: bool,
}

impl Trouble {
    pub(super) fn late(after: Duration) -> Self {
        let reason = format!("DynamoDB did not answer within {after:?}");
        Self { reason, is_throttling: false, may_pass: true }
    }

    pub(super) fn unprocessed() -> Self {
        let reason = "DynamoDB left entries of a batch unprocessed".to_owned();
        Self { reason, is_throttling: true, may_pass: true }
    }

    pub(super) fn is_failed_condition(&self) -> bool {
        self.reason == "ConditionalCheckFailedException"
    }
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for Trouble {
    fn from(error: SdkError<E>) -> Self {
        let reason = match &error {
            SdkError::TimeoutError(_) => "DynamoDB did not answer in time",
            SdkError::DispatchFailure(_) => "DynamoDB could not be reached",
            SdkError::ServiceError(answer) => answer.err().code().unwrap_or("unknown error"),
            _ => "DynamoDB's answer could not be read",
        };
        let is_throttling = matches!(
            reason,
            "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "RequestLimitExceeded"
                | "LimitExceededException"
        );
        let is_ours = error.raw_response().is_some_and(|answer| answer.status().is_client_error());
        let reason = reason.to_owned();
        Self { reason, is_throttling, may_pass: is_throttling || !is_ours }
    }
}
