//! The `record-consumer` Lambda function: decrypts the records of a Kinesis stream and writes them
//! to a DynamoDB table.
//!
//! [`Consumer::handle`] is the way of a batch: decrypt, check the stream, read the JSON, turn it
//! into items, keep the best item of each key, write. Every record ends in one of three ways:
//! written (or superseded by a newer one of its key), stored in the [`Quarantine`], or reported
//! back to Lambda by its sequence number.

mod consumer;
mod deadline;
mod failure;
mod item;
mod number;
mod pending_writes;
mod quarantine;
mod s3;
mod schema;
mod settings;
mod stats;
mod table;
mod traces;
mod version;
mod writer;

pub use consumer::Consumer;
pub use failure::{NotStored, RecordFailure};
pub use item::{InvalidItemReason, ItemError};
pub use quarantine::Quarantine;
pub use s3::{BucketName, InvalidBucketName};
pub use settings::{ConsumerSettings, InvalidKeyAttributes, KeyAttributes, OrEmpty};
pub use stats::ConsumerStats;
pub use table::{Item, KeyAttribute, KeyType, PutOutcome, Table, TableError, WriteError};
