//! Values from Systems Manager and DynamoDB.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use aws_config::Region;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_outcome::{Cause, Failure, Service};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::types::ParameterType;
use futures::future::{BoxFuture, join_all};

use crate::entry::{Entry, Item, KeyAttribute, KeyValue, Parameter, Source};
use crate::json;
use crate::upstream::{Load, LoadError, Request, Upstream};
use crate::value::{Kind, Value};

/// After a freeze, an open connection may be dead without notice. An attempt on it ends after this
/// time, and the next attempt uses another connection.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 3;
/// All attempts together. Lambda gives the extensions and the function 10 s to start.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Loads the SDK configuration for [`Aws`] from the environment.
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
    /// Creates the clients that these entries need.
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

    /// Loads parameters of one Region.
    async fn get_parameters(&self, parameters: &[&Parameter]) -> Result<Vec<Load>, LoadError> {
        let Some(Parameter { region, .. }) = parameters.first() else { return Ok(Vec::new()) };
        let names = parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let request = self.ssm[region].get_parameters().set_names(Some(names));
        let output = request.with_decryption(true).send().await.map_err(|error| {
            load_error(Service::Ssm, &error, |failure| {
                format!("Systems Manager in {region}: {failure}")
            })
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
            // A parameter that is denied or cannot be decrypted fails the whole request.
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
        let at_table = |text: &str| format!("table {table} in {region}: {text}");
        let key = [hash].into_iter().chain(sort).map(key_attribute).collect();
        let request = self.dynamodb[region].get_item().table_name(table).set_key(Some(key));
        let output = request
            .send()
            .await
            .map_err(|error| load_error(Service::DynamoDb, &error, at_table))?;
        let item =
            output.item.ok_or_else(|| LoadError::NotFound(at_table("the item does not exist")))?;
        // The error's text may quote the item, so it is not used.
        let body = json::of_item(&item)
            .map_err(|_| LoadError::Refused(at_table("the item cannot be written as JSON")))?;
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

/// All names by which a parameter may have been requested.
fn names_of(
    parameter: &aws_sdk_ssm::types::Parameter,
) -> impl Iterator<Item = (String, &aws_sdk_ssm::types::Parameter)> {
    // The requested version or label, with its colon.
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

/// The service refuses a value only if it answers so. Without an answer, or with credentials that
/// are about to be renewed, the next load may succeed.
fn load_error<E: ProvideErrorMetadata + Error + 'static>(
    service: Service,
    error: &SdkError<E>,
    text: impl Fn(&str) -> String,
) -> LoadError {
    let failure = Failure::new(service, error);
    let text = text(&failure.to_string());
    match failure.cause() {
        Cause::ExpiredToken | Cause::ClockSkew => LoadError::Unavailable(text),
        _ if failure.is_retryable() || failure.status().is_none() => LoadError::Unavailable(text),
        _ => LoadError::Refused(text),
    }
}
