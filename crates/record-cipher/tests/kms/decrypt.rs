//! `Decrypt`, for messages of which nothing is authenticated yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use esdk_message::EncryptedDataKey;
use record_cipher::{CipherError, ErrorKind, Keys, RecordCipher, RecordCipherBuilder};
use serde_json::json;
use tokio::sync::Barrier;

use crate::scripted::{Answer, Request, ScriptedKms, base64, error};
use crate::{DATA_KEY, PLAINTEXT, key_arn, message, message_with, stream};

const HERE: &str = "eu-west-1";
const ELSEWHERE: &str = "us-east-1";

fn strict(kms: &ScriptedKms, arns: &[&str]) -> RecordCipherBuilder {
    let keys = arns.iter().map(|arn| arn.parse().unwrap()).collect();
    RecordCipher::builder(Keys::Decrypt(keys), &kms.config())
}

fn discovery(kms: &ScriptedKms) -> RecordCipherBuilder {
    let accounts = vec!["000000000000".to_owned(), "222222222222".to_owned()];
    let keys = Keys::Discover { partition: "aws".to_owned(), accounts };
    RecordCipher::builder(keys, &kms.config())
}

async fn decrypt(builder: RecordCipherBuilder, message: Vec<u8>) -> Result<Vec<u8>, CipherError> {
    builder.build().await.unwrap().decrypt(&stream(), message).await
}

/// The data key, for the key that was asked for.
fn good(request: &Request) -> Answer {
    (200, json!({ "KeyId": request.key_id(), "Plaintext": base64(DATA_KEY) }))
}

/// The data key for ciphertexts that begin with `good`, and for others that they are invalid.
fn authenticating(request: &Request) -> Answer {
    match request.body["CiphertextBlob"].as_str().unwrap().starts_with(&base64("goo")) {
        true => good(request),
        false => error("InvalidCiphertextException"),
    }
}

async fn assert_refused_without_calls(kms: &ScriptedKms, message: Vec<u8>) {
    let arn = key_arn(HERE, "1");
    for builder in [strict(kms, &[&arn]), discovery(kms)] {
        let error = decrypt(builder, message.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Record, "{error}");
    }
    assert!(kms.requests().is_empty(), "{:?}", kms.requests());
}

#[tokio::test]
async fn a_request_names_the_configured_key_and_the_whole_context() {
    let kms = ScriptedKms::answering(good).await;
    let arn = key_arn(HERE, "1");
    let key = EncryptedDataKey {
        provider_id: "aws-kms",
        provider_info: arn.as_bytes(),
        ciphertext: b"good",
    };
    let message = message_with(&[key], [("a", "b"), ("stream", "records")]);
    assert_eq!(decrypt(strict(&kms, &[&arn]), message).await.unwrap(), PLAINTEXT);
    let context = json!({ "a": "b", "stream": "records" });
    let expected =
        json!({ "KeyId": arn, "CiphertextBlob": base64("good"), "EncryptionContext": context });
    assert_eq!(kms.requests()[0].body, expected);
    assert_eq!((kms.requests().len(), kms.requests()[0].region.as_str()), (1, HERE));
}

#[tokio::test]
async fn data_keys_of_other_keys_are_not_tried() {
    let kms = ScriptedKms::answering(good).await;
    let (own, other) = (key_arn(HERE, "1"), key_arn(HERE, "2"));
    let error = decrypt(strict(&kms, &[&own]), message(&[(&other, b"good")])).await.unwrap_err();
    assert_eq!(error, CipherError::NoUsableKey);
    assert!(kms.requests().is_empty());
    let message = message(&[(&other, b"good"), (&own, b"good")]);
    assert_eq!(decrypt(strict(&kms, &[&own]), message).await.unwrap(), PLAINTEXT);
    assert_eq!(kms.requests().len(), 1);
}

