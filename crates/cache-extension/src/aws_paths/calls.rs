//! Calls of Systems Manager and Secrets Manager, with their answers in the form of AWS's extension.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_outcome::{Failure, Service};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ssm::types::{Parameter, ParameterType};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::{BoxFuture, join_all};
use serde_json::{Value as Json, json};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::AwsPathSettings;
use crate::aws::{PAUSE, is_worth_repeating, load_error};
use crate::entry::{Action, Call, Source};
use crate::upstream::{Load, LoadError, Request, Upstream};
use crate::value::{Kind, Value};

/// Makes calls in the function's Region.
#[derive(Debug)]
pub struct ServiceCalls {
    ssm: aws_sdk_ssm::Client,
    secrets: aws_sdk_secretsmanager::Client,
    permits: Semaphore,
    parameter_timeout: Option<Duration>,
    secret_timeout: Option<Duration>,
}

impl ServiceCalls {
    /// Creates the clients.
    #[must_use]
    pub fn new(config: &SdkConfig, settings: &AwsPathSettings) -> Self {
        Self {
            ssm: aws_sdk_ssm::Client::new(config),
            secrets: aws_sdk_secretsmanager::Client::new(config),
            permits: Semaphore::new(settings.max_connections),
            parameter_timeout: settings.parameter_timeout,
            secret_timeout: settings.secret_timeout,
        }
    }

    async fn call(&self, Call { region, action }: &Call) -> Load {
        let body = match action {
            Action::GetParameter { name, with_decryption } => {
                let attempt =
                    || self.ssm.get_parameter().name(name).with_decryption(*with_decryption).send();
                let answer = self.answer(Service::Ssm, self.parameter_timeout, attempt).await;
                let output = answer.map_err(|failure| {
                    let text = |text: &str| format!("parameter {name} in {region}: {text}");
                    or_not_found(&failure, text)
                })?;
                parameter(output.parameter())
            }
            Action::GetSecretValue { id, version_id, version_stage } => {
                let attempt = || {
                    let request = self.secrets.get_secret_value().secret_id(id);
                    let request = request.set_version_id(version_id.clone());
                    request.set_version_stage(version_stage.clone()).send()
                };
                let answer =
                    self.answer(Service::SecretsManager, self.secret_timeout, attempt).await;
                let output = answer.map_err(|failure| {
                    let text = |text: &str| format!("secret {id} in {region}: {text}");
                    or_not_found(&failure, text)
                })?;
                secret(&output)
            }
        };
        Ok(Value { kind: Kind::Call, body: body.to_string().into() }.into())
    }

    /// Makes a call when few enough others are in flight, and once more if it is refused.
    async fn answer<T, E, F>(
        &self,
        service: Service,
        limit: Option<Duration>,
        attempt: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let send = async || attempt().await.map_err(|error| Failure::new(service, &error));
        let calls = async {
            match send().await {
                Err(failure) if is_worth_repeating(&failure, !is_missing(&failure)) => {
                    sleep(PAUSE).await;
                    send().await
                }
                answer => answer,
            }
        };
        match limit {
            Some(limit) => {
                timeout(limit, calls).await.unwrap_or_else(|_| Err(Failure::timed_out(limit)))
            }
            None => calls.await,
        }
    }
}

impl Upstream for ServiceCalls {
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>> {
        let load = async move |request: &'a Request| match &request.source {
            Source::Call(call) => self.call(call).await,
            Source::Parameter(_) | Source::Item(_) => {
                unreachable!("only calls come from requests")
            }
        };
        Box::pin(join_all(batch.iter().map(load)))
    }
}

fn is_missing(failure: &Failure) -> bool {
    let missing = ["ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException"];
    failure.code().is_some_and(|code| missing.contains(&code))
}

fn or_not_found(failure: &Failure, text: impl Fn(&str) -> String) -> LoadError {
    match is_missing(failure) {
        true => LoadError::NotFound(text("it does not exist")),
        false => load_error(failure, text),
    }
}

fn parameter(parameter: Option<&Parameter>) -> Json {
    json!({
        "Parameter": parameter.map(|parameter| json!({
            "ARN": parameter.arn(),
            "DataType": parameter.data_type(),
            "LastModifiedDate": parameter.last_modified_date().and_then(date),
            "Name": parameter.name(),
            "Selector": parameter.selector(),
            "SourceResult": parameter.source_result(),
            "Type": parameter.r#type().map(ParameterType::as_str),
            "Value": parameter.value(),
            "Version": parameter.version(),
        })),
        "ResultMetadata": {},
    })
}

fn secret(output: &GetSecretValueOutput) -> Json {
    json!({
        "ARN": output.arn(),
        "CreatedDate": output.created_date().and_then(date),
        "Name": output.name(),
        "SecretBinary": output.secret_binary().map(|bytes| BASE64_STANDARD.encode(bytes)),
        "SecretString": output.secret_string(),
        "VersionId": output.version_id(),
        "VersionStages": output.version_stages(),
        "ResultMetadata": {},
    })
}

fn date(time: &DateTime) -> Option<String> {
    time.fmt(DateTimeFormat::DateTimeWithOffset).ok()
}
