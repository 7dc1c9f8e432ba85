//! The `record-consumer` Lambda function: decrypts the records of a Kinesis stream and writes them
//! to a DynamoDB table.
//!
//! [`Consumer::handle`] is the way of a batch: decrypt, check the stream, read the JSON, turn it
//! into items, keep the last item of each key, write in batches. Every record ends either written
//! or reported back to Lambda by its sequence number.

mod consumer;
mod failure;
mod item;
mod number;
mod settings;
mod table;
mod write;

pub use consumer::Consumer;
pub use failure::RecordFailure;
pub use item::{ItemError, Problem};
pub use settings::{ConsumerSettings, InvalidKeyAttributes, KeyAttributes};
pub use table::{Item, KeyAttribute, KeyType, Table, TableError, WriteError};
