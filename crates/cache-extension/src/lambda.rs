//! The life of an extension:
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use lambda_extension::{Error, Extension, LambdaEvent, NextEvent, service_fn};
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::info;

use crate::cache::Cache;

/// For how long an invocation is held up, after its function has answered, by values that are
/// being loaded again.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(2);

/// Registers the extension, has its cache filled if that is wanted, and attends invocations until
/// the execution environment ends.
///
/// # Errors
/// The Extensions API is not there, or answers with an error.
pub async fn run(cache: &Cache, fill: bool) -> Result<(), Error> {
    let end = Arc::new(Notify::new());
    let attend = |event: LambdaEvent| {
        let (cache, end) = (cache.clone(), Arc::clone(&end));
        async move {
            match event.next {
                // What is not done in time is done, or fails, in a later invocation.
                NextEvent::Invoke(_) => drop(timeout(REFRESH_TIMEOUT, cache.refresh()).await),
                NextEvent::Shutdown(event) => {
                    info!(reason = event.shutdown_reason, "the environment ends");
                    end.notify_one();
                }
            }
            Ok::<_, Infallible>(())
        }
    };
    let extension = Extension::new().with_events_processor(service_fn(attend)).register().await?;
    if fill {
        let failed = cache.fill().await;
        info!(entries = cache.entries().count(), failed, "the cache is filled");
    }
    tokio::select! {
        ended = extension.run() => ended,
        () = end.notified() => Ok(()),
    }
}
