//! Allocations of encryption, parsing and decryption.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use allocation_counter::measure;
use esdk_message::{DecryptionKey, EncryptedDataKey, EncryptionKey, Limits, UnverifiedMessage};

const MIB: u64 = 1 << 20;

#[test]
fn encryption_allocates_the_message_once() {
    let keys = [EncryptedDataKey { provider_id: "p", provider_info: b"i", ciphertext: b"c" }];
    let key = EncryptionKey::new(&[7; 32], None, [("stream", "records")], &keys).unwrap();
    let plaintext = vec![7; 100_000];
    let mut message = Vec::new();
    let allocated = measure(|| message = key.encrypt(&plaintext, 4096).unwrap());
    assert_eq!(allocated.bytes_max, message.len() as u64);
    assert_eq!(message.capacity(), message.len());
}

#[test]
fn decryption_allocates_the_plaintext_and_the_context() {
    let keys = [EncryptedDataKey { provider_id: "p", provider_info: b"i", ciphertext: b"c" }];
    let key = EncryptionKey::new(&[7; 32], None, [("stream", "records")], &keys).unwrap();
    let bytes = key.encrypt(&vec![7; 10 << 20], 4096).unwrap();
    let decryption_key = DecryptionKey::new(&[7; 32], None).unwrap();
    let allocated = measure(|| {
        let message = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
        message.decrypt(&decryption_key).unwrap();
    });
    assert!(allocated.bytes_max < 10 * MIB + 256, "{allocated:?}");
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// Returns a message with these fields for the context and the encrypted data keys. Its tags are
/// wrong.
fn header(context: &[u8], keys: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0x04, 0x78];
    bytes.extend([0; 32]);
    bytes.extend(context);
    bytes.extend(keys);
    bytes.extend([2, 0, 0, 0, 1]);
    bytes.extend([0; 32 + 16]);
    bytes.extend([0xFF; 4]);
    bytes.extend([0, 0, 0, 1]);
    bytes.extend([0; 12 + 4 + 16]);
    bytes
}

#[test]
fn impossible_lengths_allocate_nothing() {
    let bytes = header(&[0xFF; 2], &[0xFF; 1000]);
    let allocated = measure(|| {
        UnverifiedMessage::parse(&bytes, Limits::default()).unwrap_err();
    });
    assert_eq!(allocated.bytes_max, 0);
}

/// Neither parsing nor iterating allocates, even for the most keys that a header can hold.
#[test]
fn encrypted_data_keys_allocate_nothing() {
    let mut keys = u16::MAX.to_be_bytes().to_vec();
    keys.extend(vec![0; 6 * usize::from(u16::MAX)]);
    let bytes = header(&[0, 0], &keys);
    let allocated = measure(|| {
        let message = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
        assert_eq!(message.encrypted_data_keys().count(), usize::from(u16::MAX));
    });
    assert_eq!(allocated.bytes_max, 0);
}

/// Only an unsorted context needs memory, to find repeated keys: at most four times its length.
#[test]
fn context_pairs_allocate_a_small_multiple_at_most() {
    let shortest: Vec<_> = (0..8000_u16).map(|number| format!("{number:02x}")).collect();
    let context = |keys: &mut dyn Iterator<Item = &String>| {
        let pairs: Vec<u8> =
            keys.flat_map(|key| [field(key.as_bytes()), field(b"")]).flatten().collect();
        field(&[8000_u16.to_be_bytes().as_slice(), &pairs].concat())
    };
    let mut sorted = shortest.clone();
    sorted.sort();
    let keys = [&[0, 1], [0; 6].as_slice()].concat();
    let allocated = |context: &[u8]| {
        let bytes = header(context, &keys);
        let parse = || {
            UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
        };
        measure(parse).bytes_max
    };
    assert_eq!(allocated(&context(&mut sorted.iter())), 0);
    let reversed = context(&mut sorted.iter().rev());
    assert!(allocated(&reversed) <= 4 * reversed.len() as u64);
}
