//! Work that has to end in time.

use tokio::time::{Instant, timeout_at};

/// What the work comes to, or none if it is not done before `stop`. It is not begun after that.
pub(crate) async fn run_until<T>(stop: Instant, work: impl Future<Output = T>) -> Option<T> {
    if Instant::now() >= stop {
        return None;
    }
    timeout_at(stop, work).await.ok()
}
