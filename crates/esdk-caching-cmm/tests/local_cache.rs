//! The local cache against a model that is too simple to be wrong.

#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use esdk_caching_cmm::{
    AlgorithmSuiteId, CacheEntry, CacheId, Clock, CryptographicMaterialsCache, Found, Hit,
    KeyCommitment, Limits, LocalCache, Lookup, ManualClock, Materials, Usage,
};
use proptest::prelude::*;

fn limits() -> Limits {
    let mut limits = Limits::new(Duration::MAX);
    (limits.max_messages, limits.max_bytes) = (3, 20);
    limits
}

/// Uses of the cache with what these tests leave alone.
trait Cache {
    fn store(&self, id: CacheId, entry: CacheEntry);
    fn find(&self, id: CacheId, limits: Limits, usage: Usage) -> Option<Hit>;
}

impl Cache for LocalCache {
    fn store(&self, id: CacheId, entry: CacheEntry) {
        self.put(id, Arc::new(entry), self.generation());
    }

    fn find(&self, id: CacheId, limits: Limits, usage: Usage) -> Option<Hit> {
        match self.get(&id, &Lookup::new(limits, usage, KeyCommitment::Required)) {
            Found::Hit(hit) => Some(hit),
            Found::Miss => None,
            found => panic!("every entry is of a suite with key commitment: {found:?}"),
        }
    }
}

fn id(number: u8) -> CacheId {
    CacheId::for_encryption(&format!("partition {number}"), None, &HashMap::new()).unwrap()
}

/// Materials that can be told apart.
struct Marked(u64, AlgorithmSuiteId);

impl Materials for Marked {
    fn suite(&self) -> Option<AlgorithmSuiteId> {
        Some(self.1)
    }
}

fn materials(mark: u64) -> Arc<dyn Materials> {
    Arc::new(Marked(mark, AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey))
}

fn mark(hit: Hit) -> u64 {
    let materials: Arc<dyn Any + Send + Sync> = hit.materials;
    materials.downcast::<Marked>().unwrap().0
}

#[derive(Debug, Clone)]
enum Step {
    Put { id: u8, max_age: u64, bytes: u64 },
    Get { id: u8, bytes: u64 },
    Delete { id: u8 },
    Wait { seconds: u64 },
    RemoveExpired,
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..6u8, 1..20u64, 0..10u64)
            .prop_map(|(id, max_age, bytes)| Step::Put { id, max_age, bytes }),
        5 => (0..6u8, 0..10u64).prop_map(|(id, bytes)| Step::Get { id, bytes }),
        1 => (0..6u8).prop_map(|id| Step::Delete { id }),
        2 => (0..8u64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::RemoveExpired),
        1 => Just(Step::Clear),
    ]
}

/// Entries from the least to the most recently used.
#[derive(Default)]
struct Model {
    now: u64,
    entries: Vec<ModelEntry>,
}

struct ModelEntry {
    id: u8,
    mark: u64,
    ends: u64,
    messages: u64,
    bytes: u64,
}

impl Model {
    fn put(&mut self, entry: ModelEntry) {
        self.entries.retain(|other| other.id != entry.id);
        self.entries.push(entry);
    }

    /// What a get must return, with the entry counted, refreshed or removed as it must be.
    fn get(&mut self, id: u8, bytes: u64) -> Option<u64> {
        let at = self.entries.iter().position(|entry| entry.id == id)?;
        let mut entry = self.entries.remove(at);
        if self.now >= entry.ends || entry.messages == 3 || entry.bytes + bytes > 20 {
            return None;
        }
        entry.messages += 1;
        entry.bytes += bytes;
        let mark = entry.mark;
        self.entries.push(entry);
        Some(mark)
    }

