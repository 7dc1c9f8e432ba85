//! The DynamoDB table, behind the calls that the consumer makes.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_outcome::{Cause, Failure, Service};
use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, PutRequest, ScalarAttributeType, TableDescription, WriteRequest,
};
use futures::future::BoxFuture;

use crate::key_attributes::{KeyAttribute, KeyAttributes, KeyType};
use crate::setup_error::SetupError;

/// An item of a table.
pub type Item = HashMap<String, AttributeValue>;

/// Writes items to a table.
pub trait Table: Send + Sync + fmt::Debug {
    /// Puts up to 25 items of different keys, and returns those that were not processed.
    ///
    /// # Errors
    /// The request failed as a whole. Its [`class`](Failure::class) decides what follows: a retryable
    /// request is repeated; any other one is split until a single item fails, which is then rejected
    /// ([`Class::Request`](aws_outcome::Class::Request)) or waits for an operator.
    fn put(&self, items: Vec<Item>) -> BoxFuture<'_, Result<Vec<Item>, Failure>>;

    /// Puts an item unless the table has one of the same key whose attribute `version` is equal or
    /// higher.
    ///
    /// The item's own version is a number or a string. Numbers are compared by value and strings by
    /// their bytes. Any string is higher than any number, and an item without the attribute is
    /// lowest.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    fn put_if_newer<'a>(
        &'a self,
        item: Item,
        version: &'a str,
    ) -> BoxFuture<'a, Result<PutOutcome, Failure>>;
}

/// Outcome of a conditional put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The table took the item.
    Written,
    /// The table keeps an item that is as new or newer.
    Superseded,
}

/// A DynamoDB table.
#[derive(Debug, Clone)]
pub struct DynamoDbTable {
    client: aws_sdk_dynamodb::Client,
    name: String,
}

impl DynamoDbTable {
    /// Creates a client of the table called `name`, or with the ARN `name`. Makes no AWS calls.
    ///
    /// # Errors
    /// The name is not one that DynamoDB allows.
    pub fn new(config: &SdkConfig, name: &str) -> Result<Self, SetupError> {
        if !is_table_name(name) {
            return Err(SetupError::TableName(name.to_owned()));
        }
        // The consumer repeats requests itself, in the order that counts. The SDK's one retry corrects
        // the clock.
        let retries = RetryConfig::standard()
            .with_max_attempts(2)
            .with_initial_backoff(Duration::from_millis(20));
        let config = Builder::from(config).retry_config(retries).build();
        Ok(Self { client: aws_sdk_dynamodb::Client::from_conf(config), name: name.to_owned() })
    }

    /// Asks DynamoDB for the table's key attributes.
    ///
    /// # Errors
    /// DynamoDB does not describe the table, or a key attribute is binary.
    pub async fn key_attributes(&self) -> Result<KeyAttributes, SetupError> {
        let error = |reason: String| SetupError::DescribeTable { table: self.name.clone(), reason };
        let output = self.client.describe_table().table_name(&self.name).send().await;
        let output = output.map_err(|failure| error(failed(&failure).to_string()))?;
        let table =
            output.table.ok_or_else(|| error("the response has no description".to_owned()))?;
        self.described_keys(&table)
    }

    fn described_keys(&self, table: &TableDescription) -> Result<KeyAttributes, SetupError> {
        let key_type = |attribute: &str| {
            let definitions = table.attribute_definitions();
            let definition = definitions.iter().find(|found| found.attribute_name == attribute)?;
            match definition.attribute_type {
                ScalarAttributeType::S => Some(KeyType::Text),
                ScalarAttributeType::N => Some(KeyType::Number),
                _ => None,
            }
        };
        let keys = table.key_schema().iter().map(|key| match key_type(&key.attribute_name) {
            Some(key_type) => Ok(KeyAttribute { name: key.attribute_name.clone(), key_type }),
            None => Err(SetupError::BinaryKey {
                table: self.name.clone(),
                attribute: key.attribute_name.clone(),
            }),
        });
        KeyAttributes::new(keys.collect::<Result<_, _>>()?).map_err(SetupError::KeyAttributes)
    }
}

/// Source: Amazon DynamoDB API reference, `TableName` of `BatchWriteItem`, which takes an ARN too.
fn is_table_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let is_name = (3..=255).contains(&name.len()) && name.bytes().all(is_allowed);
    is_name || (name.starts_with("arn:") && name.contains(":table/"))
}

impl Table for DynamoDbTable {
    fn put(&self, items: Vec<Item>) -> BoxFuture<'_, Result<Vec<Item>, Failure>> {
        Box::pin(async {
            let requests = items.into_iter().map(put_request).collect();
            let request = self.client.batch_write_item().request_items(&self.name, requests);
            let output = request.send().await.map_err(|error| failed(&error))?;
            let unprocessed = output.unprocessed_items.unwrap_or_default().into_values().flatten();
            Ok(unprocessed.filter_map(|request| Some(request.put_request?.item)).collect())
        })
    }

    fn put_if_newer<'a>(
        &'a self,
        item: Item,
        version: &'a str,
    ) -> BoxFuture<'a, Result<PutOutcome, Failure>> {
        Box::pin(async move {
            let request = self.client.put_item().table_name(&self.name);
            let own = item.get(version).expect("the item's version has been read");
            let request = only_if_newer(request, version, own);
            let output = request.set_item(Some(item)).send().await;
            match output.map_err(|error| failed(&error)) {
                Ok(_) => Ok(PutOutcome::Written),
                Err(failure) if failure.cause() == Cause::ConditionFailed => {
                    Ok(PutOutcome::Superseded)
                }
                Err(failure) => Err(failure),
            }
        })
    }
}

/// DynamoDB finds values of different types neither less nor greater, hence the clause for texts.
fn only_if_newer(
    request: PutItemFluentBuilder,
    name: &str,
    version: &AttributeValue,
) -> PutItemFluentBuilder {
    const HIGHER: &str = "attribute_not_exists(#version) OR #version < :version";
    let request = match version {
        AttributeValue::S(_) => request
            .condition_expression(format!("{HIGHER} OR attribute_type(#version, :number)"))
            .expression_attribute_values(":number", AttributeValue::S("N".to_owned())),
        _ => request.condition_expression(HIGHER),
    };
    request
        .expression_attribute_names("#version", name)
        .expression_attribute_values(":version", version.clone())
}

fn put_request(item: Item) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(item)).build().expect("the item is set");
    WriteRequest::builder().put_request(put).build()
}

fn failed<E>(error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    Failure::new(Service::DynamoDb, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_are_those_that_dynamodb_allows() {
        let arn = "arn:aws:dynamodb:eu-west-1:000000000000:table/items";
        for name in ["abc", "Items_1.2-3", &"a".repeat(255), arn] {
            assert!(is_table_name(name), "{name}");
        }
        for name in ["", "ab", &"a".repeat(256), "my table", "items/1", "arn:aws:s3:::items"] {
            assert!(!is_table_name(name), "{name}");
        }
    }
}
