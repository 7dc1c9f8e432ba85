//! Comparison with the AWS Encryption SDK: both write and read the same messages, and refuse the
//! same ones.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

#[path = "../craft/mod.rs"]
mod craft;
mod crafted;
mod reference;

use esdk_message::{Error, Limits, PUBLIC_KEY_CONTEXT_KEY, Suite, UnverifiedMessage};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use reference::{Context, Reference, prepare};

const SUITES: [Suite; 2] = [Suite::Unsigned, Suite::Signed];

fn context() -> Context {
    [("stream".to_owned(), "records".to_owned())].into()
}

/// Texts of any script; keys that the format does not reserve.
fn contexts() -> impl Strategy<Value = Context> {
    let key = any::<String>().prop_filter("reserved", |key| !key.starts_with("aws-crypto-"));
    prop_oneof![
        9 => prop::collection::hash_map(key.clone(), any::<String>(), 0..50),
        1 => prop::collection::hash_map(key, "[a-z]{1000,20000}", 0..3),
    ]
}

/// Frame lengths, and sizes around their multiples.
fn sizes() -> impl Strategy<Value = (u32, usize)> {
    let frame_length = prop_oneof![1..20_u32, 1000..5000_u32];
    let around = |length: u32| {
        let frames = (0..4_usize, -1..=1_isize);
        (
            Just(length),
            frames
                .prop_map(move |(frames, by)| (frames * length as usize).saturating_add_signed(by)),
        )
    };
    frame_length.prop_flat_map(around)
}