    fn remove_expired(&mut self) -> usize {
        let before = self.entries.len();
        self.entries.retain(|entry| self.now < entry.ends);
        before - self.entries.len()
    }
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        capacity in 0..5usize,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let clock = Arc::new(ManualClock::default());
        let cache = LocalCache::with_clock(capacity, clock.clone());
        let mut model = Model::default();
        for (number, step) in steps.into_iter().enumerate() {
            let number = number as u64;
            match step {
                Step::Put { id: name, max_age, bytes } => {
                    let entry = CacheEntry::new(
                        materials(number),
                        clock.now(),
                        Duration::from_secs(max_age),
                        Usage::message(bytes),
                    );
                    cache.store(id(name), entry);
                    let ends = model.now + max_age;
                    model.put(ModelEntry { id: name, mark: number, ends, messages: 1, bytes });
                    if model.entries.len() > capacity {
                        model.entries.remove(0);
                    }
                }
                Step::Get { id: name, bytes } => {
                    let found = cache.find(id(name), limits(), Usage::message(bytes));
                    prop_assert_eq!(found.map(mark), model.get(name, bytes));
                    // Capacity is within the pruning tail: no expired entry outlives a lookup.
                    model.remove_expired();
                }
                Step::Delete { id: name } => {
                    cache.delete(&id(name));
                    model.entries.retain(|entry| entry.id != name);
                }
                Step::Wait { seconds } => {
                    clock.advance(Duration::from_secs(seconds));
                    model.now += seconds;
                }
                Step::Clear => {
                    cache.clear();
                    model.entries.clear();
                }
                Step::RemoveExpired => {
                    prop_assert_eq!(cache.remove_expired(), model.remove_expired());
                }
            }
            let stats = cache.stats();
            prop_assert!(stats.entries <= capacity as u64);
            prop_assert_eq!(stats.entries, model.entries.len() as u64);
            prop_assert_eq!(
                stats.puts,
                stats.entries + stats.evicted_capacity + stats.evicted_age
                    + stats.evicted_usage + stats.removed
            );
        }
    }
}

#[test]
fn a_lookup_prunes_expired_entries_of_other_ids() {
    let clock = Arc::new(ManualClock::default());
    let cache = LocalCache::with_clock(100, clock.clone());
    for name in 0..20 {
        let age = Duration::from_secs(1);
        cache.store(id(name), CacheEntry::new(materials(0), clock.now(), age, Usage::NONE));
    }
    clock.advance(Duration::from_secs(1));
    let lookups = (0..).take_while(|_| {
        cache.find(id(200), limits(), Usage::NONE);
        cache.stats().entries > 0
    });
    assert!(lookups.count() < 20, "pruning must outrun what lookups can add");
    assert_eq!(cache.stats().evicted_age, 20);
}

#[test]
fn a_put_leaves_expired_entries_to_the_next_lookup() {
    let clock = Arc::new(ManualClock::default());
    let cache = LocalCache::with_clock(100, clock.clone());
    let entry = || CacheEntry::new(materials(0), clock.now(), Duration::from_secs(1), Usage::NONE);
    cache.store(id(0), entry());
    clock.advance(Duration::from_secs(1));
    cache.store(id(1), entry());
    assert_eq!(cache.stats().entries, 2);
    cache.find(id(1), limits(), Usage::NONE).unwrap();
    assert_eq!((cache.stats().entries, cache.stats().evicted_age), (1, 1));
}

#[test]
fn removes_expired_entries_when_asked_to() {
    let clock = Arc::new(ManualClock::default());
    let cache = LocalCache::with_clock(100, clock.clone());
    for (name, seconds) in [(0, 1), (1, 2), (2, 1)] {
        let age = Duration::from_secs(seconds);
        cache.store(id(name), CacheEntry::new(materials(0), clock.now(), age, Usage::NONE));
    }
    assert_eq!(cache.remove_expired(), 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.remove_expired(), 2);
    assert_eq!((cache.stats().evicted_age, cache.stats().entries), (2, 1));
}

#[test]
fn one_finder_is_told_to_refresh_an_entry_in_its_grace_period() {
    let mut limits = Limits::new(Duration::from_secs(100));
    (limits.max_messages, limits.max_bytes) = (10, 1000);
    limits.grace_period = Duration::from_secs(20);
    let told = |wait: u64, uses: &[u64]| -> Vec<bool> {
        let clock = Arc::new(ManualClock::default());
        let cache = LocalCache::with_clock(1, clock.clone());
        let entry = CacheEntry::new(materials(0), clock.now(), limits.max_age, Usage::NONE);
        cache.store(id(0), entry);
        clock.advance(Duration::from_secs(wait));
        let find = |bytes: &u64| cache.find(id(0), limits, Usage::message(*bytes)).unwrap();
        uses.iter().map(find).map(|hit| hit.refresh).collect()
    };
    assert_eq!(told(79, &[0, 0]), [false, false]);
    assert_eq!(told(80, &[0, 0, 0]), [true, false, false]);
    // A fifth of the age is a fifth of the messages and of the bytes.
    assert_eq!(told(0, &[0; 10])[7..], [false, true, false]);
    assert_eq!(told(0, &[800, 1, 1]), [false, true, false]);
}

