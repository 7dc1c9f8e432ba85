//! `GenerateDataKey` and `Encrypt`.

use std::sync::Arc;
use std::time::Duration;

use record_cipher::{EncryptFor, ErrorKind, Keys, RecordCipher, RecordCipherBuilder, Suite};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::scripted::{Answer, Request, ScriptedKms, base64, config};
use crate::{DATA_KEY, PLAINTEXT, key_arn, stream};

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-northeast-1"];

fn encrypting(kms: &ScriptedKms, regions: &[&str]) -> RecordCipherBuilder {
    let keys = Keys::Encrypt {
        key: "alias/records".parse().unwrap(),
        regions: regions.iter().map(|region| region.parse().unwrap()).collect(),
    };
    RecordCipher::builder(keys, &kms.config())
}

fn good(request: &Request) -> Answer {
    let mut answer = json!({
        "KeyId": key_arn(&request.region, "1"),
        "CiphertextBlob": base64(&request.region),
    });
    if request.operation == "GenerateDataKey" {
        answer["Plaintext"] = base64(DATA_KEY).into();
    }
    (200, answer)
}

#[tokio::test]
async fn requests_are_those_of_the_specification() {
    let kms = ScriptedKms::answering(good).await;
    let cipher = encrypting(&kms, &REGIONS[..2]).build().await.unwrap();
    let message = cipher.encrypt(&stream(), PLAINTEXT.to_vec()).await.unwrap().message;

    let requests = kms.requests();
    let context = &requests[0].body["EncryptionContext"];
    assert_eq!(context["stream"], "records");
    assert!(context["aws-crypto-public-key"].is_string());
    assert_eq!(context.as_object().unwrap().len(), 2);
    let generate = json!({
        "KeyId": "alias/records", "NumberOfBytes": 32, "EncryptionContext": context,
    });
    let encrypt = json!({
        "KeyId": "alias/records", "Plaintext": base64(DATA_KEY), "EncryptionContext": context,
    });
    let seen: Vec<_> = requests
        .iter()
        .map(|request| (request.operation.as_str(), request.region.as_str(), &request.body))
        .collect();
    assert_eq!(
        seen,
        [("GenerateDataKey", REGIONS[0], &generate), ("Encrypt", REGIONS[1], &encrypt)]
    );

    let message = esdk_message::UnverifiedMessage::parse(message, Default::default()).unwrap();
    let keys: Vec<_> = message
        .encrypted_data_keys()
        .map(|key| (key.provider_id, key.provider_info.to_vec(), key.ciphertext.to_vec()))
        .collect();
    let key = |region: &str| ("aws-kms", key_arn(region, "1").into_bytes(), region.into());
    assert_eq!(keys, [key(REGIONS[0]), key(REGIONS[1])]);
}

#[tokio::test]
async fn the_unsigned_suite_adds_nothing_to_the_context() {
    let kms = ScriptedKms::answering(good).await;
    let cipher = encrypting(&kms, &REGIONS[..1]).suite(Suite::Unsigned).build().await.unwrap();
    cipher.encrypt(&stream(), PLAINTEXT.to_vec()).await.unwrap();
    assert_eq!(kms.requests()[0].body["EncryptionContext"], json!({ "stream": "records" }));
}

#[tokio::test]
async fn every_data_key_has_a_signing_key_of_its_own() {
    let kms = ScriptedKms::answering(good).await;
    let cipher = encrypting(&kms, &REGIONS[..1]).cache_capacity(0).build().await.unwrap();
    for _ in 0..2 {
        cipher.encrypt(&stream(), PLAINTEXT.to_vec()).await.unwrap();
    }
    let key =
        |at: usize| kms.requests()[at].body["EncryptionContext"]["aws-crypto-public-key"].clone();
    assert_ne!(key(0), key(1));
}

