#![doc = include_str!("../README.md")]

mod cache;
mod cache_id;
mod clock;
mod cmm;
mod local_cache;
mod materials;
mod no_cache;

pub use cache::{
    CacheEntry, CacheStats, CryptographicMaterialsCache, EvictionReason, Limits, Usage,
};
pub use cache_id::CacheId;
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use cmm::{BuildError, CachingCmm, CachingCmmBuilder, DEFAULT_MAX_BYTES, DEFAULT_MAX_MESSAGES};
pub use local_cache::LocalCache;
pub use materials::{CachedMaterials, Zeroizing};
pub use no_cache::NoCache;