#[test]
fn a_caller_with_a_stricter_age_removes_the_entry() {
    let clock = Arc::new(ManualClock::default());
    let cache = LocalCache::with_clock(1, clock.clone());
    let age = Duration::from_secs(100);
    cache.store(id(0), CacheEntry::new(materials(0), clock.now(), age, Usage::NONE));
    clock.advance(Duration::from_secs(50));
    let mut stricter = limits();
    stricter.max_age = Duration::from_secs(50);
    assert!(cache.find(id(0), stricter, Usage::NONE).is_none());
    assert_eq!((cache.stats().evicted_age, cache.stats().entries), (1, 0));
}

#[test]
fn a_refresh_is_due_again_after_a_tenth_of_the_grace_period() {
    let mut limits = Limits::new(Duration::from_secs(1000));
    limits.grace_period = Duration::from_secs(100);
    let clock = Arc::new(ManualClock::default());
    let cache = LocalCache::with_clock(1, clock.clone());
    cache.store(id(0), CacheEntry::new(materials(0), clock.now(), limits.max_age, Usage::NONE));
    clock.advance(Duration::from_secs(900));
    let told = (0..100).filter(|_| {
        let hit = cache.find(id(0), limits, Usage::message(1)).unwrap();
        clock.advance(Duration::from_secs(1));
        hit.refresh
    });
    assert_eq!(told.count(), 10);
}

#[test]
fn an_entry_of_a_forbidden_suite_stays_for_others() {
    let signed = AlgorithmSuiteId::Aes256GcmHkdfSha384EcdsaP384;
    let cases = [
        (signed, KeyCommitment::Required, false),
        (signed, KeyCommitment::Forbidden, true),
        (signed, KeyCommitment::Optional, true),
        (AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey, KeyCommitment::Required, true),
        (AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey, KeyCommitment::Forbidden, false),
        (AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey, KeyCommitment::Optional, true),
    ];
    for (suite, commitment, allowed) in cases {
        let clock = Arc::new(ManualClock::default());
        let cache = LocalCache::with_clock(1, clock.clone());
        let entry =
            CacheEntry::new(Arc::new(Marked(0, suite)), clock.now(), Duration::MAX, Usage::NONE);
        let entry = Arc::new(entry);
        cache.put(id(0), entry.clone(), 0);
        let found = cache.get(&id(0), &Lookup::new(limits(), Usage::message(1), commitment));
        assert_eq!(matches!(found, Found::Hit(_)), allowed, "{suite} {commitment:?}");
        assert_eq!(matches!(found, Found::Forbidden), !allowed);
        assert_eq!(entry.usage(), Usage::new(u64::from(allowed), u64::from(allowed)));
        let stats = cache.stats();
        assert_eq!(
            (stats.entries, stats.hits, stats.misses),
            (1, allowed.into(), (!allowed).into())
        );
    }
}

#[test]
fn an_entry_shows_when_it_was_made_when_it_ends_and_how_much_it_was_used() {
    let clock = ManualClock::default();
    let created = clock.now();
    let entry = |age| CacheEntry::new(materials(0), created, age, Usage::message(7));
    let short = entry(Duration::from_secs(5));
    let lookup = Lookup::new(limits(), Usage::message(3), KeyCommitment::Required);
    short.take_use(&clock.now(), &lookup).unwrap();
    assert_eq!((short.created(), short.usage()), (created, Usage::new(2, 10)));
    clock.advance(Duration::from_secs(5));
    assert_eq!(short.expires(), Some(clock.now()));
    assert!(short.has_expired(&clock.now()));
    assert_eq!(entry(Duration::MAX).expires(), None);
}

#[test]
fn a_cleared_cache_takes_nothing_that_was_asked_for_before() {
    let clock = Arc::new(ManualClock::default());
    let cache = LocalCache::with_clock(9, clock.clone());
    let entry = || Arc::new(CacheEntry::new(materials(0), clock.now(), Duration::MAX, Usage::NONE));
    let before = cache.generation();
    cache.clear();
    cache.put(id(0), entry(), before);
    assert_eq!((cache.stats().entries, cache.stats().puts), (0, 0));
    cache.put(id(0), entry(), cache.generation());
    assert_eq!(cache.stats().entries, 1);
}
