//! The `record-consumer` Lambda function: decrypts the records of a Kinesis stream and writes them
//! to a DynamoDB table.
//!
//! [`Consumer::handle`] handles a batch: it decrypts messages, checks their stream, converts records
//! to items, and writes the best item of each key. Every Kinesis record ends in one of three ways:
//! it is written (or superseded by a newer one of its key), stored in the [`Quarantine`], or reported
//! to Lambda as a batch item failure.
//!
//! Lambda continues with the first record that was reported. The consumer therefore works in the
//! order of the batch, one window of records after the other, so that each invocation makes
//! progress as far as KMS, the table and the time allow.
//!
//! ```no_run
//! use record_cipher::DecryptSettings;
//! use record_consumer::{Consumer, DynamoDbTable, S3Quarantine};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = aws_config::load_from_env().await;
//! let key = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab".parse()?;
//! let cipher = DecryptSettings::with_keys(vec![key]).build(&config).await?;
//! let table = DynamoDbTable::new(&config, "items")?;
//! let consumer = Consumer::builder(cipher, table, "id:S".parse()?)
//!     .quarantine(S3Quarantine::new(&config, &"quarantine-1a2b3c".parse()?))
//!     .version_attribute("revision")
//!     .build()?;
//! # drop(consumer);
//! # Ok(())
//! # }
//! ```

mod attempt;
mod builder;
mod consumer;
mod event;
mod failure;
mod item;
mod items_memory;
mod key_attributes;
mod mistake;
mod number;
mod pace;
mod pending_writes;
mod quarantine;
mod reader;
mod s3;
mod schema;
mod setup_error;
mod stats;
mod table;
mod traces;
mod version;
mod wire_size;
mod writer;

pub use builder::ConsumerBuilder;
pub use consumer::Consumer;
pub use event::Event;
pub use key_attributes::{InvalidKeyAttributes, KeyAttribute, KeyAttributes, KeyType};
pub use quarantine::Quarantine;
pub use reader::Decrypt;
pub use s3::{BucketName, InvalidBucketName, S3Quarantine};
pub use setup_error::SetupError;
pub use stats::ConsumerStats;
pub use table::{DynamoDbTable, Item, PutOutcome, Table};
pub use version::{InvalidVersionFrom, VersionFrom};
