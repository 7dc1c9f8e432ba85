//! Values from Systems Manager and DynamoDB.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_config::Region;
use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_outcome::{Cause, Failure, Service};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::types::ParameterType;
use futures::future::{BoxFuture, join_all};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::entry::{Entry, Item, KeyAttribute, KeyValue, Parameter, Source};
use crate::json;
use crate::upstream::{Load, LoadError, Request, Upstream};
use crate::value::{Kind, Value};

/// Concurrent requests. Connections count against the limit of open files that the function has too.
const REQUESTS_AT_ONCE: usize = 16;
/// Requests for the keys that DynamoDB leaves unprocessed.
const UNPROCESSED_ATTEMPTS: usize = 5;
/// Before a request that was refused is made again.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);
const ATTEMPTS: u32 = 3;

/// Time limits of requests to AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Of all attempts together. Lambda gives the extensions and the function 10 s to start.
    pub total: Duration,
    /// Of an attempt. After a freeze, an open connection may be dead without notice. An attempt on it
    /// ends after this time, and the next attempt uses another connection.
    pub attempt: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { total: Duration::from_secs(5), attempt: Duration::from_secs(2) }
    }
}

/// Loads the SDK configuration for [`Aws`] from the environment.
pub async fn config(timeouts: Timeouts) -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(timeouts.attempt / 2)
        .operation_attempt_timeout(timeouts.attempt)
        .operation_timeout(timeouts.total)
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
    permits: Semaphore,
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
                // Calls have clients of their own.
                Source::Call(_) => {}
            }
        }
        Self { ssm, dynamodb, permits: Semaphore::new(REQUESTS_AT_ONCE) }
    }

    /// Makes a request when few enough others are in flight.
    ///
    /// A request that is refused is made once more. After a freeze, the clock or the credentials may
    /// have been corrected in between, and a permission that was just given may not be known
    /// everywhere.
    async fn request<T, E, F>(
        &self,
        service: Service,
        is_single: bool,
        attempt: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        E: ProvideErrorMetadata + Error + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let send = async || attempt().await.map_err(|error| Failure::new(service, &error));
        match send().await {
            Err(failure) if is_worth_repeating(&failure, is_single) => {
                sleep(PAUSE).await;
                send().await
            }
            answer => answer,
        }
    }

    /// Loads parameters of one Region.
    async fn get_parameters(&self, parameters: &[&Parameter]) -> Result<Vec<Load>, LoadError> {
        let Some(Parameter { region, .. }) = parameters.first() else { return Ok(Vec::new()) };
        let names: Vec<_> = parameters.iter().map(|parameter| parameter.name.clone()).collect();
        let attempt = || {
            let request = self.ssm[region].get_parameters().set_names(Some(names.clone()));
            request.with_decryption(true).send()
        };
        let output = self.request(Service::Ssm, names.len() == 1, attempt).await;
        let output = output.map_err(|failure| {
            load_error(&failure, |failure| format!("Systems Manager in {region}: {failure}"))
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

    async fn item(&self, item: &Item) -> Load {
        let Item { region, table, .. } = item;
        let attempt = || {
            let request = self.dynamodb[region].get_item().table_name(table);
            request.set_key(Some(key(item))).send()
        };
        let output = self.request(Service::DynamoDb, true, attempt).await;
        let output = output.map_err(|failure| load_error(&failure, |text| at_table(item, text)))?;
        match output.item {
            Some(found) => body(item, &found),
            None => Err(LoadError::NotFound(at_table(item, "the item does not exist"))),
        }
    }

    /// Loads items of one Region. Those that a BatchGetItem does not bring are asked for one by one: one
    /// that is missing may be there under another form of its number, and one table that is refused
    /// fails the whole request.
    async fn items(&self, items: &[&Item]) -> Vec<Load> {
        let found = match items {
            [_] => Vec::new(),
            _ => match self.get_items(items).await {
                Ok(found) => found,
                Err(failure) if failure.is_retryable() || failure.status().is_none() => {
                    let load =
                        |item: &&Item| Err(load_error(&failure, |text| at_table(item, text)));
                    return items.iter().map(load).collect();
                }
                Err(_) => Vec::new(),
            },
        };
        let load = async |item: &&Item| match found.iter().find(|found| is_item(item, found)) {
            Some((_, found)) => body(item, found),
            None => self.item(item).await,
        };
        join_all(items.iter().map(load)).await
    }

    async fn get_items(&self, items: &[&Item]) -> Result<Vec<Found>, Failure> {
        let Some(Item { region, .. }) = items.first() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut wanted: HashMap<String, Vec<_>> = HashMap::new();
        for item in items {
            wanted.entry(item.table.clone()).or_default().push(key(item));
        }
        let keys = |keys| KeysAndAttributes::builder().set_keys(Some(keys)).build();
        let mut wanted: HashMap<_, _> = wanted
            .into_iter()
            .map(|(table, all)| (table, keys(all).expect("the keys are set")))
            .collect();
        for _ in 0..UNPROCESSED_ATTEMPTS {
            let attempt = || {
                let request = self.dynamodb[region].batch_get_item();
                request.set_request_items(Some(wanted.clone())).send()
            };
            let output = self.request(Service::DynamoDb, false, attempt).await?;
            for (table, items) in output.responses.unwrap_or_default() {
                found.extend(items.into_iter().map(|item| (table.clone(), item)));
            }
            wanted = output.unprocessed_keys.unwrap_or_default();
            if wanted.is_empty() {
                break;
            }
            sleep(PAUSE).await;
        }
        Ok(found)
    }
}

/// A table, and an item in it.
type Found = (String, HashMap<String, AttributeValue>);

fn at_table(Item { region, table, .. }: &Item, text: &str) -> String {
    format!("table {table} in {region}: {text}")
}

fn key(Item { hash, sort, .. }: &Item) -> HashMap<String, AttributeValue> {
    [hash].into_iter().chain(sort).map(key_attribute).collect()
}

fn is_item(item: &Item, (table, found): &Found) -> bool {
    item.table == *table && key(item).iter().all(|(name, value)| found.get(name) == Some(value))
}

fn body(item: &Item, found: &HashMap<String, AttributeValue>) -> Load {
    // The error's text may quote the item, so it is not used.
    let body = json::of_item(found)
        .map_err(|_| LoadError::Refused(at_table(item, "the item cannot be written as JSON")))?;
    Ok(Value { kind: Kind::Item, body: body.into() }.into())
}

fn in_region(config: &SdkConfig, region: &str) -> SdkConfig {
    config.to_builder().region(Region::new(region.to_owned())).build()
}

impl Upstream for Aws {
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>> {
        Box::pin(async move {
            let parameters: Vec<_> = batch.iter().filter_map(|r| r.source.parameter()).collect();
            if parameters.len() == batch.len() {
                return self.parameters(&parameters).await;
            }
            let items: Vec<_> = batch.iter().filter_map(|r| r.source.item()).collect();
            assert_eq!(items.len(), batch.len(), "a batch has parameters or items");
            self.items(&items).await
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

/// Without an answer the SDK has made its attempts. With several values in the request, those that are
/// refused are found by asking for each.
pub(crate) fn is_worth_repeating(failure: &Failure, is_single: bool) -> bool {
    match failure.cause() {
        Cause::ExpiredToken | Cause::ClockSkew => true,
        // Refused because it arrived late.
        Cause::Timeout => failure.status().is_some(),
        _ => is_single && !failure.is_retryable() && failure.status().is_some(),
    }
}

/// The service refuses a value only if it answers so. Without an answer, or with credentials that
/// are about to be renewed, the next load may succeed.
pub(crate) fn load_error(failure: &Failure, text: impl Fn(&str) -> String) -> LoadError {
    let text = text(&failure.to_string());
    match failure.cause() {
        Cause::ExpiredToken | Cause::ClockSkew => LoadError::Unavailable(text),
        _ if failure.is_retryable() || failure.status().is_none() => LoadError::Unavailable(text),
        _ => LoadError::Refused(text),
    }
}
