//! A cache that stores nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cache::{CacheStats, CryptographicMaterialsCache};
use crate::cache_id::CacheId;
use crate::entry::{CacheEntry, Found};
use crate::limits::Lookup;

/// Stores nothing, so that every request goes to the underlying cryptographic materials manager;
/// only requests for the same materials that are in flight together still share an answer.
///
/// For comparison: the same code with and without caching.
#[derive(Debug, Default)]
pub struct NoCache {
    misses: AtomicU64,
}

impl CryptographicMaterialsCache for NoCache {
    fn put(&self, _: CacheId, _: Arc<CacheEntry>, _: u64) {}

    fn get(&self, _: &CacheId, _: &Lookup) -> Found {
        self.misses.fetch_add(1, Relaxed);
        Found::Miss
    }

    fn delete(&self, _: &CacheId) {}

    fn generation(&self) -> u64 {
        0
    }

    fn stats(&self) -> CacheStats {
        CacheStats { misses: self.misses.load(Relaxed), ..CacheStats::default() }
    }
}
