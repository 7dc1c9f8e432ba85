//! Encrypts records for a Kinesis stream as AWS Encryption SDK messages, and accepts messages only
//! from the stream that they were encrypted for.
//!
//! This crate owns the wire contract, which both ends of the pipeline must agree on: the
//! [`Record`], the [`aggregate`] of several records, the encryption context (the stream's name and
//! nothing of the record), the commitment policy (`REQUIRE_ENCRYPT_REQUIRE_DECRYPT`) and the
//! algorithm [`Suite`]. A [`RecordCipher`] caches data keys, so AWS KMS is called once per hundred
//! records instead of once per record.
//!
//! ```no_run
//! use record_cipher::{DecryptSettings, Keys, Record, RecordCipher};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = aws_config::load_from_env().await;
//! let stream = "records".parse()?;
//!
//! let regions = vec!["us-east-1".parse()?, "eu-west-1".parse()?];
//! let keys = Keys::Encrypt { key: "alias/sealstream".parse()?, regions };
//! let writer = RecordCipher::builder(keys, &config).build().await?;
//! let record = Record::from_serialize(&serde_json::json!({ "id": "42" }))?;
//! let message = writer.encrypt(&stream, record.into_json()).await?.message;
//!
//! let keys = vec!["alias/sealstream".parse()?];
//! let reader = DecryptSettings::with_keys(keys).build(&config).await?;
//! assert_eq!(reader.decrypt(&stream, message).await?, br#"{"id":"42"}"#);
//! # Ok(())
//! # }
//! ```
//!
//! Messages are those of the AWS Encryption SDK, readable by its implementations in every language.
//! Data keys come from AWS KMS, through keyrings that follow AWS's specification: see
//! [`conformance`]. The cargo feature `aws-esdk` adds a second [`Engine`], the AWS Encryption SDK
//! for Rust with its own keyrings.

pub mod aggregate;
mod arn;
mod builder;
mod cipher;
mod codec;
mod context;
mod encrypted;
mod error;
mod keyring;
mod keys;
mod kms;
mod materials;
mod names;
mod options;
mod raw_aes;
mod record;
mod settings;
mod stats;

pub use builder::RecordCipherBuilder;
pub use cipher::RecordCipher;
pub use context::{ContextStream, STREAM_CONTEXT_KEY};
pub use encrypted::Encrypted;
pub use error::{CipherError, ErrorKind, SetupError};
pub use esdk_caching_cmm::{CacheStats, CmmStats};
pub use esdk_message::{InvalidSuite, Suite};
pub use keys::{InvalidKey, Keys, KmsKeyId};
pub use kms::KmsError;
pub use names::{InvalidName, RegionName, StreamName};
pub use options::{EncryptFor, Engine, InvalidOption};
pub use record::{InvalidRecord, Record};
pub use settings::DecryptSettings;
pub use stats::{CipherStats, KmsStats};

#[doc = include_str!("../CONFORMANCE.md")]
pub mod conformance {}
