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
mod builder;
mod consumer;
mod deadline;
mod failure;
mod item;
mod key_attributes;
mod number;
mod pending_writes;
mod quarantine;
mod s3;
mod schema;
mod stats;
mod table;
mod traces;
mod version;
mod writer;

pub use builder::{ConsumerBuilder, SetupError};
pub use consumer::Consumer;
pub use failure::NotStored;
pub use key_attributes::{InvalidKeyAttributes, KeyAttribute, KeyAttributes, KeyType};
pub use quarantine::Quarantine;
pub use s3::{BucketName, InvalidBucketName, S3Quarantine};
pub use stats::ConsumerStats;
pub use table::{DynamoDbTable, Item, PutOutcome, Table, WriteError};
