//! A cache that stores nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::cache::{CacheEntry, CacheStats, CryptographicMaterialsCache, Hit, Limits, Usage};
use crate::cache_id::CacheId;

/// Stores nothing, so that every request goes to the underlying cryptographic materials manager;
/// only requests that are under way at the same time still share an answer.
///
/// For comparison: the same code with and without caching.
#[derive(Debug, Default)]
pub struct NoCache {
    misses: AtomicU64,
}

impl CryptographicMaterialsCache for NoCache {
    fn put(&self, _: CacheId, _: Arc<CacheEntry>) {}

    fn get(&self, _: &CacheId, _: &Limits, _: Usage) -> Option<Hit> {
        self.misses.fetch_add(1, Relaxed);
        None
    }

    fn delete(&self, _: &CacheId) {}

    fn stats(&self) -> CacheStats {
        CacheStats { misses: self.misses.load(Relaxed), ..CacheStats::default() }
    }
}
