//! One record, one AWS Encryption SDK message: encrypted for a Kinesis stream, and accepted only
//! from that stream.
//!
//! [`RecordCipher`] is the whole interface. It owns what both ends of the pipeline must agree on:
//! the encryption context (the stream's name and nothing of the record), the commitment policy
//! (`REQUIRE_ENCRYPT_REQUIRE_DECRYPT`), the algorithm suite, and a cache of data keys, so that AWS
//! KMS is called once per hundred records and not once per record.
//!
//! Keyrings and materials are the AWS Encryption SDK's. Messages are encoded and decoded by
//! [`esdk_message`], or by the SDK itself if the [`Engine`] is set so.
//!
//! It needs Tokio's multi-thread runtime: the AWS Encryption SDK blocks the thread that calls KMS.

mod cipher;
mod engine;
mod error;
mod keyring;
mod keys;
mod kms_failure;
mod names;
mod regions;
mod stats;

pub use cipher::{Encrypted, InvalidSuite, RecordCipher, RecordCipherBuilder, Suite};
pub use engine::{Engine, InvalidEngine};
pub use error::{CipherError, ErrorKind, SetupError};
pub use esdk_caching_cmm::{CacheStats, CmmStats};
pub use keys::{InvalidKey, KeyArn, Keys, KmsKeyId};
pub use names::{InvalidName, RegionName, StreamName};
pub use regions::{EncryptFor, InvalidEncryptFor};
pub use stats::{CipherStats, KmsStats};

/// The key of the one pair that every record's encryption context holds; its value is the name of
/// the stream that the record was encrypted for.
pub const STREAM_CONTEXT_KEY: &str = "stream";
