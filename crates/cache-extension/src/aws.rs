//! Systems Manager and DynamoDB.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::Region;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::types::ParameterType;
use futures::future::{BoxFuture, join_all};

use crate::entry::{Entry, Item, KeyAttribute, KeyValue, Parameter, Source};
use crate::json;
use crate::upstream::{Load, LoadError, Request, Upstream};
use crate::value::{Kind, Value};

/// A connection that was open before a freeze may be dead without anybody having said so. An
/// attempt on it ends after this time, and the next one, on another connection, gets through.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 3;
/// All attempts together. Lambda gives all extensions and the function ten seconds to start.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The configuration for [`Aws`], from the environment.
pub async fn config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(TIMEOUT)
        .build();
    aws_config::from_env()
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .load()
        .await
}

/// Clients for each Region.
#[derive(Debug)]
pub struct Aws {
    ssm: HashMap<String, aws_sdk_ssm::Client>,
    dynamodb: HashMap<String, aws_sdk_dynamodb::Client>,
}

impl Aws {
    /// The clients that these entries need.
    #[must_use]
    pub fn new(config: &SdkConfig, entries: &[Entry]) -> Self {
        let (mut ssm, mut dynamodb) = (HashMap::new(), HashMap::new());
        for entry in entries {
            match &entry.source {
                Source::Parameter(Parameter { region, .. }) => {
                    ssm.entry(region.clone())
                        .or_insert_with(|| aws_sdk_ssm::Client::new(&in_region(config, region)));
                }
                Source::Item(Item { region, .. }) => {
                    dynamodb.entry(region.clone()).or_insert_with(|| {
                        aws_sdk_dynamodb::Client::new(&in_region(config, region))
                    });
                }
            }
        }
        Self { ssm, dynamodb }
    }

    /// `parameters` are of one Region.
    async fn get_parameters(&self, parameters: &[&Parameter]) -> Result<Vec<Load>, LoadError> {
        let Some(Parameter { region, .. }) = parameters.first() else { return Ok(Vec::new()) };
        let names = parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let request = self.ssm[region].get_parameters().set_names(Some(names));
        let output = request.with_decryption(true).send().await.map_err(|error| {
            load_error(&error, |code| format!("Systems Manager in {region}: {code}"))
        })?;
        let found: HashMap<_, _> = output.parameters().iter().flat_map(names_of).collect();
        let load = |Parameter { name, .. }: &&Parameter| match found.get(name) {
            Some(parameter) => Ok(value(parameter).into()),
            None => {
                let text = format!("Systems Manager in {region} has no parameter {name}");
                Err(LoadError::NotFound(text))
            }
        };
        Ok(parameters.iter().map(load).collect())
    }

    async fn parameters(&self, parameters: &[&Parameter]) -> Vec<Load> {
        let batches = match self.get_parameters(parameters).await {
            // One that may not be read, or cannot be decrypted, fails all of a request.
            Err(LoadError::Refused(_)) if parameters.len() > 1 => {
                join_all(parameters.chunks(1).map(|one| self.get_parameters(one))).await
            }
            Err(error) => return vec![Err(error); parameters.len()],
            loads => vec![loads],
        };
        let loads = batches.into_iter().map(|loads| loads.unwrap_or_else(|e| vec![Err(e)]));
        loads.flatten().collect()
    }

    async fn item(&self, Item { region, table, hash, sort }: &Item) -> Load {
        let place = |problem: &str| format!("table {table} in {region}: {problem}");
        let key = [hash].into_iter().chain(sort).map(key_attribute).collect();
        let request = self.dynamodb[region].get_item().table_name(table).set_key(Some(key));
        let output = request.send().await.map_err(|error| load_error(&error, place))?;
        let item = output.item.ok_or_else(|| LoadError::NotFound(place("it has no such item")))?;
        // The error's text may quote the item, so it is not used.
        let body = json::of_item(&item)
            .map_err(|_| LoadError::Refused(place("the item cannot be written as JSON")))?;
        Ok(Value { kind: Kind::Item, body: body.into() }.into())
    }
}

fn in_region(config: &SdkConfig, region: &str) -> SdkConfig {
    config.to_builder().region(Region::new(region.to_owned())).build()
}

impl Upstream for Aws {
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>> {
        Box::pin(async move {
            if let [Request { source: Source::Item(item), .. }] = batch {
                return vec![self.item(item).await];
            }
            let parameter = |request: &'a Request| match &request.source {
                Source::Parameter(parameter) => parameter,
                Source::Item(_) => unreachable!("an item is a batch of its own"),
            };
            self.parameters(&batch.iter().map(parameter).collect::<Vec<_>>()).await
        })
    }
}

/// All names by which a parameter may have been asked for.
fn names_of(
    parameter: &aws_sdk_ssm::types::Parameter,
) -> impl Iterator<Item = (String, &aws_sdk_ssm::types::Parameter)> {
    // The version or label that was asked for, with its colon.
    let selector = parameter.selector().unwrap_or_default();
    let names = [parameter.name(), parameter.arn()];
    names.into_iter().flatten().map(move |name| (format!("{name}{selector}"), parameter))
}

fn value(parameter: &aws_sdk_ssm::types::Parameter) -> Value {
    let kind = match parameter.r#type() {
        Some(ParameterType::String | ParameterType::StringList) => Kind::Plain,
        _ => Kind::Secret,
    };
    Value { kind, body: parameter.value().unwrap_or_default().to_owned().into() }
}

fn key_attribute(attribute: &KeyAttribute) -> (String, AttributeValue) {
    let value = match &attribute.value {
        KeyValue::Text(text) => AttributeValue::S(text.clone()),
        KeyValue::Number(number) => AttributeValue::N(number.clone()),
        KeyValue::Binary { bytes, .. } => AttributeValue::B(Blob::new(bytes.as_slice())),
    };
    (attribute.name.clone(), value)
}

/// The texts of AWS's errors may quote what they are about, so only their codes are used.
fn load_error<E: ProvideErrorMetadata>(
    error: &SdkError<E>,
    text: impl Fn(&str) -> String,
) -> LoadError {
    let SdkError::ServiceError(answer) = error else {
        return LoadError::Unavailable(text(match error {
            SdkError::TimeoutError(_) => "it did not answer in time",
            SdkError::DispatchFailure(_) => "it could not be reached",
            SdkError::ConstructionFailure(_) => "the request could not be made",
            _ => "the answer could not be read",
        }));
    };
    let code = answer.err().code().unwrap_or("unknown error");
    match code {
        "ThrottlingException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ExpiredTokenException"
        | "RequestExpired" => LoadError::Unavailable(text(code)),
        _ if answer.raw().status().is_client_error() => LoadError::Refused(text(code)),
        _ => LoadError::Unavailable(text(code)),
    }
}