#[tokio::test]
async fn keys_are_tried_in_the_order_of_the_settings() {
    let kms = ScriptedKms::answering(|request| match request.region.as_str() {
        HERE => error("ThrottlingException"),
        _ => good(request),
    })
    .await;
    let (here, elsewhere) = (key_arn(HERE, "1"), key_arn(ELSEWHERE, "2"));
    let message = message(&[(&elsewhere, b"good"), (&here, b"good")]);
    assert_eq!(decrypt(strict(&kms, &[&here, &elsewhere]), message).await.unwrap(), PLAINTEXT);
    let regions: Vec<_> = kms.requests().into_iter().map(|request| request.region).collect();
    assert_eq!(regions, [HERE, ELSEWHERE]);
}

#[tokio::test]
async fn a_multi_region_key_decrypts_what_its_replicas_encrypted() {
    let kms = ScriptedKms::answering(good).await;
    let (here, elsewhere) = (key_arn(HERE, "mrk-1"), key_arn(ELSEWHERE, "mrk-1"));
    for builder in [strict(&kms, &[&here]), discovery(&kms)] {
        let decrypted = decrypt(builder, message(&[(&elsewhere, b"good")])).await;
        assert_eq!(decrypted.unwrap(), PLAINTEXT);
        let requests = kms.requests();
        let last = requests.last().unwrap();
        assert_eq!((last.key_id(), last.region.as_str()), (here.as_str(), HERE));
    }
    let other_key = key_arn(ELSEWHERE, "mrk-2");
    let result = decrypt(strict(&kms, &[&here]), message(&[(&other_key, b"good")])).await;
    assert_eq!(result, Err(CipherError::NoUsableKey));
}

#[tokio::test]
async fn discovery_asks_for_keys_of_its_accounts_partition_and_region_only() {
    let kms = ScriptedKms::answering(good).await;
    for foreign in [
        "arn:aws:kms:eu-west-1:111111111111:key/1",
        "arn:aws-cn:kms:eu-west-1:000000000000:key/1",
        "arn:aws:kms:us-east-1:000000000000:key/1",
        "arn:aws:kms:us-east-1:111111111111:key/mrk-1",
    ] {
        let result = decrypt(discovery(&kms), message(&[(foreign, b"good")])).await;
        assert_eq!(result, Err(CipherError::NoUsableKey), "{foreign}");
    }
    assert!(kms.requests().is_empty());
    let own = "arn:aws:kms:eu-west-1:222222222222:key/1";
    assert_eq!(decrypt(discovery(&kms), message(&[(own, b"good")])).await.unwrap(), PLAINTEXT);
    assert_eq!(kms.requests()[0].key_id(), own);
}

#[tokio::test]
async fn a_forged_message_costs_two_calls() {
    let arns: Vec<_> = (1..=3).map(|id| key_arn(HERE, &id.to_string())).collect();
    let ciphertexts: Vec<_> = (0..20_u8).map(|byte| vec![byte]).collect();
    let wrapped: Vec<_> = ciphertexts
        .iter()
        .flat_map(|ciphertext| arns.iter().map(|arn| (arn.as_str(), ciphertext.as_slice())))
        .collect();
    for discovers in [false, true] {
        let kms = ScriptedKms::answering(authenticating).await;
        let arns: Vec<_> = arns.iter().map(String::as_str).collect();
        let builder = if discovers { discovery(&kms) } else { strict(&kms, &arns) };
        let error = decrypt(builder, message(&wrapped)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Record, "{error}");
        assert_eq!(kms.requests().len(), 2);
    }
}

#[tokio::test]
async fn keys_that_cannot_be_used_cost_two_calls_each_and_five_with_discovery() {
    let arns: Vec<_> = (1..=3).map(|id| key_arn(HERE, &id.to_string())).collect();
    let arns: Vec<_> = arns.iter().map(String::as_str).collect();
    let ciphertexts: Vec<_> = (0..10_u8).map(|byte| vec![byte]).collect();
    let wrapped: Vec<_> = ciphertexts
        .iter()
        .flat_map(|ciphertext| arns.iter().map(|arn| (*arn, ciphertext.as_slice())))
        .collect();
    for (discovers, calls) in [(false, 6), (true, 5)] {
        let kms = ScriptedKms::failing("AccessDeniedException").await;
        let builder = if discovers { discovery(&kms) } else { strict(&kms, &arns) };
        decrypt(builder, message(&wrapped)).await.unwrap_err();
        assert_eq!(kms.requests().len(), calls);
    }
}

