//! The cost of a message, compared with the cryptography that it needs at least ("floor") and with
//! the AWS Encryption SDK, all with the same materials, in one run.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails shows it")]

mod fixed;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/differential/reference.rs"]
mod reference;

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac::{HMAC_SHA512, Key, sign_to_buffer};
use aws_lc_rs::rand::{SystemRandom, fill};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use esdk_message::{DecryptionKey, EncryptionKey, Limits, Suite, UnverifiedMessage};
use tokio::runtime::Runtime;

use fixed::Fixed;
use reference::{Context, Reference, decryption_key, prepare};

const FRAME_LENGTH: u32 = 4096;
const SIZES: [usize; 2] = [1 << 10, 100_000];

fn context() -> Context {
    [("stream".to_owned(), "records".to_owned())].into()
}

/// One derivation of a key from the data key, one pass of AES-GCM over the plaintext, and for the
/// signed suite one signature: with nothing else, and in place.
struct Floor {
    signing_key: EcdsaKeyPair,
    verification_key: ParsedPublicKey,
    signature: Vec<u8>,
    bytes: Vec<u8>,
    ciphertext: Vec<u8>,
}

impl Floor {
    fn new(size: usize) -> Self {
        let signing_key = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
        let point = signing_key.public_key().as_ref();
        let verification_key = ParsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, point).unwrap();
        let bytes = vec![7; size];
        let signature = signing_key.sign(&SystemRandom::new(), &bytes).unwrap().as_ref().to_vec();
        let mut ciphertext = bytes.clone();
        Self::key(&[0; 32])
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key([0; 12]),
                Aad::empty(),
                &mut ciphertext,
            )
            .unwrap();
        Self { signing_key, verification_key, signature, bytes, ciphertext }
    }

    /// HKDF with one extraction, for the commitment and the key.
    fn key(message_id: &[u8; 32]) -> LessSafeKey {
        let sign = |key: &[u8], data: &[u8]| {
            let mut block = [0; 64];
            sign_to_buffer(&Key::new(HMAC_SHA512, key), data, &mut block).unwrap();
            block
        };
        let pseudorandom_key = Key::new(HMAC_SHA512, &sign(message_id, &[7; 32]));
        let mut block = [0; 64];
        sign_to_buffer(&pseudorandom_key, b"COMMITKEY\x01", &mut block).unwrap();
        black_box(block);
        sign_to_buffer(&pseudorandom_key, b"\x04\x78DERIVEKEY\x01", &mut block).unwrap();
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &block[..32]).unwrap())
    }

    fn encrypt(&self, suite: Suite) -> Vec<u8> {
        let mut message_id = [0; 32];
        fill(&mut message_id).unwrap();
        let mut message = self.bytes.clone();
        Self::key(&message_id)
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key([0; 12]),
                Aad::empty(),
                &mut message,
            )
            .unwrap();
        if suite == Suite::Signed {
            let signature = self.signing_key.sign(&SystemRandom::new(), &message).unwrap();
            message.extend(signature.as_ref());
        }
        message
    }

    fn decrypt(&self, suite: Suite) -> Vec<u8> {
        if suite == Suite::Signed {
            self.verification_key.verify_sig(&self.bytes, &self.signature).unwrap();
        }
        let mut message = self.ciphertext.clone();
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        Self::key(&[0; 32]).open_in_place(nonce, Aad::empty(), &mut message).unwrap();
        message
    }
}

/// This crate's keys, and the SDK with a manager that hands out the same materials every time.
struct Subjects {
    runtime: Runtime,
    reference: Reference,
    encryption_key: EncryptionKey,
    decryption_key: DecryptionKey,
}

