//! Encrypts records for a Kinesis stream as AWS Encryption SDK messages, and accepts messages only
//! from the stream that they were encrypted for.
//!
//! This crate owns the wire contract, which both ends of the pipeline must agree on: the
//! [`Record`], the [`aggregate`] of several records, the encryption context (the stream's name and
//! nothing of the record), the commitment policy (`REQUIRE_ENCRYPT_REQUIRE_DECRYPT`) and the
//! algorithm [`Suite`]. A [`RecordCipher`] caches data keys, so AWS KMS is called once per hundred
//! records instead of once per record.
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
pub use cipher::{Encrypted, RecordCipher};
pub use context::STREAM_CONTEXT_KEY;
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
