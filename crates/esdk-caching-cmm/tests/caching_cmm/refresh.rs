//! Entries that are refreshed before they end.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use esdk_caching_cmm::{
    CacheEntry, CacheId, CacheStats, CachingCmm, CryptographicMaterialsCache, Found, LocalCache,
    Lookup, Usage,
};

use crate::fixture::{Fixture, MAX_AGE, Manager, request};

const GRACE_PERIOD: Duration = Duration::from_secs(100);

async fn key(cmm: &CachingCmm<Manager>) -> u64 {
    cmm.encryption_materials(request(0)).await.unwrap().number
}

/// Lets the tasks of this thread go as far as they can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_caller_refreshes_while_others_go_on() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.refresh_ahead(GRACE_PERIOD).build().unwrap();
    let old = key(&cmm).await;
    fixture.clock.advance(MAX_AGE - GRACE_PERIOD);
    fixture.manager.hold();
    for _ in 0..64 {
        assert_eq!(key(&cmm).await, old, "the call for new materials has not come back");
    }
    fixture.manager.release();
    settle().await;
    assert_ne!(key(&cmm).await, old);
    assert_eq!(fixture.manager.calls(), 2);
}

#[tokio::test]
async fn a_refresh_that_fails_is_tried_again_at_a_bounded_rate() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.refresh_ahead(GRACE_PERIOD).build().unwrap();
    let old = key(&cmm).await;
    fixture.clock.advance(MAX_AGE - GRACE_PERIOD);
    for _ in 0..98 {
        fixture.manager.fail_once();
        assert_eq!(key(&cmm).await, old);
        settle().await;
        fixture.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(fixture.manager.calls(), 1 + 10, "one attempt in ten seconds");
}

#[tokio::test]
async fn a_second_attempt_refreshes_the_entry() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.refresh_ahead(GRACE_PERIOD).build().unwrap();
    let old = key(&cmm).await;
    fixture.clock.advance(MAX_AGE - GRACE_PERIOD);
    fixture.manager.fail_once();
    assert_eq!(key(&cmm).await, old);
    settle().await;
    fixture.clock.advance(GRACE_PERIOD / 10);
    assert_eq!(key(&cmm).await, old);
    settle().await;
    assert_ne!(key(&cmm).await, old);
    // The new entry is not in its grace period.
    settle().await;
    assert_eq!(fixture.manager.calls(), 3);
}

#[tokio::test]
async fn short_grace_periods_do_not_ask_more_than_once_a_second() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.refresh_ahead(Duration::from_secs(2)).build().unwrap();
    key(&cmm).await;
    fixture.clock.advance(MAX_AGE - Duration::from_secs(2));
    for _ in 0..19 {
        fixture.manager.fail_once();
        key(&cmm).await;
        settle().await;
        fixture.clock.advance(Duration::from_millis(100));
    }
    assert_eq!(fixture.manager.calls(), 3);
}

#[tokio::test]
async fn a_refresh_that_panics_is_tried_again_too() {
    let fixture = Fixture::new();
    let cmm = fixture.builder.refresh_ahead(GRACE_PERIOD).build().unwrap();
    let old = key(&cmm).await;
    fixture.clock.advance(MAX_AGE - GRACE_PERIOD);
    fixture.manager.panic_once();
    assert_eq!(key(&cmm).await, old);
    settle().await;
    fixture.clock.advance(GRACE_PERIOD / 10);
    key(&cmm).await;
    settle().await;
    assert_ne!(key(&cmm).await, old);
}

#[tokio::test]
async fn an_entry_near_its_last_message_is_refreshed() {
    let fixture = Fixture::new();
    let builder = fixture.builder.refresh_ahead(MAX_AGE / 10).max_messages(20);
    let cmm = builder.build().unwrap();
    let mut keys = HashSet::new();
    for _ in 0..19 {
        keys.insert(key(&cmm).await);
    }
    assert_eq!(keys.len(), 1);
    settle().await;
    assert!(!keys.contains(&key(&cmm).await));
}

#[tokio::test(start_paused = true)]
async fn refreshes_take_their_turn_among_the_calls() {
    let fixture = Fixture::new();
    let builder = fixture.builder.refresh_ahead(GRACE_PERIOD).max_concurrent_calls(4);
    let cmm = builder.build().unwrap();
    for tenant in 0..50 {
        cmm.encryption_materials(request(tenant)).await.unwrap();
    }
    fixture.clock.advance(MAX_AGE - GRACE_PERIOD);
    fixture.manager.take(Duration::from_millis(10));
    for tenant in 0..50 {
        cmm.encryption_materials(request(tenant)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((fixture.manager.calls(), fixture.manager.most_in_flight()), (100, 4));
}

/// A cache of a user's own: a local cache that keeps a list of what was stored.
#[derive(Debug)]
struct Recording {
    cache: Arc<LocalCache>,
    stored: Mutex<Vec<Arc<CacheEntry>>>,
}

impl CryptographicMaterialsCache for Recording {
    fn put(&self, id: CacheId, entry: Arc<CacheEntry>, generation: u64) {
        self.stored.lock().unwrap().push(entry.clone());
        self.cache.put(id, entry, generation);
    }

    fn get(&self, id: &CacheId, lookup: &Lookup) -> Found {
        self.cache.get(id, lookup)
    }

    fn delete(&self, id: &CacheId) {
        self.cache.delete(id);
    }

    fn generation(&self) -> u64 {
        self.cache.generation()
    }

    fn stats(&self) -> CacheStats {
        self.cache.stats()
    }
}

#[tokio::test]
async fn a_refreshed_entry_begins_unused() {
    let fixture = Fixture::new();
    let cache = Arc::new(Recording { cache: fixture.cache, stored: Mutex::default() });
    let builder = fixture.builder.cache(cache.clone()).refresh_ahead(GRACE_PERIOD);
    let cmm = builder.build().unwrap();
    key(&cmm).await;
    fixture.clock.advance(MAX_AGE - GRACE_PERIOD);
    key(&cmm).await;
    settle().await;
    let used = |at: usize| cache.stored.lock().unwrap()[at].usage();
    assert_eq!([used(0), used(1)], [Usage::new(2, 2), Usage::NONE]);
    key(&cmm).await;
    assert_eq!([used(0), used(1)], [Usage::new(2, 2), Usage::message(1)]);
}