/// With only two Regions out of three, this would never end: each waits for the other.
#[tokio::test]
async fn data_keys_are_encrypted_in_the_other_regions_at_once() {
    let both = Arc::new(Barrier::new(2));
    let kms = ScriptedKms::start(move |request| {
        let both = both.clone();
        async move {
            if request.operation == "Encrypt" {
                both.wait().await;
            }
            good(&request)
        }
    })
    .await;
    let cipher = encrypting(&kms, &REGIONS).build().await.unwrap();
    cipher.encrypt(&stream(), PLAINTEXT.to_vec()).await.unwrap();
    assert_eq!(kms.requests().len(), 3);
}

#[tokio::test]
async fn unusable_responses_are_refused() {
    let without = |name: &str, value: Value| (name.to_owned(), value);
    let not_an_arn = "the response has no key ARN";
    let alias = "arn:aws:kms:us-east-1:000000000000:alias/records";
    let cases = [
        ("GenerateDataKey", without("KeyId", Value::Null), not_an_arn),
        ("GenerateDataKey", without("KeyId", "alias/records".into()), not_an_arn),
        ("GenerateDataKey", without("KeyId", "1234".into()), not_an_arn),
        ("GenerateDataKey", without("KeyId", alias.into()), not_an_arn),
        ("Encrypt", without("KeyId", Value::Null), not_an_arn),
        ("Encrypt", without("KeyId", alias.into()), not_an_arn),
        ("GenerateDataKey", without("CiphertextBlob", "".into()), "no ciphertext"),
        ("Encrypt", without("CiphertextBlob", Value::Null), "no ciphertext"),
        ("GenerateDataKey", without("Plaintext", Value::Null), "wrong length"),
        ("GenerateDataKey", without("Plaintext", base64([7; 31]).into()), "wrong length"),
        ("GenerateDataKey", without("Plaintext", base64([7; 33]).into()), "wrong length"),
    ];
    for (operation, (name, value), reason) in cases {
        let kms = ScriptedKms::answering(move |request| {
            let (status, mut answer) = good(request);
            if request.operation == operation {
                answer[&name] = value.clone();
            }
            (status, answer)
        })
        .await;
        let cipher = encrypting(&kms, &REGIONS[..2]).build().await.unwrap();
        let error = cipher.encrypt(&stream(), PLAINTEXT.to_vec()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(operation) && text.contains(reason), "{text}");
        assert_eq!(error.kind(), ErrorKind::Retryable, "{text}");
    }
}

#[tokio::test]
async fn while_one_region_may_recover_the_failure_is_retryable() {
    let kms = ScriptedKms::answering(|request| match request.region.as_str() {
        "eu-west-1" => crate::scripted::error("ThrottlingException"),
        _ => crate::scripted::error("AccessDeniedException"),
    })
    .await;
    let builder = encrypting(&kms, &REGIONS).recheck_after(Duration::from_secs(3600));
    let cipher = builder.encrypt_for(EncryptFor::Available).build().await.unwrap();
    let error = cipher.encrypt(&stream(), PLAINTEXT.to_vec()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable);
    assert!(error.to_string().contains("eu-west-1"), "{error}");
}

#[tokio::test]
async fn missing_credentials_and_refused_connections_are_told_apart() {
    let encrypt = async |config| {
        let keys = Keys::Encrypt {
            key: "alias/records".parse().unwrap(),
            regions: vec!["us-east-1".parse().unwrap()],
        };
        let cipher = RecordCipher::builder(keys, &config).build().await.unwrap();
        cipher.encrypt(&stream(), PLAINTEXT.to_vec()).await.unwrap_err()
    };
    let refused = encrypt(config("http://127.0.0.1:1")).await;
    assert_eq!(refused.kind(), ErrorKind::Retryable);
    assert!(refused.to_string().contains("refused"), "{refused}");
    let mut anonymous = config("http://127.0.0.1:1").into_builder();
    anonymous.set_credentials_provider(None);
    let anonymous = encrypt(anonymous.build()).await;
    assert_eq!(anonymous.kind(), ErrorKind::Operator);
    assert!(anonymous.to_string().contains("credentials"), "{anonymous}");
}
