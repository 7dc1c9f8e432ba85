//! Invariants of decrypting a message:
//! - no input panics;
//! - esdk-message and the AWS Encryption SDK accept the same messages, with the same plaintext.
//!
//! The input is a list of changes to a message that both accept: without the data key, no fuzzer
//! gets past the first authentication tag.
#![no_main]

use std::sync::LazyLock;

use esdk_message::Suite;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;

#[path = "../../tests/differential/reference.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod reference;

use reference::Reference;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static REFERENCE: LazyLock<Reference> = LazyLock::new(|| RUNTIME.block_on(Reference::new(1)));
static MESSAGES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let context = [("stream".to_owned(), "records".to_owned())].into();
    [Suite::Unsigned, Suite::Signed].map(|suite| {
        RUNTIME.block_on(REFERENCE.encrypt(suite, &context, 8, b"a plaintext of several frames"))
    })
});

fuzz_target!(|changes: &[u8]| {
    let Some((choice, changes)) = changes.split_first() else { return };
    let mut message = MESSAGES[usize::from(*choice) % 2].clone();
    for change in changes.chunks_exact(4) {
        apply(&mut message, change);
    }
    let (ours, theirs) = RUNTIME.block_on(async {
        (REFERENCE.decrypt_natively(&message).await, REFERENCE.decrypt(&message).await)
    });
    assert_eq!(ours, theirs);
});

/// Replaces, removes or inserts a byte, or cuts off the rest.
fn apply(message: &mut Vec<u8>, change: &[u8]) {
    let at = usize::from(u16::from_be_bytes([change[1], change[2]]));
    let Some(byte) = message.get_mut(at) else { return };
    match change[0] % 8 {
        0..=4 => *byte = change[3],
        5 => drop(message.remove(at)),
        6 => message.insert(at, change[3]),
        _ => message.truncate(at),
    }
}
