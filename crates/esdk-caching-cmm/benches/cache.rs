//! What a request for materials costs when the cache has them, and how that scales.
//!
//! Under the cache is a manager that hands out copies of the same materials, so that what is measured
//! is the cache.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails shows it")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::operation::decrypt_materials::{
    DecryptMaterialsInput, DecryptMaterialsOutput,
};
use aws_esdk::material_providers::operation::get_encryption_materials::{
    GetEncryptionMaterialsInput, GetEncryptionMaterialsOutput,
};
use aws_esdk::material_providers::types::cryptographic_materials_manager::{
    CryptographicMaterialsManager, CryptographicMaterialsManagerRef,
};
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{
    AesWrappingAlg, AlgorithmSuiteId as AwsSuiteId, CommitmentPolicy, EncryptionMaterials,
    EsdkAlgorithmSuiteId, EsdkCommitmentPolicy,
};
use aws_smithy_types::Blob;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use esdk_caching_cmm::{
    AlgorithmSuiteId, AwsEsdkManager, CacheEntry, CacheId, CachingCmm, Clock,
    CryptographicMaterialsCache, EncryptionRequest, KeyCommitment, Limits, LocalCache, Lookup,
    Materials, NoCache, SystemClock, Usage, Zeroizing,
};
use futures::executor::block_on;
use tokio::runtime::Runtime;

const MAX_AGE: Duration = Duration::from_secs(3600);
const REQUESTS: usize = 100_000;

struct Constant(EncryptionMaterials);

impl CryptographicMaterialsManager for Constant {
    fn get_encryption_materials(
        &self,
        _: GetEncryptionMaterialsInput,
    ) -> Result<GetEncryptionMaterialsOutput, Error> {
        let output = GetEncryptionMaterialsOutput::builder();
        Ok(output.encryption_materials(self.0.clone()).build().unwrap())
    }

    fn decrypt_materials(&self, _: DecryptMaterialsInput) -> Result<DecryptMaterialsOutput, Error> {
        unreachable!("these benchmarks only encrypt")
    }
}

/// A request as for a record: a suite, a length, and one pair of encryption context.
fn request() -> EncryptionRequest {
    let mut request = EncryptionRequest::new(context());
    request.suite = Some(AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKeyEcdsaP384);
    request.plaintext_length = Some(1024);
    request
}

fn context() -> HashMap<String, String> {
    HashMap::from([("stream".to_owned(), "records".to_owned())])
}

/// The same request through aws-esdk's trait.
fn input() -> GetEncryptionMaterialsInput {
    let suite = EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384;
    let policy = EsdkCommitmentPolicy::RequireEncryptRequireDecrypt;
    GetEncryptionMaterialsInput::builder()
        .algorithm_suite_id(AwsSuiteId::Esdk(suite))
        .commitment_policy(CommitmentPolicy::Esdk(policy))
        .encryption_context(context())
        .max_plaintext_length(1024)
        .build()
        .unwrap()
}

async fn materials() -> EncryptionMaterials {
    let config = MaterialProvidersConfig::builder().build().unwrap();
    let providers = MaterialProviders::from_conf(config).unwrap();
    let keyring = providers
        .create_raw_aes_keyring()
        .key_namespace("benchmarks")
        .key_name("key")
        .wrapping_key(Blob::new([7; 32]))
        .wrapping_alg(AesWrappingAlg::AlgAes256GcmIv12Tag16)
        .send()
        .await
        .unwrap();
    let manager = providers.create_default_cryptographic_materials_manager().keyring(keyring);
    let manager = manager.send().await.unwrap();
    let output = manager.inner.lock().unwrap().get_encryption_materials(input()).unwrap();
    output.encryption_materials.unwrap()
}

async fn caching(cache: Arc<dyn CryptographicMaterialsCache>) -> CachingCmm<AwsEsdkManager> {
    let manager = AwsEsdkManager::from_cmm(Constant(materials().await));
    CachingCmm::builder(manager).cache(cache).max_age(MAX_AGE).build().unwrap()
}

/// One request on one thread.
fn requests(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let cmm = block_on(caching(Arc::new(LocalCache::new(100))));
    let adapter: CryptographicMaterialsManagerRef = cmm.clone().into();
    let uncached = block_on(caching(Arc::new(NoCache::default())));
    let materials = runtime.block_on(cmm.encryption_materials(request())).unwrap();

    let mut group = criterion.benchmark_group("request");
    group.bench_function("made", |bencher| bencher.iter(request));
    group.bench_function("clone of materials", |bencher| {
        bencher.iter(|| EncryptionMaterials::clone(&materials));
    });
    group.bench_function("hit", |bencher| {
        bencher.iter(|| block_on(cmm.encryption_materials(request())).unwrap());
    });
    group.bench_function("hit, vendor's trait", |bencher| {
        bencher.iter(|| adapter.inner.lock().unwrap().get_encryption_materials(input()).unwrap());
    });
    group.bench_function("miss", |bencher| {
        bencher.iter(|| runtime.block_on(uncached.encryption_materials(request())).unwrap());
    });
}

/// The same number of hits, shared among threads.
fn threads(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let _entered = runtime.enter();
    let cmm = block_on(caching(Arc::new(LocalCache::new(100))));
    let adapter: CryptographicMaterialsManagerRef = cmm.clone().into();
    runtime.block_on(cmm.encryption_materials(request())).unwrap();

    let hit = || drop(black_box(block_on(cmm.encryption_materials(request())).unwrap()));
    let vendors = || {
        let hit = adapter.inner.lock().unwrap().get_encryption_materials(input());
        drop(black_box(hit.unwrap()));
    };
    on_threads(criterion, "hits on threads", hit);
    on_threads(criterion, "hits on threads, vendor's trait", vendors);
}

fn on_threads(criterion: &mut Criterion, name: &str, hit: impl Fn() + Sync) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).throughput(Throughput::Elements(REQUESTS as u64));
    for threads in [1, 2, 4, 8] {
        group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
            bencher.iter(|| {
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| (0..REQUESTS / threads).for_each(|_| hit()));
                    }
                });
            });
        });
    }
}

/// Lookups and stores in a full cache, whose ids come in an order that no cache likes.
fn capacities(criterion: &mut Criterion) {
    let materials: Arc<dyn Materials> = Arc::new(Zeroizing::from(block_on(materials())));
    let entry = || {
        let entry = CacheEntry::new(materials.clone(), SystemClock.now(), MAX_AGE, Usage::NONE);
        Arc::new(entry)
    };
    let lookup = Lookup::new(Limits::new(MAX_AGE), Usage::message(1), KeyCommitment::Required);
    let mut group = criterion.benchmark_group("capacity");
    for capacity in [100, 100_000] {
        let cache = LocalCache::new(capacity);
        let ids: Vec<_> = (0..2 * capacity).map(id).collect();
        ids[..capacity].iter().for_each(|id| cache.put(*id, entry(), 0));
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("hit", capacity), |bencher| {
            bencher.iter(|| {
                turn = (turn + 7919) % capacity;
                cache.get(&ids[turn], &lookup)
            });
        });
        group.bench_function(BenchmarkId::new("put, with eviction", capacity), |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % ids.len();
                cache.put(ids[turn], entry(), 0);
            });
        });
    }
}

fn id(number: usize) -> CacheId {
    let context = HashMap::from([("number".to_owned(), number.to_string())]);
    CacheId::for_encryption("benchmarks", None, &context).unwrap()
}

fn configuration() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = benches;
    config = configuration();
    targets = requests, threads, capacities
}
criterion_main!(benches);
