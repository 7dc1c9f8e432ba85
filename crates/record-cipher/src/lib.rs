//! Encrypts records for a Kinesis stream as AWS Encryption SDK messages, and accepts messages only
//! from the stream that they were encrypted for.
//!
//! This crate owns the wire contract, which both ends of the pipeline must agree on: the
//! [`Record`], the [`aggregate`] of several records, the encryption context (the stream's name and
//! nothing of the record), the commitment policy (`REQUIRE_ENCRYPT_REQUIRE_DECRYPT`) and the
//! algorithm [`Suite`]. A [`RecordCipher`] caches data keys, so AWS KMS is called once per hundred
//! records instead of once per record.
//!
//! Keyrings and materials are the AWS Encryption SDK's. Codec are encoded and decoded by
//! [`esdk_message`], or by the SDK itself if the [`Engine`] is set so.
//!
//! It needs Tokio's multi-thread runtime: the AWS Encryption SDK blocks the thread that calls KMS.

pub mod aggregate;
mod cipher;
mod codec;
mod context;
mod error;
mod keyring;
mod keys;
mod kms_failure;
mod names;
mod options;
mod record;
mod regions;
mod settings;
mod stats;

pub use cipher::{Encrypted, RecordCipher, RecordCipherBuilder};
pub use context::STREAM_CONTEXT_KEY;
pub use error::{CipherError, ErrorKind, KmsError, SetupError};
pub use esdk_caching_cmm::{CacheStats, CmmStats};
pub use keys::{InvalidKey, Keys, KmsKeyId};
pub use names::{InvalidName, RegionName, StreamName};
pub use options::{EncryptFor, Engine, InvalidOption, Suite};
pub use record::{InvalidRecord, Record};
pub use settings::DecryptSettings;
pub use stats::{CipherStats, KmsStats};