fn without_public_key(mut context: Context) -> Context {
    context.remove(PUBLIC_KEY_CONTEXT_KEY);
    context
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_reads_what_the_other_writes(
        suite in prop::sample::select(SUITES.as_slice()),
        context in contexts(),
        (frame_length, size) in sizes(),
        keys in 1..4_u8,
    ) {
        Runtime::new().unwrap().block_on(async {
            let reference = Reference::new(keys).await;
            let plaintext: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let key = reference.encryption_key(suite, &context).await;
            let ours = key.encrypt(&plaintext, frame_length).unwrap();
            let theirs = reference.encrypt(suite, &context, frame_length, &plaintext).await;
            for (writer, message) in [("ours", ours), ("theirs", theirs)] {
                for (reader, read) in [
                    ("theirs", reference.decrypt(&message).await),
                    ("ours", reference.decrypt_natively(&message).await),
                ] {
                    let (read_plaintext, read_context) = read.expect("a message is accepted");
                    assert!(read_plaintext == plaintext, "{writer} read by {reader}");
                    assert_eq!(without_public_key(read_context), context, "{writer} by {reader}");
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_are_read_by_both() {
    let reference = Reference::new(1).await;
    let plaintext = vec![7; 3 << 20];
    for suite in SUITES {
        let key = reference.encryption_key(suite, &context()).await;
        let message = key.encrypt(&plaintext, 64 << 10).unwrap();
        assert!(reference.decrypt(&message).await.unwrap().0 == plaintext);
        assert!(reference.decrypt_natively(&message).await.unwrap().0 == plaintext);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_equal_those_of_aws_esdk() {
    let reference = Reference::new(2).await;
    let materials = reference.materials(Suite::Unsigned, &context()).await;
    let ours = prepare(&materials).encrypt(b"plaintext", 4096).unwrap();
    let theirs = reference.encrypt(Suite::Unsigned, &context(), 4096, b"plaintext").await;
    assert_eq!(ours.len(), theirs.len());
    let constant = |message: &[u8]| {
        // Version, suite, context, and from the content type to the frame length.
        let context = message[35..35 + 2 + 21].to_vec();
        let tail = message.len() - (4 + 4 + 12 + 4 + 9 + 16) - 16 - 32;
        (message[..3].to_vec(), context, message[tail - 5..tail].to_vec())
    };
    assert_eq!(constant(&ours), constant(&theirs));
}

async fn assert_refused(reference: &Reference, message: &[u8], what: &str) {
    assert!(reference.decrypt_natively(message).await.is_none(), "we accept {what}");
    assert!(reference.decrypt(message).await.is_none(), "they accept {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_flipped_bit_is_refused() {
    let reference = Reference::new(1).await;
    for suite in SUITES {
        let key = reference.encryption_key(suite, &context()).await;
        let message = key.encrypt(b"plaintext of frames", 8).unwrap();
        for bit in 0..message.len() * 8 {
            let mut flipped = message.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_refused(&reference, &flipped, &format!("bit {bit} of {suite:?}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_truncation_and_extension_is_refused() {
    let reference = Reference::new(1).await;
    for suite in SUITES {
        let key = reference.encryption_key(suite, &context()).await;
        let message = key.encrypt(b"plaintext of frames", 8).unwrap();
        for length in 0..message.len() {
            assert_refused(&reference, &message[..length], &format!("{length} bytes")).await;
        }
        assert_refused(&reference, &[message.as_slice(), &[0]].concat(), "a byte too many").await;
        assert_refused(&reference, &message.repeat(2), "the message twice").await;
    }
}

/// Returns the frames of a body that begins at `start`. All but the last hold `content` bytes.
fn frames(message: &[u8], start: usize, content: usize, regular: usize) -> Vec<Vec<u8>> {
    let length = 4 + 12 + content + 16;
    let (body, last) = message[start..].split_at(regular * length);
    body.chunks(length).map(<[u8]>::to_vec).chain([last.to_vec()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_swapped_repeated_or_dropped_are_refused() {
    let reference = Reference::new(1).await;
    let key = reference.encryption_key(Suite::Unsigned, &context()).await;
    let message = key.encrypt(&[7; 36], 8).unwrap();
    let final_frame = 4 + 4 + 12 + 4 + 4 + 16;
    let start = message.len() - final_frame - 4 * (4 + 12 + 8 + 16);
    let frames = frames(&message, start, 8, 4);
    let with = |order: &[usize]| {
        let body: Vec<u8> = order.iter().flat_map(|&at| frames[at].clone()).collect();
        [&message[..start], &body].concat()
    };
    assert_eq!(with(&[0, 1, 2, 3, 4]), message);
    for order in [
        &[1, 0, 2, 3, 4][..],
        &[0, 1, 1, 2, 3, 4],
        &[0, 1, 3, 4],
        &[0, 1, 2, 3],
        &[0, 1, 2, 4],
        &[4],
        &[],
        &[0, 1, 2, 3, 4, 4],
        &[4, 0, 1, 2, 3],
    ] {
        assert_refused(&reference, &with(order), &format!("the frames {order:?}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_other_messages_are_refused() {
    let reference = Reference::new(1).await;
    let key = reference.encryption_key(Suite::Unsigned, &context()).await;
    let [one, other] = [b"plaintext 1", b"plaintext 2"].map(|text| key.encrypt(text, 64).unwrap());
    let body = one.len() - (4 + 4 + 12 + 4 + 11 + 16);
    let commitment = body - 16 - 32..body - 16;

    assert_refused(&reference, &[&one[..body], &other[body..]].concat(), "another's body").await;
    let mut changed = one.clone();
    changed[commitment.clone()].copy_from_slice(&other[commitment]);
    assert_refused(&reference, &changed, "another's commitment").await;

    let signed = reference.encryption_key(Suite::Signed, &context()).await;
    let signed = signed.encrypt(b"plaintext", 64).unwrap();
    // The footer ends the message, and begins with its length.
    let is_length = |length: &usize| {
        let field = &signed[signed.len() - length - 2..][..2];
        usize::from(u16::from_be_bytes([field[0], field[1]])) == *length
    };
    let signature = (90..=104).find(is_length).unwrap();
    let without_footer = &signed[..signed.len() - signature - 2];
    assert_refused(&reference, without_footer, "a signed message without its footer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_downgrade_to_a_suite_without_commitment_fails() {
    let reference = Reference::new(1).await;
    let key = reference.encryption_key(Suite::Unsigned, &context()).await;
    let mut message = key.encrypt(b"plaintext", 64).unwrap();
    message[1..3].copy_from_slice(&[0x01, 0x78]);
    let error = UnverifiedMessage::parse(&message, Limits::default()).unwrap_err();
    assert_eq!(error, Error::SuiteWithoutCommitment { suite: 0x0178 });
    assert_refused(&reference, &message, "a suite without commitment").await;
}
