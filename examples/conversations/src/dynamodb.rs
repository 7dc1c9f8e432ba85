//! The table in DynamoDB.

use std::error::Error;

use aws_config::SdkConfig;
use aws_outcome::{Class, Failure, Service};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::{
    TransactWriteItemsError, TransactWriteItemsOutput,
};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnConsumedCapacity, TransactWriteItem,
};
use futures::future::BoxFuture;
use serde::Deserialize;

use crate::created_at::CreatedAt;
use crate::group::GroupId;
use crate::keys::{HEAD, LAST_MESSAGE_AT, PARTITION_KEY, SORT_KEY, of_head};
use crate::table::{Item, Table, TableError, Transacted, Write};

/// A table of DynamoDB.
#[derive(Debug, Clone)]
pub(crate) struct DynamoDb {
    client: Client,
    table: String,
}

impl DynamoDb {
    pub(crate) fn new(config: &SdkConfig, table: &str) -> Self {
        Self { client: Client::new(config), table: table.to_owned() }
    }

    fn put(&self, item: Item) -> aws_sdk_dynamodb::types::builders::PutBuilder {
        Put::builder().table_name(&self.table).set_item(Some(item))
    }

    fn action(&self, write: Write) -> TransactWriteItem {
        let action = TransactWriteItem::builder();
        let absent = format!("attribute_not_exists({PARTITION_KEY})");
        let put = match write {
            Write::DeleteRow(key) => {
                let delete = Delete::builder().table_name(&self.table).set_key(Some(key));
                return action.delete(delete.build().expect("table and key are set")).build();
            }
            Write::PutRow(item) => self.put(item),
            Write::Message(item) | Write::Head { item, replaces: None } => {
                self.put(item).condition_expression(absent)
            }
            Write::Head { item, replaces: Some(last) } => self
                .put(item)
                .condition_expression(format!("{LAST_MESSAGE_AT} = :replaces"))
                .expression_attribute_values(":replaces", AttributeValue::S(last.into())),
        };
        action.put(put.build().expect("table and item are set")).build()
    }
}

impl Table for DynamoDb {
    fn head(&self, group: GroupId) -> BoxFuture<'_, Result<Option<CreatedAt>, TableError>> {
        Box::pin(async move {
            let request = self
                .client
                .get_item()
                .table_name(&self.table)
                .key(PARTITION_KEY, AttributeValue::S(of_head(group)))
                .key(SORT_KEY, AttributeValue::S(HEAD.to_owned()))
                .consistent_read(true);
            let output = request.send().await.map_err(|error| table_error(&error))?;
            let head = output.item.map(serde_dynamo::from_item::<_, Head>).transpose();
            let head =
                head.map_err(|_| TableError::Denied("the head item has no time".to_owned()))?;
            Ok(head.map(|head| head.last_message_at))
        })
    }

    fn transact(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<Transacted, TableError>> {
        Box::pin(async move {
            let actions = writes.iter().cloned().map(|write| self.action(write)).collect();
            let request = self
                .client
                .transact_write_items()
                .set_transact_items(Some(actions))
                .return_consumed_capacity(ReturnConsumedCapacity::Total);
            match request.send().await {
                Ok(output) => Ok(Transacted::Done { units: units(&output) }),
                Err(error) => match cancelled(&error) {
                    Some(reasons) => why_cancelled(&writes, reasons),
                    None => Err(table_error(&error)),
                },
            }
        })
    }
}

#[derive(Deserialize)]
struct Head {
    last_message_at: CreatedAt,
}

fn units(output: &TransactWriteItemsOutput) -> f64 {
    output.consumed_capacity().iter().filter_map(|table| table.capacity_units).sum()
}

fn cancelled(error: &SdkError<TransactWriteItemsError>) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

/// The reasons are in the order of the writes, with the code `None` for those that were not at
/// fault:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
fn why_cancelled(
    writes: &[Write],
    reasons: &[CancellationReason],
) -> Result<Transacted, TableError> {
    let code = |reason: &CancellationReason| reason.code.clone().unwrap_or_default();
    let failed = |(_, reason): &(&Write, &CancellationReason)| code(reason) != "None";
    for (write, reason) in writes.iter().zip(reasons).filter(failed) {
        match (code(reason).as_str(), write) {
            ("ConditionalCheckFailed", Write::Head { .. }) => return Ok(Transacted::Overtaken),
            ("ConditionalCheckFailed", Write::Message(_)) => return Ok(Transacted::Exists),
            (code, _) => {
                let failure = Failure::from_code(Service::DynamoDb, code);
                if failure.class() == Class::Request {
                    return Err(TableError::Denied(failure.to_string()));
                }
            }
        }
    }
    // TransactionConflict, ThrottlingError, ProvisionedThroughputExceeded.
    let codes: Vec<_> = reasons.iter().map(code).filter(|code| code != "None").collect();
    Err(TableError::Unavailable(format!("TransactionCanceled ({})", codes.join(", "))))
}

fn table_error<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> TableError {
    let failure = failure(error);
    let text = failure.to_string();
    if failure.is_retryable() { TableError::Unavailable(text) } else { TableError::Denied(text) }
}

pub(crate) fn failure<E>(error: &SdkError<E>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    Failure::new(Service::DynamoDb, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(codes: &[&str]) -> Result<Transacted, TableError> {
        let head = Write::Head { item: Item::new(), replaces: None };
        let writes = [Write::Message(Item::new()), head, Write::PutRow(Item::new())];
        let reason = |code: &&str| CancellationReason::builder().code(*code).build();
        why_cancelled(&writes, &codes.iter().map(reason).collect::<Vec<_>>())
    }

    #[test]
    fn a_cancelled_transaction_says_which_condition_was_not_met() {
        const FAILED: &str = "ConditionalCheckFailed";
        assert_eq!(outcome(&["None", FAILED, "None"]), Ok(Transacted::Overtaken));
        assert_eq!(outcome(&[FAILED, "None", "None"]), Ok(Transacted::Exists));
        assert_eq!(outcome(&["None", FAILED, "TransactionConflict"]), Ok(Transacted::Overtaken));
    }

    #[test]
    fn conflicts_are_retryable_and_invalid_items_are_not() {
        let conflict = outcome(&["None", "TransactionConflict", "ThrottlingError"]);
        let codes = "TransactionCanceled (TransactionConflict, ThrottlingError)";
        assert_eq!(conflict, Err(TableError::Unavailable(codes.to_owned())));
        let invalid = outcome(&["None", "None", "ValidationError"]);
        assert_eq!(
            invalid,
            Err(TableError::Denied("the request is not valid (ValidationError)".to_owned()))
        );
    }
}
