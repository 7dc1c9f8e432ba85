//! Neither logs nor errors nor `Debug` output show a plaintext, a data key or a ciphertext.

use esdk_message::{DecryptionKey, EncryptedDataKey, EncryptionKey, Limits, UnverifiedMessage};
use record_cipher::aggregate::{Aggregate, parse_plaintext};
use record_cipher::{
    CipherError, DecryptSettings, EncryptFor, Keys, Record, RecordCipher, RecordCipherBuilder,
    Suite,
};
use secrets::{Shown, assert_hidden, find};
use serde_json::json;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::scripted::{Answer, Request, ScriptedKms, base64};
use crate::verdicts::VERDICTS;
use crate::{key_arn, stream};

const REGIONS: [&str; 2] = ["eu-west-1", "us-east-1"];
const PLAINTEXT: &[u8] = br#"{"id":"1","secret":"plaintext-marker"}"#;
const MARKER: &[u8] = b"plaintext-marker";
const DATA_KEY: &[u8; 32] = b"data-key-marker-0123456789abcdef";
const BLOB: &[u8] = b"ciphertext-blob-marker";

/// The crates that make a record's message.
const OWN_CRATES: [&str; 4] = ["aws_outcome", "esdk_caching_cmm", "esdk_message", "record_cipher"];

fn capture_logs() -> Shown {
    let logs = Shown::default();
    let layer = fmt::layer().with_ansi(false).with_writer(logs.make_writer());
    let own = Targets::new().with_targets(OWN_CRATES.map(|name| (name, LevelFilter::TRACE)));
    tracing_subscriber::registry().with(layer.with_filter(own)).init();
    logs
}

type Answering = Box<dyn Fn(&Request) -> Answer + Send + Sync>;

/// What KMS may answer to any request: its answer, each error with the request in its message,
/// responses that miss a part, and something that is not JSON.
fn answers() -> Vec<Answering> {
    let mut answers: Vec<Answering> = vec![
        Box::new(good),
        Box::new(|request| (200, json!(format!("{:?} {DATA_KEY:?}", request.body)))),
        Box::new(|request| (400, json!(format!("{:?}", request.body)))),
        // The record is encrypted for the other Region alone.
        Box::new(|request| match request.region.as_str() {
            "us-east-1" => refused(request, "DisabledException"),
            _ => good(request),
        }),
    ];
    for (code, ..) in VERDICTS {
        answers.push(Box::new(move |request| refused(request, code)));
    }
    for (field, value) in
        [("KeyId", "alias/records"), ("Plaintext", "c2hvcnQ="), ("CiphertextBlob", "")]
    {
        answers.push(Box::new(move |request| {
            let (status, mut answer) = good(request);
            answer[field] = value.into();
            (status, answer)
        }));
    }
    answers
}

fn good(request: &Request) -> Answer {
    let key_id = match request.operation.as_str() {
        "Decrypt" => request.key_id().to_owned(),
        _ => key_arn(&request.region, "1"),
    };
    let answer = json!({
        "KeyId": key_id, "Plaintext": base64(DATA_KEY), "CiphertextBlob": base64(BLOB),
    });
    (200, answer)
}

