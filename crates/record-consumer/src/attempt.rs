//! Bounds on single calls to AWS.

use std::time::Duration;

use aws_outcome::Failure;
use tokio::time::{Instant, timeout};

/// Maximum duration of a call. Calls take milliseconds; a connection that has died silently, as in a
/// frozen execution environment, never answers.
const MAX_CALL: Duration = Duration::from_secs(5);

/// Runs a call that may take a third of the time until `until`, so that there is time for a second
/// and a third one.
///
/// # Errors
/// The call's own failure, or a timeout.
pub(crate) async fn attempt<T>(
    until: Instant,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let limit = MAX_CALL.min(until.saturating_duration_since(Instant::now()) / 3);
    timeout(limit, call).await.unwrap_or_else(|_| Err(Failure::timed_out(limit)))
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use aws_outcome::Cause;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_that_hangs_costs_a_third_of_the_time_and_five_seconds_at_most() {
        for (seconds, expected) in [(60, 5000), (9, 3000), (1, 333)] {
            let start = Instant::now();
            let until = start + Duration::from_secs(seconds);
            let failure = attempt(until, pending::<Result<(), _>>()).await.unwrap_err();
            assert_eq!(failure.cause(), Cause::Timeout);
            assert!(failure.is_retryable());
            // Timers have a resolution of a millisecond.
            assert!((expected..expected + 2).contains(&start.elapsed().as_millis()));
        }
    }
}