impl Subjects {
    fn new(suite: Suite) -> Self {
        let runtime = Runtime::new().unwrap();
        let mut reference = runtime.block_on(Reference::new(1));
        let encryption = runtime.block_on(reference.materials(suite, &context()));
        let encryption_key = prepare(&encryption);
        let message = encryption_key.encrypt(b"", FRAME_LENGTH).unwrap();
        let message = UnverifiedMessage::parse(&message, Limits::default()).unwrap();
        let decryption =
            runtime.block_on(reference.decryption_materials(&message, &Context::new())).unwrap();
        let decryption_key = decryption_key(&decryption);
        reference.cmm = Fixed { encryption, decryption }.into();
        Self { runtime, reference, encryption_key, decryption_key }
    }
}

fn encrypt(criterion: &mut Criterion) {
    for suite in [Suite::Unsigned, Suite::Signed] {
        let subjects = Subjects::new(suite);
        let mut group = criterion.benchmark_group(format!("encrypt {suite:?}"));
        for size in SIZES {
            let (floor, plaintext) = (Floor::new(size), vec![7; size]);
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new("floor", size), |bencher| {
                bencher.iter(|| floor.encrypt(suite));
            });
            group.bench_function(BenchmarkId::new("esdk-message", size), |bencher| {
                bencher.iter(|| subjects.encryption_key.encrypt(&plaintext, FRAME_LENGTH).unwrap());
            });
            group.bench_function(BenchmarkId::new("aws-esdk", size), |bencher| {
                let context = context();
                bencher.iter(|| {
                    let message =
                        subjects.reference.encrypt(suite, &context, FRAME_LENGTH, &plaintext);
                    subjects.runtime.block_on(message)
                });
            });
        }
    }
}

fn decrypt(criterion: &mut Criterion) {
    for suite in [Suite::Unsigned, Suite::Signed] {
        let subjects = Subjects::new(suite);
        let mut group = criterion.benchmark_group(format!("decrypt {suite:?}"));
        for size in SIZES {
            let floor = Floor::new(size);
            let message = subjects.encryption_key.encrypt(&vec![7; size], FRAME_LENGTH).unwrap();
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new("floor", size), |bencher| {
                bencher.iter(|| floor.decrypt(suite));
            });
            group.bench_function(BenchmarkId::new("esdk-message", size), |bencher| {
                bencher.iter(|| {
                    let message = UnverifiedMessage::parse(&message, Limits::default()).unwrap();
                    message.decrypt(&subjects.decryption_key).unwrap()
                });
            });
            group.bench_function(BenchmarkId::new("aws-esdk", size), |bencher| {
                let decrypt = || subjects.reference.decrypt(&message);
                bencher.iter(|| subjects.runtime.block_on(decrypt()).unwrap());
            });
        }
    }
}

/// Whether the millionth message costs more than the hundredth.
fn counts(criterion: &mut Criterion) {
    let subjects = Subjects::new(Suite::Unsigned);
    let plaintext = vec![7; 1 << 10];
    let mut group = criterion.benchmark_group("messages in a row");
    group.sample_size(10);
    for count in [100, 10_000, 1_000_000] {
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                for _ in 0..count {
                    let key = &subjects.encryption_key;
                    black_box(key.encrypt(&plaintext, FRAME_LENGTH).unwrap());
                }
            });
        });
    }
}

/// The same work on one thread and on two: threads share nothing but the key.
fn threads(criterion: &mut Criterion) {
    let subjects = Subjects::new(Suite::Unsigned);
    let plaintext = vec![7; 1 << 10];
    let mut group = criterion.benchmark_group("100000 messages on threads");
    group.sample_size(10);
    for threads in [1_usize, 2] {
        group.throughput(Throughput::Elements(100_000));
        group.bench_function(BenchmarkId::from_parameter(threads), |bencher| {
            bencher.iter(|| {
                std::thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            for _ in 0..100_000 / threads {
                                let key = &subjects.encryption_key;
                                black_box(key.encrypt(&plaintext, FRAME_LENGTH).unwrap());
                            }
                        });
                    }
                });
            });
        });
    }
}

fn configuration() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = benches;
    config = configuration();
    targets = encrypt, decrypt, counts, threads
}
criterion_main!(benches);
