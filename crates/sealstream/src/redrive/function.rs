//! The function record-consumer.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_outcome::{Cause, Failure, Pauses, Service};
use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::{Builder, Config};
use aws_sdk_lambda::primitives::Blob;
use serde::Deserialize;
use tokio::time::sleep;

/// A little more than the longest time that Lambda gives a function.
const INVOCATION_TIMEOUT: Duration = Duration::from_secs(910);
/// Time for Lambda to describe the function.
const DESCRIPTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Attempts to invoke the function while Lambda throttles.
const MAX_ATTEMPTS: u32 = 12;

/// A Lambda function.
pub(super) struct Function {
    client: Client,
    name: String,
}

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvokeError {
    #[error("the function could not be invoked: {0}")]
    NotInvoked(Failure),
    #[error("the function failed; its log says why")]
    Failed,
    #[error("the function's response is not that of record-consumer")]
    Malformed,
}

impl InvokeError {
    /// Returns `true` if a smaller event may be accepted.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::NotInvoked(failure) if failure.cause() == Cause::TooLarge)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Response {
    batch_item_failures: Vec<ItemFailure>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: String,
}

impl Function {
    pub(super) fn new(config: &SdkConfig, name: &str) -> Self {
        let config =
            Builder::from(config).timeout_config(attempt_timeout(INVOCATION_TIMEOUT)).build();
        Self { client: Client::from_conf(config), name: name.to_owned() }
    }

    /// Returns the bucket in which the function stores records; `None` if it has none.
    pub(super) async fn quarantine_bucket(&self) -> Result<Option<String>, Failure> {
        let request = self.client.get_function_configuration().function_name(&self.name);
        let in_time = Config::builder().timeout_config(attempt_timeout(DESCRIPTION_TIMEOUT));
        let function = request.customize().config_override(in_time).send().await;
        let function = function.map_err(|error| Failure::new(Service::Lambda, &error))?;
        let variables = function.environment.and_then(|environment| environment.variables);
        let bucket = variables.unwrap_or_default().remove("QUARANTINE_BUCKET");
        Ok(bucket.filter(|bucket| !bucket.is_empty()))
    }

    /// Invokes the function with an event. Returns the sequence numbers of the records that it did not
    /// write.
    pub(super) async fn invoke(&self, event: Vec<u8>) -> Result<Vec<String>, InvokeError> {
        let mut pauses = Pauses::new(Duration::from_millis(200), Duration::from_secs(10));
        let mut attempt = 1;
        loop {
            match self.invoke_once(event.clone()).await {
                Err(InvokeError::NotInvoked(failure))
                    if failure.is_retryable() && attempt < MAX_ATTEMPTS =>
                {
                    attempt += 1;
                    sleep(pauses.next_pause()).await;
                }
                result => return result,
            }
        }
    }

    async fn invoke_once(&self, event: Vec<u8>) -> Result<Vec<String>, InvokeError> {
        let request = self.client.invoke().function_name(&self.name).payload(Blob::new(event));
        let output = request.send().await;
        let output = output
            .map_err(|error| InvokeError::NotInvoked(Failure::new(Service::Lambda, &error)))?;
        if output.function_error.is_some() {
            return Err(InvokeError::Failed);
        }
        let payload = output.payload.unwrap_or_else(|| Blob::new(Vec::new()));
        let response: Response =
            serde_json::from_slice(payload.as_ref()).map_err(|_| InvokeError::Malformed)?;
        let failures = response.batch_item_failures.into_iter();
        Ok(failures.map(|failure| failure.item_identifier).collect())
    }
}

fn attempt_timeout(timeout: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(timeout).build()
}
