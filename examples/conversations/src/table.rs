//! The table, behind the calls that writing makes.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::BoxFuture;
use serde::Serialize;

use crate::created_at::CreatedAt;
use crate::group::GroupId;

/// An item of the table.
pub type Item = HashMap<String, AttributeValue>;

/// What the updater and the direct sender ask of a table.
pub trait Table: Send + Sync + fmt::Debug {
    /// The sort key that the group's rows have, of a read that sees every write before it. None if
    /// the group has no rows yet.
    fn head(&self, group: GroupId) -> BoxFuture<'_, Result<Option<CreatedAt>, TableError>>;

    /// Writes all or nothing.
    fn transact(&self, writes: Vec<Write>) -> BoxFuture<'_, Result<Transacted, TableError>>;
}

/// A part of a transaction.
#[derive(Clone, PartialEq)]
pub enum Write {
    /// Puts a message, on the condition that there is none of its key.
    Message(Item),
    /// Puts a group's head, on the condition that it still says this, or that there is none.
    Head {
        /// The head.
        item: Item,
        /// What the head that it replaces says.
        replaces: Option<CreatedAt>,
    },
    /// Deletes a row by its key.
    DeleteRow(Item),
    /// Puts a row.
    PutRow(Item),
}

/// The items hold what was written.
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

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Transacted {
    /// Everything is written.
    Done {
        /// The write units that it took.
        units: f64,
    },
    /// Nothing is, because the head says something else by now.
    Overtaken,
    /// Nothing is, because the message's key is taken.
    Exists,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The same call may soon succeed: throttling, a conflict, trouble on the network or in DynamoDB.
    #[error("DynamoDB does not take it now: {0}")]
    Unavailable(String),
    /// The same call will fail until somebody mends something: permission, a missing table.
    #[error("DynamoDB refuses it: {0}")]
    Denied(String),
}

/// The item of a type whose fields are its attributes.
pub(crate) fn to_item(value: &impl Serialize) -> Item {
    serde_dynamo::to_item(value).expect("its fields are texts and maps of texts")
}
