// The README's first example needs the feature.
#![cfg_attr(feature = "aws-esdk", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "aws-esdk"), doc = "Data key caching for the AWS Encryption SDK.")]

#[cfg(feature = "aws-esdk")]
mod adapter;
mod builder;
mod cache;
mod cache_id;
mod clock;
mod cmm;
mod entry;
mod error;
mod flight;
mod limits;
mod local_cache;
mod manager;
mod no_cache;
mod request;
mod suite;
mod sync;

#[cfg(feature = "aws-esdk")]
pub use adapter::{AwsEsdkManager, Zeroizing};
pub use builder::{BuildError, CachingCmmBuilder, DEFAULT_MAX_CONCURRENT_CALLS};
pub use cache::{CacheStats, CryptographicMaterialsCache};
pub use cache_id::CacheId;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use cmm::{CachingCmm, CmmStats};
pub use entry::{CacheEntry, Found, Hit, Unusable};
pub use error::Error;
pub use limits::{DEFAULT_MAX_BYTES, DEFAULT_MAX_MESSAGES, EvictionReason, Limits, Lookup, Usage};
pub use local_cache::LocalCache;
pub use manager::{
    DecryptionRequest, EncryptedDataKey, EncryptionContext, EncryptionRequest, Materials,
    MaterialsManager,
};
pub use no_cache::NoCache;
pub use suite::{AlgorithmSuiteId, CommitmentPolicy, KeyCommitment};

#[doc = include_str!("../CONFORMANCE.md")]
pub mod conformance {}
