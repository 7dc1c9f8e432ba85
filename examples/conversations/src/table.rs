//! The table, behind a trait with the calls that write.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::BoxFuture;
use serde::Serialize;

use crate::created_at::CreatedAt;
use crate::group::GroupId;

/// An item of the table.
pub type Item = HashMap<String, AttributeValue>;

/// The calls of the updater and the direct sender.
pub trait Table: Send + Sync + fmt::Debug {
    /// Reads the sort key of the group's rows, consistently. `None` if the group has no rows yet.
    fn head(&self, group: GroupId) -> BoxFuture<'_, Result<Option<CreatedAt>, TableError>>;

    /// Writes all or nothing.
    fn transact(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<Transacted, TableError>>;
}

/// A part of a transaction.
#[derive(Clone, PartialEq)]
pub enum Write {
    /// Puts a message, on the condition that its key does not exist.
    Message(Item),
    /// Puts a group's head, on the condition that it has not changed, or does not exist.
    Head {
        /// The head.
        item: Item,
        /// The time in the head that it replaces.
        replaces: Option<CreatedAt>,
    },
    /// Deletes a row by its key.
    DeleteRow(Item),
    /// Puts a row.
    PutRow(Item),
}

/// Shows no content.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message(_) => "Message",
            Self::Head { .. } => "Head",
            Self::DeleteRow(_) => "DeleteRow",
            Self::PutRow(_) => "PutRow",
        })
    }
}

/// The outcome of a transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Transacted {
    /// Everything is written.
    Done {
        /// Write capacity units consumed.
        units: f64,
    },
    /// Nothing is written, because the head has changed.
    Overtaken,
    /// Nothing is written, because the message's key exists.
    Exists,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The same call may soon succeed: throttling, a conflict, a network or service failure.
    #[error("DynamoDB is unavailable: {0}")]
    Unavailable(String),
    /// The same call fails until an operator acts: a missing permission or table, an invalid item.
    #[error("DynamoDB rejects the request: {0}")]
    Denied(String),
}

/// Converts a type whose fields are the attributes of an item.
pub(crate) fn to_item(value: &impl Serialize) -> Item {
    serde_dynamo::to_item(value).expect("the fields are texts and maps of texts")
}
