//! What a cipher accepts, refuses, and makes of failures of AWS KMS.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

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

const ENGINES: [Engine; 2] = [Engine::Native, Engine::AwsEsdk];

#[tokio::test(flavor = "multi_thread")]
async fn records_come_back_for_both_suites_between_both_engines() {
    for suite in [Suite::Signed, Suite::Unsigned] {
        let engine = |engine| raw_aes(1).suite(suite).engine(engine).frame_length(1024).build();
        let [native, vendor] = ENGINES.map(engine);
        let (native, vendor) = (native.await.unwrap(), vendor.await.unwrap());
        for plaintext in [b"".as_slice(), b"x", PLAINTEXT, &[7; 100_000]] {
            for writer in [&native, &vendor] {
                let message =
                    writer.encrypt(&stream("records"), plaintext.to_vec()).await.unwrap().message;
                for reader in [&native, &vendor] {
                    let decrypted = reader.decrypt(&stream("records"), message.clone()).await;
                    assert_eq!(decrypted.unwrap(), plaintext);
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_record_of_kinesis_in_the_smallest_frames_comes_back() {
    for engine in ENGINES {
        let builder = raw_aes(1).suite(Suite::Unsigned).engine(engine).frame_length(1024);
        let cipher = builder.build().await.unwrap();
        let plaintext = vec![7; 10 << 20];
        let message = cipher.encrypt(&stream("records"), plaintext.clone()).await.unwrap().message;
        assert!(cipher.decrypt(&stream("records"), message).await.unwrap() == plaintext);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_too_many_frames_for_the_vendor_is_refused_before_it_is_decrypted() {
    let cipher = raw_aes(1).engine(Engine::AwsEsdk).build().await.unwrap();
    let mut message = cipher.encrypt(&stream("records"), PLAINTEXT.to_vec()).await.unwrap().message;
    let frame_length = 4096_u32.to_be_bytes();
    let at = message.windows(4).position(|window| window == frame_length).unwrap();
    message[at..at + 4].copy_from_slice(&1_u32.to_be_bytes());
    message.resize(message.len() + 16_384 * 33, 0);
    let error = cipher.decrypt(&stream("records"), message).await.unwrap_err();
    assert!(error.to_string().contains("more frames than the limit"), "{error}");
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
async fn damaged_messages_are_permanent_errors_without_content() {
    for engine in ENGINES {
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

/// The endpoint of a KMS that answers every request like this.
async fn kms_that_answers(status: u16, error_type: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let body = format!(r#"{{"__type":"{error_type}","message":"marker-of-the-body"}}"#);
    let response = format!(
        "HTTP/1.1 {status} Answer\r\nx-amzn-errortype: {error_type}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            // The requests are small: one read takes a whole one.
            assert!(connection.read(&mut [0; 16384]).await.unwrap() > 0);
            connection.write_all(response.as_bytes()).await.unwrap();
        }
    });
    endpoint
}

fn encrypting(endpoint: &str) -> RecordCipherBuilder {
    let keys = Keys::Encrypt {
        key: "alias/records".parse().unwrap(),
        regions: vec!["us-east-1".parse().unwrap(), "eu-west-1".parse().unwrap()],
    };
    RecordCipher::builder(keys, &sdk_config(endpoint))
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_kms_name_the_region_and_who_must_act() {
    use ErrorKind::{Operator, Retryable};
    for (status, error_type, kind, reason) in [
        (400, "ThrottlingException", Retryable, "throttling"),
        (500, "InternalFailure", Retryable, "answered with an error"),
        (500, "KMSInternalException", Retryable, "internal failure"),
        (400, "AccessDeniedException", Operator, "access was denied"),
        (400, "DisabledException", Operator, "the key is disabled"),
        (400, "NotFoundException", Operator, "the key does not exist"),
    ] {
        let kms = kms_that_answers(status, error_type).await;
        for engine in ENGINES {
            let cipher = encrypting(&kms).engine(engine).build().await.unwrap();
            let result = cipher.encrypt(&stream("records"), PLAINTEXT.to_vec()).await;
            let error = result.unwrap_err();
            assert_eq!(error.kind(), kind, "{error}");
            let text = error.to_string();
            assert!(text.contains("us-east-1") && text.contains(reason), "{text}");
            assert!(!format!("{error:?} {error}").contains("marker"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_kms_is_retryable() {
    let cipher = encrypting(NOWHERE).build().await.unwrap();
    let error = cipher.encrypt(&stream("records"), PLAINTEXT.to_vec()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable);
    assert!(error.to_string().starts_with("AWS KMS in us-east-1 failed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_when_built() {
    let refused =
        |builder: RecordCipherBuilder| async { builder.build().await.unwrap_err().to_string() };
    assert!(refused(raw_aes(1).frame_length(1023)).await.contains("frame length 1023"));
    assert!(refused(raw_aes(1).frame_length(1 << 32)).await.contains("1024 to 4294967295"));
    assert!(refused(raw_aes(1).max_messages(0)).await.contains("max_messages is 0"));
    assert!(refused(raw_aes(1).max_age(Duration::ZERO)).await.contains("max_age"));

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
    assert!(refused(with_keys(Keys::Decrypt(vec![]))).await.contains("key ARNs is empty"));
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
async fn a_current_thread_runtime_is_refused() {
    assert!(matches!(raw_aes(1).build().await, Err(SetupError::Runtime)));
}