#[tokio::test]
async fn repeated_data_keys_count_once() {
    let arn = key_arn(HERE, "1");
    let mut wrapped = vec![(arn.as_str(), b"bad".as_slice()); 50];
    wrapped.push((&arn, b"good"));
    for discovers in [false, true] {
        let kms = ScriptedKms::answering(authenticating).await;
        let builder = if discovers { discovery(&kms) } else { strict(&kms, &[&arn, &arn]) };
        assert_eq!(decrypt(builder, message(&wrapped)).await.unwrap(), PLAINTEXT);
        assert_eq!(kms.requests().len(), 2);
    }
}

#[tokio::test]
async fn malformed_key_names_refuse_the_message_without_a_call() {
    let kms = ScriptedKms::answering(good).await;
    let own = key_arn(HERE, "1");
    for malformed in [
        "",
        "1",
        "alias/records",
        "arn:aws:kms:eu-west-1:000000000000:alias/records",
        "arn:aws:s3:eu-west-1:000000000000:key/1",
        "arn:aws:kms:eu-west-1:000000000000:key/",
    ] {
        let message = message(&[(&own, b"good"), (malformed, b"good")]);
        assert_refused_without_calls(&kms, message).await;
    }
}

#[tokio::test]
async fn what_kms_does_not_take_is_not_sent() {
    let kms = ScriptedKms::answering(good).await;
    let own = key_arn(HERE, "1");
    assert_refused_without_calls(&kms, message(&[(&own, b"")])).await;
    assert_refused_without_calls(&kms, message(&[(&own, &[7; 6145])])).await;
    let discovered = [key_arn(HERE, &"1".repeat(2048)), key_arn(HERE, "1\n2"), key_arn(HERE, "ä")];
    for key in &discovered {
        let result = decrypt(discovery(&kms), message(&[(key, b"good")])).await;
        assert_eq!(result, Err(CipherError::NoUsableKey), "{key}");
    }
    let key = EncryptedDataKey {
        provider_id: "aws-kms",
        provider_info: own.as_bytes(),
        ciphertext: b"good",
    };
    let long = "x".repeat(8192);
    let message = message_with(&[key], [("stream", "records"), ("x", long.as_str())]);
    assert_refused_without_calls(&kms, message).await;
}

#[tokio::test]
async fn other_providers_keys_are_ignored() {
    let kms = ScriptedKms::answering(good).await;
    let own = key_arn(HERE, "1");
    let key = |provider_id| EncryptedDataKey {
        provider_id,
        provider_info: own.as_bytes(),
        ciphertext: b"good",
    };
    for other in ["aws-kms-hierarchy", "AWS-KMS", "aws-kms ", "raw", ""] {
        assert_refused_without_calls(&kms, message_with(&[key(other)], [("stream", "records")]))
            .await;
    }
    let message = message_with(&[key("raw"), key("aws-kms")], [("stream", "records")]);
    assert_eq!(decrypt(strict(&kms, &[&own]), message).await.unwrap(), PLAINTEXT);
}

