//! Messages with valid tags that no writer makes: this crate and the AWS Encryption SDK accept the
//! same ones, with the same plaintext.

use esdk_message::{PUBLIC_KEY_CONTEXT_KEY, Suite};
use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::craft::{Materials, Message, Part, iv};
use crate::reference::{Context, Reference};
use crate::{SUITES, context};

async fn materials(reference: &Reference, suite: Suite, context: &Context) -> Materials {
    let materials = reference.materials(suite, context).await;
    let blob = |blob: Option<aws_smithy_types::Blob>| blob.unwrap().into_inner();
    let keys = materials.encrypted_data_keys.unwrap().into_iter().map(|key| {
        let provider = key.key_provider_id.unwrap().into_bytes();
        [provider, blob(key.key_provider_info), blob(key.ciphertext)]
    });
    let mut stored: Vec<_> = materials.encryption_context.unwrap().into_iter().collect();
    stored.sort();
    Materials {
        suite,
        data_key: blob(materials.plaintext_data_key),
        signing_key: materials.signing_key.map(aws_smithy_types::Blob::into_inner),
        stored,
        required: Vec::new(),
        encrypted_data_keys: keys.collect(),
    }
}

/// Returns `true` if both accept the message. Panics if they differ.
async fn both_accept(reference: &Reference, message: &Message, what: &str) -> bool {
    let bytes = message.bytes();
    let theirs = reference.decrypt(&bytes).await;
    let ours = reference.decrypt_natively(&bytes).await;
    assert_eq!(ours, theirs, "{what}");
    ours.is_some()
}

async fn both(suites: &[Suite]) -> (Reference, Vec<Materials>) {
    let reference = Reference::new(1).await;
    let mut all = Vec::new();
    for &suite in suites {
        all.push(materials(&reference, suite, &context()).await);
    }
    (reference, all)
}

#[tokio::test(flavor = "multi_thread")]
async fn ivs_of_any_value_are_accepted() {
    const HIGH: [u8; 12] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1];
    let (reference, all) = both(&SUITES).await;
    for materials in &all {
        for ivs in [[iv(1), iv(2)], [iv(2), iv(1)], [HIGH, iv(2)], [iv(0), iv(0)], [[0xFF; 12]; 2]]
        {
            let [one, other] = ivs;
            let frames =
                [Part::regular(1, b"four").with_iv(one), Part::last(2, b"two").with_iv(other)];
            let framed = Message::framed(materials, 4, &frames);
            assert!(both_accept(&reference, &framed, &format!("frames {ivs:?}")).await);
            let block = Part::last(1, b"a plaintext").with_iv(one);
            let unframed = Message::unframed(materials, block);
            assert!(both_accept(&reference, &unframed, &format!("block {ivs:?}")).await);
        }
    }
}