fn refused(request: &Request, code: &str) -> Answer {
    let message = format!("{} {}", request.body, base64(DATA_KEY));
    (400, json!({ "__type": code, "message": message }))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_shows_a_plaintext_a_data_key_or_a_ciphertext() {
    let (logs, shown) = (capture_logs(), Shown::default());
    let mut requests = String::new();
    for answer in answers() {
        let kms = ScriptedKms::answering(answer).await;
        for suite in [Suite::Signed, Suite::Unsigned] {
            encrypt(&kms, suite, &shown).await;
        }
        for (name, message) in messages() {
            decrypt(&kms, name, message, &shown).await;
        }
        requests += &format!("{:?}", kms.requests());
    }
    debug_of_public_types(&shown);

    let text = [logs.text(), shown.text()].concat();
    for expected in [
        "encrypting without a Region's KMS key",
        "DisabledException",
        "wrong length",
        "was encrypted for stream other",
        "the message was refused",
        "UnverifiedMessage",
    ] {
        assert!(text.contains(expected), "{expected} is not among what is searched");
    }
    for secret in [MARKER, DATA_KEY, BLOB] {
        assert_hidden(&text, secret);
    }
    // The search finds what is there.
    for secret in [DATA_KEY.as_slice(), BLOB] {
        assert!(find(&requests, secret).is_some());
    }
}

async fn encrypt(kms: &ScriptedKms, suite: Suite, shown: &Shown) {
    for encrypt_for in [EncryptFor::All, EncryptFor::Available] {
        let regions = REGIONS.map(|region| region.parse().unwrap()).to_vec();
        let keys = Keys::Encrypt { key: "alias/records".parse().unwrap(), regions };
        let builder = RecordCipher::builder(keys, &kms.config()).suite(suite);
        let cipher = build(builder.encrypt_for(encrypt_for), shown).await;
        let encrypted = cipher.encrypt(&stream(), PLAINTEXT.to_vec()).await;
        shown.debug(&(&cipher, cipher.stats()));
        show(shown, encrypted.as_ref());
    }
}

async fn decrypt(kms: &ScriptedKms, name: &str, message: Vec<u8>, shown: &Shown) {
    let arns = REGIONS.map(|region| key_arn(region, "1").parse().unwrap());
    let accounts = vec!["000000000000".to_owned()];
    let discover = Keys::Discover { partition: "aws".to_owned(), accounts };
    for keys in [Keys::Decrypt(arns.to_vec()), discover] {
        let cipher = build(RecordCipher::builder(keys, &kms.config()), shown).await;
        match cipher.decrypt(&stream(), message.clone()).await {
            Ok(plaintext) => assert_eq!((name, plaintext.as_slice()), ("good", PLAINTEXT)),
            error => show(shown, error.as_ref()),
        }
        shown.debug(&(&cipher, cipher.stats()));
    }
}

async fn build(builder: RecordCipherBuilder, shown: &Shown) -> RecordCipher {
    shown.debug(&builder);
    builder.build().await.unwrap()
}

fn show<T: std::fmt::Debug>(shown: &Shown, result: Result<&T, &CipherError>) {
    match result {
        Ok(value) => shown.debug(value),
        Err(error) => shown.error(error),
    }
}

/// A message that can be read, and one for each reason why it cannot.
fn messages() -> Vec<(&'static str, Vec<u8>)> {
    let good = message("records");
    let changed = |at: usize| {
        let mut message = good.clone();
        message[at] ^= 1;
        message
    };
    let end = good.len() - 1;
    vec![
        ("good", good.clone()),
        ("another stream's", message("other")),
        ("of a changed context", changed(48)),
        ("of a changed tag", changed(end)),
        ("of a changed ciphertext", changed(end - 20)),
        ("cut", good[..end].to_vec()),
        ("base64", base64(&good).into_bytes()),
        ("not encrypted", PLAINTEXT.to_vec()),
        ("not encrypted, with a prefix", [b"\x02", PLAINTEXT].concat()),
    ]
}

fn message(stream: &str) -> Vec<u8> {
    let arns = REGIONS.map(|region| key_arn(region, "1"));
    let keys: Vec<_> = arns.iter().map(|arn| encrypted_data_key(arn)).collect();
    let key = EncryptionKey::new(DATA_KEY, None, [("stream", stream)], &keys).unwrap();
    key.encrypt(PLAINTEXT, 4096).unwrap()
}

fn encrypted_data_key(arn: &str) -> EncryptedDataKey<'_> {
    EncryptedDataKey { provider_id: "aws-kms", provider_info: arn.as_bytes(), ciphertext: BLOB }
}

fn debug_of_public_types(shown: &Shown) {
    let record = Record::from_json(PLAINTEXT).unwrap();
    let mut aggregate = Aggregate::new(record.clone(), 1000);
    aggregate.try_push(record.clone()).unwrap();
    shown.debug(&(&record, &aggregate, parse_plaintext(PLAINTEXT)));
    shown.debug(&(parse_plaintext(MARKER), Record::from_json(MARKER)));
    shown.debug(&DecryptSettings::with_keys(vec![key_arn("eu-west-1", "1").parse().unwrap()]));
    shown.debug(&Keys::RawAes(*DATA_KEY));

    let message = message("records");
    let message = UnverifiedMessage::parse(message, Limits::default()).unwrap();
    let arn = key_arn("eu-west-1", "1");
    let (context, wrapped) = ([("stream", "records")], [encrypted_data_key(&arn)]);
    let encryption_key = EncryptionKey::new(DATA_KEY, None, context, &wrapped);
    let decryption_key = DecryptionKey::new(DATA_KEY, None).unwrap();
    let decrypted = message.decrypt(&decryption_key).unwrap();
    shown.debug(&(&message, &wrapped, &encryption_key, &decryption_key));
    shown.debug(&(&decrypted, &decrypted.plaintext));
    let key = esdk_caching_cmm::EncryptedDataKey::new("aws-kms", arn.as_bytes(), BLOB);
    let suite = esdk_caching_cmm::AlgorithmSuiteId::from_id(Suite::Unsigned.id()).unwrap();
    let request = esdk_caching_cmm::DecryptionRequest::new(suite, vec![key], Default::default());
    shown.debug(&request);
}
