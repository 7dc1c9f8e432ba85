#![doc = include_str!("../README.md")]

mod builder;
mod cache;
mod cache_id;
mod clock;
mod cmm;
mod flight;
mod local_cache;
mod materials;
mod no_cache;
mod request;
mod sync;

pub use builder::{BuildError, CachingCmmBuilder, DEFAULT_MAX_BYTES, DEFAULT_MAX_MESSAGES};
pub use cache::{
    CacheEntry, CacheStats, CryptographicMaterialsCache, EvictionReason, Hit, Limits, Usage,
};
pub use cache_id::CacheId;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use cmm::{CachingCmm, CmmStats};
pub use local_cache::LocalCache;
pub use materials::{CachedMaterials, Zeroizing};
pub use no_cache::NoCache;

#[doc = include_str!("../CONFORMANCE.md")]
pub mod conformance {}
