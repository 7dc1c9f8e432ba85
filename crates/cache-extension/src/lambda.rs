//! The lifecycle of an extension:
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lambda_extension::{Error, Extension, LambdaEvent, NextEvent, service_fn};
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::info;

use crate::cache::Cache;

/// How long reloads may delay the end of an invocation after its function has answered.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);

/// Registers the extension, fills its cache if `fill` is set, and follows invocations until the
/// execution environment ends.
///
/// # Errors
/// The Extensions API cannot be reached, or answers with an error.
pub async fn run(cache: &Cache, fill: bool) -> Result<(), Error> {
    let end = Arc::new(Notify::new());
    let handle = |event: LambdaEvent| {
        let (cache, end) = (cache.clone(), Arc::clone(&end));
        async move {
            match event.next {
                // A reload that takes longer finishes, or fails, in a later invocation.
                NextEvent::Invoke(_) => drop(timeout(REFRESH_TIMEOUT, cache.refresh()).await),
                NextEvent::Shutdown(event) => {
                    info!(reason = event.shutdown_reason, "execution environment ends");
                    end.notify_one();
                }
            }
            Ok::<_, Infallible>(())
        }
    };
    let extension = Extension::new().with_events_processor(service_fn(handle)).register().await?;
    if fill {
        let failed = cache.fill().await;
        info!(entries = cache.entries().count(), failed, "cache filled");
    }
    tokio::select! {
        ended = extension.run() => ended,
        () = end.notified() => Ok(()),
    }
}
