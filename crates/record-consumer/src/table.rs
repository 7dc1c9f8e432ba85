//! The DynamoDB table, behind the calls that the consumer makes.

use std::collections::HashMap;
use std::fmt;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, PutRequest, ScalarAttributeType, TableDescription, WriteRequest,
};
use futures::future::BoxFuture;

use crate::builder::SetupError;
use crate::key_attributes::{KeyAttribute, KeyAttributes, KeyType};

/// An item of a table.
pub type Item = HashMap<String, AttributeValue>;

/// What the consumer asks of a table.
pub trait Table: Send + Sync + fmt::Debug {
    /// Puts up to 25 items of different keys, and returns those that were not processed.
    fn put(&self, items: Vec<Item>) -> BoxFuture<'_, Result<Vec<Item>, WriteError>>;

    /// Puts an item unless the table has one of the same key whose attribute `version` is as high
    /// or higher.
    ///
    /// The item's own is a number or a text. Numbers have the order of their values and texts that
    /// of their bytes. Any text is higher than any number, and an item without the attribute is
    /// lowest.
    fn put_if_newer<'a>(
        &'a self,
        item: Item,
        version: &'a str,
    ) -> BoxFuture<'a, Result<PutOutcome, WriteError>>;
}

/// What became of an item that may be older than the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutOutcome {
    /// The table has it.
    Written,
    /// The table has an item that is as new or newer, and keeps that.
    Superseded,
}

/// Why DynamoDB failed a write request as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteError {
    /// An item of the request is not valid. DynamoDB does not say which.
    Invalid(String),
    /// The same request may soon succeed: throttling, time-outs, trouble on the network or in
    /// DynamoDB.
    Unavailable(String),
    /// The same request will fail until an operator mends something: permission, a missing table.
    Denied(String),
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
        Ok(Self { client: aws_sdk_dynamodb::Client::new(config), name: name.to_owned() })
    }

    /// Asks DynamoDB for the table's key attributes.
    ///
    /// # Errors
    /// DynamoDB does not describe the table, or a key attribute is binary.
    pub async fn key_attributes(&self) -> Result<KeyAttributes, SetupError> {
        let error = |code: &str| SetupError::DescribeTable {
            table: self.name.clone(),
            reason: code.to_owned(),
        };
        let output = self.client.describe_table().table_name(&self.name).send().await;
        let output = output.map_err(|failure| error(code(&failure)))?;
        let table = output.table.ok_or_else(|| error("the response has no description"))?;
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
    fn put(&self, items: Vec<Item>) -> BoxFuture<'_, Result<Vec<Item>, WriteError>> {
        Box::pin(async {
            let requests = items.into_iter().map(put_request).collect();
            let request = self.client.batch_write_item().request_items(&self.name, requests);
            let output = request.send().await.map_err(|error| write_error(&error))?;
            let unprocessed = output.unprocessed_items.unwrap_or_default().into_values().flatten();
            Ok(unprocessed.filter_map(|request| Some(request.put_request?.item)).collect())
        })
    }

    fn put_if_newer<'a>(
        &'a self,
        item: Item,
        version: &'a str,
    ) -> BoxFuture<'a, Result<PutOutcome, WriteError>> {
        Box::pin(async move {
            let request = self.client.put_item().table_name(&self.name);
            let own = item.get(version).expect("the item's version has been read");
            let request = only_if_newer(request, version, own);
            match request.set_item(Some(item)).send().await {
                Ok(_) => Ok(PutOutcome::Written),
                Err(error) if is_superseded(&error) => Ok(PutOutcome::Superseded),
                Err(error) => Err(write_error(&error)),
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

fn is_superseded(error: &SdkError<PutItemError>) -> bool {
    error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception)
}

fn put_request(item: Item) -> WriteRequest {
    let put = PutRequest::builder().set_item(Some(item)).build().expect("the item is set");
    WriteRequest::builder().put_request(put).build()
}

fn write_error<E: ProvideErrorMetadata>(error: &SdkError<E>) -> WriteError {
    let code = code(error).to_owned();
    match error {
        SdkError::ServiceError(answer) if answer.raw().status().is_client_error() => {
            match code.as_str() {
                "ValidationException" => WriteError::Invalid(code),
                "ProvisionedThroughputExceededException"
                | "ThrottlingException"
                | "RequestLimitExceeded"
                | "LimitExceededException" => WriteError::Unavailable(code),
                _ => WriteError::Denied(code),
            }
        }
        _ => WriteError::Unavailable(code),
    }
}

/// DynamoDB's error code. Its messages may quote values of the item, so they are not used.
fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> &str {
    match error {
        SdkError::TimeoutError(_) => "it did not answer in time",
        SdkError::DispatchFailure(_) => "it could not be reached",
        SdkError::ServiceError(answer) => answer.err().code().unwrap_or("unknown error"),
        _ => "the answer could not be read",
    }
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
