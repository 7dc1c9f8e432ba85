//! Invariants of cache ids:
//! - no request panics;
//! - equal requests have one id, whatever the order of their pairs and of their encrypted data keys;
//! - requests that differ in partition, suite, encryption context or encrypted data keys have different
//!   ids, however bytes move between neighbouring fields. A decryption request is changed in its context
//!   or in its keys, not in both: the specification writes the two side by side without a length, and
//!   leaves it to the message's authentication to tell apart what could be read either way;
//! - a request to encrypt and one to decrypt never share an id.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use esdk_caching_cmm::{AlgorithmSuiteId, CacheId, EncryptedDataKey, EncryptionContext};
use libfuzzer_sys::fuzz_target;

type Context = BTreeMap<String, String>;
/// Provider id, provider information and ciphertext.
type Keys = Vec<(String, Vec<u8>, Vec<u8>)>;

#[derive(Arbitrary, Debug, Clone, PartialEq, Eq)]
struct Request {
    partition: String,
    suite: Suite,
    context: Context,
    keys: Keys,
}

#[derive(Arbitrary, Debug, Clone, PartialEq, Eq)]
enum Suite {
    None,
    Signed,
    Unsigned,
}

#[derive(Arbitrary, Debug)]
enum Change {
    Partition(String),
    Suite(Suite),
    Context(Context),
    Keys(Keys),
    /// Moves the first byte of a pair's value to the end of its key.
    ShiftPair,
    /// Moves the last byte of a key's information to the beginning of its ciphertext.
    ShiftKey,
    KeyTwice,
}

impl Request {
    fn changed(&self, change: Change) -> Self {
        let mut other = self.clone();
        match change {
            Change::Partition(partition) => other.partition = partition,
            Change::Suite(suite) => other.suite = suite,
            Change::Context(context) => other.context = context,
            Change::Keys(keys) => other.keys = keys,
            Change::ShiftPair => {
                if let Some((mut key, mut value)) = other.context.pop_first()
                    && !value.is_empty()
                {
                    key.push(value.remove(0));
                    other.context.insert(key, value);
                }
            }
            Change::ShiftKey => {
                if let Some((_, info, ciphertext)) = other.keys.first_mut()
                    && let Some(byte) = info.pop()
                {
                    ciphertext.insert(0, byte);
                }
            }
            Change::KeyTwice => other.keys.extend(other.keys.first().cloned()),
        }
        other
    }

    fn suite(&self) -> Option<AlgorithmSuiteId> {
        match self.suite {
            Suite::None => None,
            Suite::Signed => Some(AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKeyEcdsaP384),
            Suite::Unsigned => Some(AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey),
        }
    }

    fn context(&self) -> EncryptionContext {
        self.context.clone().into_iter().collect()
    }

    fn encryption_id(&self) -> Option<CacheId> {
        CacheId::for_encryption(&self.partition, self.suite(), &self.context())
    }

    fn decryption_id(&self) -> Option<CacheId> {
        let keys: Vec<_> = self.keys.iter().map(encrypted_data_key).collect();
        CacheId::for_decryption(&self.partition, self.suite()?, &keys, &self.context())
    }

    fn sorted_keys(&self) -> Keys {
        let mut keys = self.keys.clone();
        keys.sort();
        keys
    }
}

fn encrypted_data_key((provider, info, ciphertext): &(String, Vec<u8>, Vec<u8>)) -> EncryptedDataKey {
    EncryptedDataKey::new(provider, info.clone(), ciphertext.clone())
}

fuzz_target!(|input: (Request, Change)| {
    let (request, change) = input;
    let other = request.changed(change);
    // The builder of a caching CMM refuses such partition ids.
    if request.partition.contains('\0') || other.partition.contains('\0') {
        return;
    }
    let same_but_for_keys = request.partition == other.partition
        && request.suite == other.suite
        && request.context == other.context;
    if let Some((one, two)) = request.encryption_id().zip(other.encryption_id()) {
        assert_eq!(one == two, same_but_for_keys);
    }
    if let Some((one, two)) = request.decryption_id().zip(other.decryption_id()) {
        let same = same_but_for_keys && request.sorted_keys() == other.sorted_keys();
        assert_eq!(one == two, same);
        assert_ne!(request.encryption_id(), Some(one));
    }
    let mut reversed = request.clone();
    reversed.keys.reverse();
    assert_eq!(request.decryption_id(), reversed.decryption_id());
});