/// Returns frames of these lengths, four bytes at most.
fn frames(lengths: &[usize]) -> Vec<Part> {
    let part = |(at, &length): (usize, &usize)| {
        let number = u32::try_from(at).unwrap() + 1;
        match at + 1 == lengths.len() {
            true => Part::last(number, &[7; 4][..length]),
            false => Part::regular(number, &[7; 4][..length]),
        }
    };
    lengths.iter().enumerate().map(part).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_accepted_alike() {
    let (reference, all) = both(&SUITES).await;
    for materials in &all {
        let check = async |what: &str, parts: &[Part], is_valid: bool| {
            let message = Message::framed(materials, 4, parts);
            assert_eq!(both_accept(&reference, &message, what).await, is_valid, "{what}");
        };
        check("an empty final frame alone", &frames(&[0]), true).await;
        check("a full final frame", &frames(&[4]), true).await;
        check("an empty final frame behind full ones", &frames(&[4, 4, 0]), true).await;
        check("several frames", &frames(&[4, 4, 4, 3]), true).await;
        check("a final frame alone that is not full", &frames(&[1]), true).await;
        let [one, last] = [Part::regular(1, &[7; 4]), Part::last(2, &[7; 2])];
        check("no frame", &[], false).await;
        check("no final frame", std::slice::from_ref(&one), false).await;
        check("two final frames", &[Part::last(1, b""), Part::last(2, b"")], false).await;
        check(
            "a frame behind the final one",
            &[Part::last(1, b""), Part::regular(2, &[7; 4])],
            false,
        )
        .await;
        check("a final frame that is too long", &[Part::last(1, &[7; 5])], false).await;
        check("numbers from 0", &[Part::regular(0, &[7; 4]), Part::last(1, b"")], false).await;
        check("numbers from 2", &[Part::regular(2, &[7; 4]), Part::last(3, b"")], false).await;
        check("a gap", &[one.clone(), Part::last(3, b"")], false).await;
        check("a number twice", &[one.clone(), one.clone(), last.clone()], false).await;
        check("numbers backwards", &[Part::regular(2, &[7; 4]), Part::last(1, b"")], false).await;

        for (number, plaintext, is_valid) in
            [(1, &b"a plaintext"[..], true), (1, b"", true), (0, b"", false), (2, b"", false)]
        {
            let message = Message::unframed(materials, Part::last(number, plaintext));
            let what = format!("{} bytes without frames, number {number}", plaintext.len());
            assert_eq!(both_accept(&reference, &message, &what).await, is_valid, "{what}");
        }
        let unframed = Message::unframed(materials, Part::last(1, b"a plaintext"));
        let with_length = Message { frame_length: 11, ..unframed.clone() };
        assert!(!both_accept(&reference, &with_length, "a frame length without frames").await);
        let other_type = Message { content_type: 3, ..unframed };
        assert!(!both_accept(&reference, &other_type, "another content type").await);
        let no_length = Message::framed(materials, 0, &frames(&[0]));
        assert!(!both_accept(&reference, &no_length, "frames of no length").await);
        let long = Message::framed(materials, u32::MAX, &[Part::last(1, &[7; 100])]);
        assert!(both_accept(&reference, &long, "the longest frame length").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contexts_are_accepted_alike() {
    let reference = Reference::new(1).await;
    let pairs = [("a", "1"), ("b", ""), ("", "3"), ("ä", "4"), ("aws", "5")];
    let context = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    for suite in SUITES {
        let sorted = materials(&reference, suite, &context).await;
        let check = async |what: &str, change: &dyn Fn(&mut Materials), is_valid: bool| {
            let mut materials = sorted.clone();
            change(&mut materials);
            let message = Message::framed(&materials, 4, &frames(&[4, 1]));
            let what = format!("{what}, {suite}");
            assert_eq!(both_accept(&reference, &message, &what).await, is_valid, "{what}");
        };
        let pair = |key: &str| (key.to_owned(), "value".to_owned());
        check("sorted", &|_| {}, true).await;
        check("reversed", &|materials| materials.stored.reverse(), true).await;
        check("rotated", &|materials| materials.stored.rotate_left(2), true).await;
        check(
            "a pair twice",
            &|materials| materials.stored.push(materials.stored[1].clone()),
            false,
        )
        .await;
        check("a key twice", &|materials| materials.stored.push(pair("a")), false).await;
        check("a pair more", &|materials| materials.stored.push(pair("z")), false).await;
        check("a pair less", &|materials| drop(materials.stored.pop()), false).await;
        check("a required pair", &|materials| materials.required.push(pair("z")), false).await;
        check("a reserved key", &|materials| materials.stored.push(pair("aws-crypto-x")), false)
            .await;
        check(
            "the public key of another",
            &|materials| {
                materials.stored.retain(|(key, _)| key != PUBLIC_KEY_CONTEXT_KEY);
                materials.stored.push(pair(PUBLIC_KEY_CONTEXT_KEY));
            },
            false,
        )
        .await;
        check("no wrapped key", &|materials| materials.encrypted_data_keys.clear(), false).await;
        check(
            "a key of another provider first",
            &|materials| {
                let other = [b"other".to_vec(), Vec::new(), Vec::new()];
                materials.encrypted_data_keys.insert(0, other);
            },
            true,
        )
        .await;
        check(
            "a provider that is not UTF-8",
            &|materials| {
                materials.encrypted_data_keys.push([vec![0xFF], Vec::new(), Vec::new()]);
            },
            false,
        )
        .await;
    }
}

/// The keyring wrapped the data key with the whole context; the header stores some of it.
#[tokio::test(flavor = "multi_thread")]
async fn required_context_is_read_alike() {
    let reference = Reference::new(1).await;
    let context: Context = [("stream", "records"), ("tenant", "one"), ("Tenant", "two")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    for suite in SUITES {
        let mut materials = materials(&reference, suite, &context).await;
        let required = |(key, _): &(String, String)| key.eq_ignore_ascii_case("tenant");
        materials.required = materials.stored.extract_if(.., |pair| required(pair)).collect();
        let bytes = Message::framed(&materials, 4, &frames(&[4, 4, 1])).bytes();
        assert!(reference.decrypt(&bytes).await.is_none());
        assert!(reference.decrypt_natively(&bytes).await.is_none());
        let reproduced: Context = materials.required.iter().cloned().collect();
        let theirs = reference.decrypt_reproducing(&bytes, &reproduced).await;
        let ours = reference.decrypt_natively_reproducing(&bytes, &reproduced).await;
        assert_eq!(ours, theirs);
        assert_eq!(ours.unwrap().0, [7; 9]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any IVs, frame lengths and numbers of frames, with one number or length wrong or not.
    #[test]
    fn frames_are_accepted_alike(
        suite in prop::sample::select(SUITES.as_slice()),
        ivs in prop::collection::vec(any::<[u8; 12]>(), 1..6),
        frame_length in 1..5_u32,
        last_length in 0..6_usize,
        wrong in prop::option::weighted(0.3, (any::<prop::sample::Index>(), 0..8_u32)),
    ) {
        Runtime::new().unwrap().block_on(async {
            let (reference, all) = both(&[suite]).await;
            let regular = vec![7; frame_length as usize];
            let mut parts: Vec<_> = (1..).zip(&ivs).map(|(number, &iv)| {
                Part::regular(number, &regular).with_iv(iv)
            }).collect();
            let last = parts.last_mut().unwrap();
            (last.is_final, last.plaintext) = (true, vec![7; last_length]);
            if let Some((at, number)) = wrong {
                let at = at.index(parts.len());
                parts[at].number = number;
            }
            let message = Message::framed(&all[0], frame_length, &parts);
            both_accept(&reference, &message, "a crafted message").await;
        });
    }
}
