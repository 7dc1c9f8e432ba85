//! The `record-consumer` Lambda function: decrypts the records of a Kinesis stream and writes them
//! to a DynamoDB table.
//!
//! [`Consumer::handle`] is the way of a batch: decrypt, check the stream, read the JSON, turn it
//! into items, keep the best item of each key, write. Every record ends in one of three ways:
//! written (or superseded by a newer one of its key), stored in the [`Quarantine`], or reported
//! back to Lambda by its sequence number.

mod candidates;
mod consumer;
mod content;
mod deadline;
mod failure;
mod item;
mod number;
mod quarantine;
mod s3;
mod settings;
mod stats;
mod table;
mod traces;
mod version;
mod write;

pub use consumer::Consumer;
pub use failure::RecordFailure;
pub use item::{ItemError, Problem};
pub use quarantine::{NotStored, Quarantine};
pub use s3::{BucketName, InvalidBucketName};
pub use settings::{ConsumerSettings, InvalidKeyAttributes, KeyAttributes, OrEmpty};
pub use stats::ConsumerStats;
pub use table::{Item, KeyAttribute, KeyType, Put, Table, TableError, WriteError};
