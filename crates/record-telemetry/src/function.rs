//! The metrics of a Lambda function.

use std::env;
use std::io::stdout;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::emf::Metrics;
use crate::metric::Metric;
use crate::reading::Reading;

/// Writes a Lambda function's metrics to standard output, which Lambda takes to CloudWatch.
#[derive(Debug)]
pub struct FunctionMetrics(Mutex<Metrics>);

impl FunctionMetrics {
    /// Those of the function whose execution environment this is. Make one and keep it.
    #[must_use]
    pub fn from_env() -> Self {
        let name = env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_default();
        Self(Mutex::new(Metrics::new(name)))
    }

    /// Handles an invocation, and writes what came of it. `read` is asked after `handled` is done.
    pub async fn of<T>(
        &self,
        request_id: &str,
        handled: impl Future<Output = T>,
        read: impl FnOnce() -> Reading,
    ) -> T {
        #[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
        let began = Instant::now();
        let answer = handled.await;
        // The total does not grow, and so counts once.
        let reading = read().total(Metric::ColdStarts, 1);
        let reading = reading.latency(Metric::BatchLatency, began.elapsed());
        let mut metrics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = metrics.write(reading, Some(request_id), stdout().lock()) {
            tracing::error!(%error, "metrics not written");
        }
        answer
    }
}
