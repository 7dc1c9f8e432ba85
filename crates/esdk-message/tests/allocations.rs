//! What encoding and decoding allocate.

use allocation_counter::measure;
use esdk_message::{DecryptionKey, EncryptedDataKey, EncryptionKey, Limits, UnverifiedMessage};

const MIB: u64 = 1 << 20;

#[test]
fn encoding_allocates_the_message_once() {
    let keys = [EncryptedDataKey { provider_id: "p", provider_info: b"i", ciphertext: b"c" }];
    let key = EncryptionKey::new(&[7; 32], None, [("stream", "records")], &keys).unwrap();
    let plaintext = vec![7; 100_000];
    let mut message = Vec::new();
    let allocated = measure(|| message = key.encrypt(&plaintext, 4096).unwrap());
    assert_eq!(allocated.bytes_max, message.len() as u64);
    assert_eq!(message.capacity(), message.len());
}

#[test]
fn decoding_allocates_no_more_than_the_input_and_a_mebibyte() {
    let keys = [EncryptedDataKey { provider_id: "p", provider_info: b"i", ciphertext: b"c" }];
    let key = EncryptionKey::new(&[7; 32], None, [("stream", "records")], &keys).unwrap();
    let bytes = key.encrypt(&vec![7; 10 << 20], 4096).unwrap();
    let decryption_key = DecryptionKey::new(&[7; 32], None).unwrap();
    let allocated = measure(|| {
        let message = UnverifiedMessage::parse(&bytes, Limits::default()).unwrap();
        message.decrypt(&decryption_key).unwrap();
    });
    assert!(allocated.bytes_max < 10 * MIB + MIB, "{allocated:?}");
}

#[test]
fn a_header_that_promises_much_allocates_little() {
    let mut bytes = vec![2, 0x04, 0x78];
    bytes.extend([0; 32]);
    bytes.extend([0xFF; 2]);
    bytes.extend([0xFF; 1000]);
    let allocated = measure(|| {
        UnverifiedMessage::parse(&bytes, Limits::default()).unwrap_err();
    });
    assert!(allocated.bytes_max < 1000, "{allocated:?}");
}
