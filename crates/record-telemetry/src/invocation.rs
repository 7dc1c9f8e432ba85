//! What the invocations of a Lambda function share: metrics and deadlines.

use std::env;
use std::io::stdout;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, timeout_at};

use crate::emf::Metrics;
use crate::metric::Metric;
use crate::snapshot::Snapshot;

/// Writes a Lambda function's metrics to standard output, from which Lambda takes them to CloudWatch.
#[derive(Debug)]
pub struct FunctionMetrics(Mutex<Metrics>);

impl FunctionMetrics {
    /// Creates the metrics of the function whose execution environment this is. Create them once and
    /// keep them: they write differences.
    #[must_use]
    pub fn from_env() -> Self {
        let name = env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
        Self(Mutex::new(Metrics::new(name)))
    }

    /// Runs an invocation and writes the metrics that it changed. `snapshot` is called after
    /// `handling` has ended.
    pub async fn run_invocation<T>(
        &self,
        request_id: &str,
        handling: impl Future<Output = T>,
        snapshot: impl FnOnce() -> Snapshot,
    ) -> T {
        let start = Instant::now();
        let response = handling.await;
        // This total never grows, and is therefore written once.
        let snapshot = snapshot().total(Metric::ColdStarts, 1);
        let snapshot = snapshot.latency(Metric::BatchLatency, start.elapsed());
        let mut metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = metrics.write(snapshot, Some(request_id), stdout().lock()) {
            tracing::error!(%error, "metrics not written");
        }
        response
    }
}

/// The moment at which the work of an invocation must stop, early enough for its response to reach
/// Lambda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    /// Time kept for the response between the end of the work and Lambda's deadline.
    pub const RESERVE: Duration = Duration::from_millis(500);

    /// Converts the deadline that Lambda gives an invocation, a time of day.
    #[must_use]
    pub fn from_lambda(deadline: SystemTime) -> Self {
        #[expect(clippy::disallowed_methods, reason = "Lambda's deadline is a time of day")]
        let now = SystemTime::now();
        Self::after(deadline.duration_since(now).unwrap_or_default())
    }

    /// Creates the deadline of an invocation that Lambda ends after `time`. [`RESERVE`](Self::RESERVE)
    /// is kept for its response.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time.saturating_sub(Self::RESERVE))
    }

    /// Returns the moment at which the work must stop.
    #[must_use]
    pub fn stop(self) -> Instant {
        self.0
    }

    /// Returns the time left for work; zero when the deadline has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Runs `work` until the deadline. Returns `None` if it did not end in time; after the deadline it
    /// is not even started.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> Option<T> {
        if self.remaining().is_zero() {
            return None;
        }
        timeout_at(self.0, work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_stops_before_lambda_does() {
        let start = Instant::now();
        let deadline = Deadline::after(Duration::from_secs(3));
        assert_eq!(deadline.remaining(), Duration::from_millis(2500));
        assert_eq!(deadline.run(async { 5 }).await, Some(5));
        assert_eq!(deadline.run(pending::<()>()).await, None);
        assert_eq!(start.elapsed(), Duration::from_millis(2500));
        assert_eq!(deadline.stop(), Instant::now());
    }

    #[tokio::test(start_paused = true)]
    async fn work_does_not_start_after_the_deadline() {
        let deadline = Deadline::after(Duration::from_secs(1));
        sleep(Duration::from_secs(2)).await;
        assert_eq!(deadline.remaining(), Duration::ZERO);
        let work = async { unreachable!("started after the deadline") };
        assert_eq!(deadline.run(work).await, None::<()>);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_within_the_reserve_or_in_the_past_leaves_no_time() {
        let past = Deadline::from_lambda(SystemTime::UNIX_EPOCH);
        for deadline in [Deadline::after(Duration::from_millis(499)), past] {
            assert_eq!(deadline.remaining(), Duration::ZERO);
        }
    }
}