#[tokio::test]
async fn responses_of_another_key_or_length_are_refused() {
    let arn = key_arn(HERE, "1");
    for (key_id, plaintext, kind, reason) in [
        (json!(key_arn(HERE, "2")), json!(base64(DATA_KEY)), ErrorKind::Retryable, "another key"),
        (json!(null), json!(base64(DATA_KEY)), ErrorKind::Retryable, "another key"),
        (json!(arn), json!(null), ErrorKind::Retryable, "no plaintext"),
        (json!(arn), json!(base64([7; 16])), ErrorKind::Record, "wrong length"),
        (json!(arn), json!(base64([7; 33])), ErrorKind::Record, "wrong length"),
    ] {
        let answer = (200, json!({ "KeyId": key_id, "Plaintext": plaintext }));
        let kms = ScriptedKms::answering(move |_| answer.clone()).await;
        for builder in [strict(&kms, &[&arn]), discovery(&kms)] {
            let error = decrypt(builder, message(&[(&arn, b"good")])).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}

#[tokio::test]
async fn a_bad_response_does_not_end_the_search() {
    let arn = key_arn(HERE, "1");
    let kms = ScriptedKms::answering(|request| match request.body["CiphertextBlob"].as_str() {
        Some(blob) if blob == base64("short") => {
            (200, json!({ "KeyId": request.key_id(), "Plaintext": base64([7; 16]) }))
        }
        _ => good(request),
    })
    .await;
    let message = message(&[(&arn, b"short"), (&arn, b"good")]);
    assert_eq!(decrypt(strict(&kms, &[&arn]), message).await.unwrap(), PLAINTEXT);
}

#[tokio::test]
async fn a_forged_data_key_outweighs_other_failures() {
    let (here, elsewhere) = (key_arn(HERE, "1"), key_arn(ELSEWHERE, "1"));
    for code in ["AccessDeniedException", "ThrottlingException"] {
        let kms = ScriptedKms::answering(move |request| match request.region.as_str() {
            HERE => error(code),
            _ => error("InvalidCiphertextException"),
        })
        .await;
        let message = message(&[(&here, b"bad"), (&elsewhere, b"bad")]);
        let error = decrypt(strict(&kms, &[&here, &elsewhere]), message).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Record, "{error}");
    }
}

#[tokio::test]
async fn a_record_stays_good_while_one_call_may_succeed_later() {
    let (here, elsewhere) = (key_arn(HERE, "1"), key_arn(ELSEWHERE, "1"));
    let kms = ScriptedKms::answering(|request| match request.region.as_str() {
        HERE => error("DisabledException"),
        _ => error("KMSInternalException"),
    })
    .await;
    let message = message(&[(&here, b"x"), (&elsewhere, b"x")]);
    let error = decrypt(strict(&kms, &[&here, &elsewhere]), message).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
}

#[tokio::test]
async fn failed_requests_are_counted() {
    let kms = ScriptedKms::failing("InvalidCiphertextException").await;
    let arn = key_arn(HERE, "1");
    let cipher = strict(&kms, &[&arn]).build().await.unwrap();
    for failed in [2, 4] {
        cipher.decrypt(&stream(), message(&[(&arn, b"x"), (&arn, b"y")])).await.unwrap_err();
        assert_eq!(cipher.failed_kms_requests(), failed);
    }
}

#[tokio::test]
async fn misses_run_side_by_side_up_to_the_limit() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak, four) = (running.clone(), most.clone(), Arc::new(Barrier::new(4)));
    // Answers four requests at a time: with fewer side by side, it would never answer.
    let kms = ScriptedKms::start(move |request| {
        let (now, peak, four) = (now.clone(), peak.clone(), four.clone());
        async move {
            peak.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            four.wait().await;
            now.fetch_sub(1, SeqCst);
            good(&request)
        }
    })
    .await;
    let arn = key_arn(HERE, "1");
    let cipher = strict(&kms, &[&arn]).kms_concurrency(4).build().await.unwrap();
    let records = (0..12_u8).map(|byte| {
        let (cipher, message) = (cipher.clone(), message(&[(&arn, &[byte])]));
        tokio::spawn(async move { cipher.decrypt(&stream(), message).await.unwrap() })
    });
    for record in records.collect::<Vec<_>>() {
        assert_eq!(record.await.unwrap(), PLAINTEXT);
    }
    assert_eq!((kms.requests().len(), most.load(SeqCst)), (12, 4));
}
