//! What a cipher accepts, refuses, and makes of failures of AWS KMS.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use record_cipher::{
    CipherError, Engine, ErrorKind, Keys, RecordCipher, RecordCipherBuilder, SetupError,
    StreamName, Suite,
};

const PLAINTEXT: &[u8] = br#"{"id":"1","secret":"marker-of-the-plaintext"}"#;

/// Where no test has anything to ask for.
const NOWHERE: &str = "http://127.0.0.1:1";

fn stream(name: &str) -> StreamName {
    name.parse().unwrap()
}

fn sdk_config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("id", "secret", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("eu-west-1"))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn raw_aes(key: u8) -> RecordCipherBuilder {
    RecordCipher::builder(Keys::RawAes([key; 32]), &sdk_config(NOWHERE))
}

async fn cipher() -> RecordCipher {
    raw_aes(1).build().await.unwrap()
}

/// Every engine of this build.
const ENGINES: &[Engine] = match cfg!(feature = "aws-esdk") {
    true => &[Engine::Native, Engine::AwsEsdk],
    false => &[Engine::Native],
};

#[tokio::test(flavor = "multi_thread")]
async fn every_engine_reads_records_of_every_engine_in_both_suites() {
    for suite in [Suite::Signed, Suite::Unsigned] {
        let mut ciphers = Vec::new();
        for engine in ENGINES {
            let builder = raw_aes(1).suite(suite).engine(*engine).frame_length(1024);
            ciphers.push(builder.build().await.unwrap());
        }
        for plaintext in [b"".as_slice(), b"x", PLAINTEXT, &[7; 100_000]] {
            for writer in &ciphers {
                let message =
                    writer.encrypt(&stream("records"), plaintext.to_vec()).await.unwrap().message;
                for reader in &ciphers {
                    let decrypted = reader.decrypt(&stream("records"), message.clone()).await;
                    assert_eq!(decrypted.unwrap(), plaintext);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_record_of_kinesis_in_the_smallest_frames_comes_back() {
    for &engine in ENGINES {
        let builder = raw_aes(1).suite(Suite::Unsigned).engine(engine).frame_length(1024);
        let cipher = builder.build().await.unwrap();
        let plaintext = vec![7; 10 << 20];
        let message = cipher.encrypt(&stream("records"), plaintext.clone()).await.unwrap().message;
        assert!(cipher.decrypt(&stream("records"), message).await.unwrap() == plaintext);
    }
}

#[cfg(feature = "aws-esdk")]
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_too_many_frames_for_aws_esdk_is_refused_before_it_is_decrypted() {
    let key = esdk_message::EncryptedDataKey {
        provider_id: "record-cipher",
        provider_info: b"raw-aes",
        ciphertext: b"x",
    };
    let key = esdk_message::EncryptionKey::new(&[7; 32], None, [("stream", "records")], &[key]);
    let message = key.unwrap().encrypt(&[7; 16_385], 1).unwrap();
    let cipher = raw_aes(1).engine(Engine::AwsEsdk).build().await.unwrap();
    let error = cipher.decrypt(&stream("records"), message).await.unwrap_err();
    assert!(error.to_string().contains("more than 16384 frames"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_message_is_version_2_of_the_chosen_committing_suite() {
    for (suite, id) in [(Suite::Signed, [0x05, 0x78]), (Suite::Unsigned, [0x04, 0x78])] {
        let cipher = raw_aes(1).suite(suite).build().await.unwrap();
        let message = cipher.encrypt(&stream("records"), PLAINTEXT.to_vec()).await.unwrap().message;
        assert_eq!(message[..3], [2, id[0], id[1]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_stream_is_refused_by_name() {
    let cipher = cipher().await;
    let message = cipher.encrypt(&stream("other"), PLAINTEXT.to_vec()).await.unwrap().message;
    let error = cipher.decrypt(&stream("records"), message).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the record was encrypted for stream other, not for stream records"
    );
    assert_eq!(error.kind(), ErrorKind::Record);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_stream_name_does_not_pass() {
    let cipher = cipher().await;
    let mut message = cipher.encrypt(&stream("recordz"), PLAINTEXT.to_vec()).await.unwrap().message;
    let at = message.windows(7).position(|window| window == b"recordz").unwrap();
    message[at + 6] = b's';
    let error = cipher.decrypt(&stream("records"), message).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Record);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_messages_are_refused_without_their_content() {
    for &engine in ENGINES {
        damaged_messages_are_refused_by(engine).await;
    }
}

async fn damaged_messages_are_refused_by(engine: Engine) {
    let cipher = raw_aes(1).suite(Suite::Unsigned).engine(engine).build().await.unwrap();
    let message = cipher.encrypt(&stream("records"), PLAINTEXT.to_vec()).await.unwrap().message;
    let flipped = (0..message.len()).map(|at| {
        let mut message = message.clone();
        message[at] ^= 1;
        message
    });
    let cut = (0..message.len()).map(|length| message[..length].to_vec());
    let longer = [[message.as_slice(), b"\0"].concat()];
    for damaged in flipped.chain(cut).chain(longer) {
        let error = cipher.decrypt(&stream("records"), damaged).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Record, "{error}");
        assert!(!format!("{error:?} {error}").contains("marker"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_is_not_a_message() {
    let error = cipher().await.decrypt(&stream("records"), PLAINTEXT.to_vec()).await.unwrap_err();
    assert!(matches!(error, CipherError::Message(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_decrypts_nothing() {
    let message =
        cipher().await.encrypt(&stream("records"), PLAINTEXT.to_vec()).await.unwrap().message;
    let other = raw_aes(2).build().await.unwrap();
    let error = other.decrypt(&stream("records"), message).await.unwrap_err();
    assert_eq!(error, CipherError::NoUsableKey);
    assert_eq!(error.kind(), ErrorKind::Record);
}

/// They are moved for each record, also when the data key is cached.
#[tokio::test]
async fn the_futures_of_a_record_have_no_room_for_a_call_to_kms() {
    let (cipher, stream) = (cipher().await, stream("records"));
    let encrypting = cipher.encrypt(&stream, PLAINTEXT.to_vec());
    let decrypting = cipher.decrypt(&stream, PLAINTEXT.to_vec());
    let sizes = [size_of_val(&encrypting), size_of_val(&decrypting)];
    assert!(sizes.iter().all(|size| *size <= 2048), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_data_key_per_hundred_records_and_stream() {
    let cipher = raw_aes(1).suite(Suite::Unsigned).build().await.unwrap();
    for _ in 0..150 {
        cipher.encrypt(&stream("records"), PLAINTEXT.to_vec()).await.unwrap();
    }
    cipher.encrypt(&stream("other"), PLAINTEXT.to_vec()).await.unwrap();
    assert_eq!(cipher.stats().data_keys.requests, 151);
    assert_eq!(cipher.stats().data_keys.calls, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_when_built() {
    let refused =
        |builder: RecordCipherBuilder| async { builder.build().await.unwrap_err().to_string() };
    assert!(refused(raw_aes(1).frame_length(1023)).await.contains("frame length 1023"));
    assert!(refused(raw_aes(1).frame_length(1 << 32)).await.contains("1024 to 4294967295"));
    assert!(refused(raw_aes(1).max_messages(0)).await.contains("max_messages is 0"));
    assert!(refused(raw_aes(1).max_age(Duration::ZERO)).await.contains("max_age"));
    assert!(refused(raw_aes(1).kms_concurrency(0)).await.contains("kms_concurrency is 0"));

    let with_keys = |keys| RecordCipher::builder(keys, &sdk_config(NOWHERE));
    let encrypt = |key: &str, regions: &[&str]| {
        with_keys(Keys::Encrypt {
            key: key.parse().unwrap(),
            regions: regions.iter().map(|region| region.parse().unwrap()).collect(),
        })
    };
    let twice = encrypt("alias/a", &["eu-west-1", "eu-west-1"]);
    assert_eq!(refused(twice).await, "Region eu-west-1 is listed twice");
    assert!(refused(encrypt("alias/a", &[])).await.contains("list of Regions is empty"));
    let elsewhere = encrypt("arn:aws:kms:us-east-1:000000000000:key/1", &["eu-west-1"]);
    assert!(refused(elsewhere).await.contains("does not exist in eu-west-1"));
    assert!(refused(with_keys(Keys::Decrypt(vec![]))).await.contains("list of keys is empty"));
    let discover = |accounts: &[&str]| {
        with_keys(Keys::Discover {
            partition: "aws".to_owned(),
            accounts: accounts.iter().map(|&account| account.to_owned()).collect(),
        })
    };
    assert!(refused(discover(&[])).await.contains("accounts is empty"));
    assert!(refused(discover(&["123"])).await.contains("twelve digits"));
    assert!(discover(&["000000000000"]).build().await.is_ok());
}

#[tokio::test]
async fn discovery_and_alias_names_need_a_region() {
    let mut config = sdk_config(NOWHERE).into_builder();
    config.set_region(None);
    let config = config.build();
    let accounts = vec!["000000000000".to_owned()];
    let discovery = Keys::Discover { partition: "aws".to_owned(), accounts };
    let alias = Keys::Decrypt(vec!["alias/records".parse().unwrap()]);
    for (keys, what) in [(discovery, "key discovery"), (alias, "an alias name")] {
        let error = RecordCipher::builder(keys, &config).build().await.unwrap_err();
        assert!(matches!(error, SetupError::NoRegion(_)), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

#[tokio::test]
async fn keys_for_decryption_do_not_encrypt() {
    let arn = "arn:aws:kms:eu-west-1:000000000000:key/1";
    let accounts = vec!["000000000000".to_owned()];
    for keys in [
        Keys::Decrypt(vec![arn.parse().unwrap()]),
        Keys::Discover { partition: "aws".to_owned(), accounts },
    ] {
        let cipher = RecordCipher::builder(keys, &sdk_config(NOWHERE)).build().await.unwrap();
        let error = cipher.encrypt(&stream("records"), PLAINTEXT.to_vec()).await.unwrap_err();
        assert!(error.to_string().contains("for decryption only"), "{error}");
    }
}

#[tokio::test]
async fn the_native_engine_runs_on_any_runtime() {
    let cipher = cipher().await;
    let message = cipher.encrypt(&stream("records"), PLAINTEXT.to_vec()).await.unwrap().message;
    assert_eq!(cipher.decrypt(&stream("records"), message).await.unwrap(), PLAINTEXT);
}

#[cfg(feature = "aws-esdk")]
#[tokio::test]
async fn the_aws_esdk_engine_needs_the_multi_thread_runtime() {
    let error = raw_aes(1).engine(Engine::AwsEsdk).build().await.unwrap_err();
    assert!(matches!(error, SetupError::Runtime), "{error}");
}

#[cfg(not(feature = "aws-esdk"))]
#[tokio::test]
async fn an_engine_that_is_not_built_in_is_refused_with_the_feature() {
    let error = raw_aes(1).engine(Engine::AwsEsdk).build().await.unwrap_err();
    assert!(matches!(error, SetupError::MissingFeature), "{error}");
    assert!(error.to_string().contains("cargo feature 'aws-esdk'"), "{error}");
}
