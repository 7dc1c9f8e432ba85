use aws_sdk_kms::Client;
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use fake_aws::{FakeAws, kms_key_arn};

use crate::{OTHER_REGION, REGION, config};

const ALIAS: &str = "alias/records";

async fn start() -> (FakeAws, Client) {
    let aws = FakeAws::start().await.unwrap();
    let client = Client::new(&config(&aws, REGION));
    (aws, client)
}

async fn encrypt(client: &Client, key_id: &str) -> Blob {
    let request = client.encrypt().key_id(key_id).plaintext(Blob::new("text"));
    request.encryption_context("stream", "a").send().await.unwrap().ciphertext_blob.unwrap()
}

async fn decrypt_error(client: &Client, blob: Blob, key_id: Option<&str>) -> DecryptError {
    let request = client.decrypt().ciphertext_blob(blob).encryption_context("stream", "a");
    let request = request.set_key_id(key_id.map(String::from));
    request.send().await.unwrap_err().into_service_error()
}

#[tokio::test]
async fn a_data_key_is_decrypted_with_its_context() {
    let (_aws, client) = start().await;
    let request = client.generate_data_key().key_id(ALIAS).number_of_bytes(32);
    let made = request.encryption_context("stream", "a").send().await.unwrap();
    assert_eq!(made.plaintext.as_ref().unwrap().as_ref().len(), 32);

    let request = client.decrypt().ciphertext_blob(made.ciphertext_blob.unwrap());
    let opened = request.encryption_context("stream", "a").send().await.unwrap();
    assert_eq!(opened.plaintext, made.plaintext);
    assert_eq!(opened.key_id.unwrap(), kms_key_arn(REGION, ALIAS));
}

#[tokio::test]
async fn data_keys_differ_and_have_the_length_asked_for() {
    let (_aws, client) = start().await;
    let make = || client.generate_data_key().key_id(ALIAS);
    let first = make().key_spec(DataKeySpec::Aes256).send().await.unwrap().plaintext.unwrap();
    let second = make().key_spec(DataKeySpec::Aes256).send().await.unwrap().plaintext.unwrap();
    assert_ne!(first, second);
    let short = make().key_spec(DataKeySpec::Aes128).send().await.unwrap().plaintext.unwrap();
    assert_eq!((first.as_ref().len(), short.as_ref().len()), (32, 16));
    let error = make().send().await.unwrap_err();
    assert_eq!(error.code(), Some("ValidationException"));
}

#[tokio::test]
async fn all_names_of_a_key_answer_with_its_arn() {
    let (_aws, client) = start().await;
    let arn = kms_key_arn(REGION, ALIAS);
    let id = arn.rsplit('/').next().unwrap();
    let alias_arn = format!("arn:aws:kms:{REGION}:000000000000:{ALIAS}");
    for name in [ALIAS, &alias_arn, &arn, id] {
        let blob = Blob::new("text");
        let output = client.encrypt().key_id(name).plaintext(blob).send().await.unwrap();
        assert_eq!(output.key_id.as_ref(), Some(&arn), "{name}");
    }
}

#[tokio::test]
async fn a_key_of_another_region_is_not_found() {
    let (_aws, client) = start().await;
    let arn = kms_key_arn(OTHER_REGION, ALIAS);
    let error = client.encrypt().key_id(arn).plaintext(Blob::new("text")).send().await.unwrap_err();
    assert!(error.into_service_error().is_not_found_exception());
}

#[tokio::test]
async fn a_wrong_context_does_not_decrypt() {
    let (_aws, client) = start().await;
    let request = client.decrypt().ciphertext_blob(encrypt(&client, ALIAS).await);
    let error = request.encryption_context("stream", "b").send().await.unwrap_err();
    assert!(error.into_service_error().is_invalid_ciphertext_exception());
}

#[tokio::test]
async fn no_flipped_bit_decrypts() {
    let (_aws, client) = start().await;
    let blob = encrypt(&client, ALIAS).await.into_inner();
    for index in 0..blob.len() {
        let mut flipped = blob.clone();
        flipped[index] ^= 1;
        let error = decrypt_error(&client, Blob::new(flipped), None).await;
        assert!(error.is_invalid_ciphertext_exception(), "byte {index}");
    }
}

#[tokio::test]
async fn another_key_does_not_decrypt() {
    let (_aws, client) = start().await;
    let blob = encrypt(&client, ALIAS).await;
    let error = decrypt_error(&client, blob, Some("alias/other")).await;
    assert!(error.is_incorrect_key_exception());
}

#[tokio::test]
async fn another_region_does_not_decrypt() {
    let (aws, client) = start().await;
    let blob = encrypt(&client, ALIAS).await;
    let elsewhere = Client::new(&config(&aws, OTHER_REGION));
    assert!(decrypt_error(&elsewhere, blob, None).await.is_invalid_ciphertext_exception());
}
