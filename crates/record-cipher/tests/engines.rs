//! Both engines over KMS: each reads what the other wrote, in every mode, and both refuse alike.
#![cfg(feature = "aws-esdk")]
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, Operation, kms_key_arn};
use record_cipher::{Engine, ErrorKind, Keys, RecordCipher, StreamName, Suite};

const HERE: &str = "eu-west-1";
const ELSEWHERE: &str = "us-east-1";
const REGIONS: [&str; 2] = [HERE, ELSEWHERE];
const ALIAS: &str = "alias/records";
const ENGINES: [Engine; 2] = [Engine::Native, Engine::AwsEsdk];
const SUITES: [Suite; 2] = [Suite::Signed, Suite::Unsigned];

fn config(aws: &FakeAws, region: &str) -> SdkConfig {
    let credentials = Credentials::new("id", "secret", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(aws.url())
        .region(Region::new(region.to_owned()))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn stream() -> StreamName {
    "records".parse().unwrap()
}

fn multi_region_key(region: &str) -> String {
    format!("arn:aws:kms:{region}:000000000000:key/mrk-1234")
}

fn strict(arns: &[String]) -> Keys {
    Keys::Decrypt(arns.iter().map(|arn| arn.parse().unwrap()).collect())
}

fn discover(account: &str) -> Keys {
    Keys::Discover { partition: "aws".to_owned(), accounts: vec![account.to_owned()] }
}

async fn encrypt(aws: &FakeAws, engine: Engine, suite: Suite, key: &str, to: &[&str]) -> Vec<u8> {
    let regions = to.iter().map(|region| region.parse().unwrap()).collect();
    let keys = Keys::Encrypt { key: key.parse().unwrap(), regions };
    let builder = RecordCipher::builder(keys, &config(aws, HERE)).engine(engine).suite(suite);
    let cipher = builder.build().await.unwrap();
    cipher.encrypt(&stream(), b"{}".to_vec()).await.unwrap().message
}

/// The outcome, and how many times KMS was asked.
async fn decrypt(
    aws: &FakeAws,
    engine: Engine,
    keys: Keys,
    region: &str,
    message: &[u8],
) -> (Result<Vec<u8>, ErrorKind>, u64) {
    let calls = || REGIONS.map(|region| aws.faults().calls(region, Operation::Decrypt).calls);
    let before: u64 = calls().iter().sum();
    let builder = RecordCipher::builder(keys, &config(aws, region)).engine(engine);
    let cipher = builder.build().await.unwrap();
    let result = cipher.decrypt(&stream(), message.to_vec()).await;
    let after: u64 = calls().iter().sum();
    (result.map_err(|error| error.kind()), after - before)
}

/// Readers, and whether each can read what was written for a key in one Region or in both.
fn readers(arn: impl Fn(&str) -> String, of_both: bool, is_multi_region: bool) -> Vec<Reader> {
    let both = REGIONS.map(&arn).to_vec();
    let reads_elsewhere = of_both || is_multi_region;
    let other_key = strict(&[kms_key_arn(HERE, "alias/other")]);
    vec![
        (strict(&[arn(HERE)]), HERE, true),
        (strict(&[arn(ELSEWHERE)]), ELSEWHERE, reads_elsewhere),
        (strict(&both), HERE, true),
        (strict(&[arn(ELSEWHERE), arn(HERE)]), HERE, true),
        (discover("000000000000"), HERE, true),
        (discover("000000000000"), ELSEWHERE, reads_elsewhere),
        (discover("111111111111"), HERE, false),
        (other_key, HERE, false),
    ]
}

type Reader = (Keys, &'static str, bool);

async fn check(aws: &FakeAws, message: &[u8], readers: Vec<Reader>) {
    for (keys, region, can_read) in readers {
        let expected = if can_read { Ok(b"{}".to_vec()) } else { Err(ErrorKind::Record) };
        let native = decrypt(aws, Engine::Native, keys.clone(), region, message).await;
        let sdk = decrypt(aws, Engine::AwsEsdk, keys.clone(), region, message).await;
        assert_eq!((&native.0, &sdk.0), (&expected, &expected), "{keys:?} in {region}");
        assert_eq!(native.1, sdk.1, "calls of KMS: {keys:?} in {region}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_read_each_others_records_in_every_mode() {
    let aws = FakeAws::start().await.unwrap();
    for (engine, suite) in ENGINES.iter().flat_map(|engine| SUITES.map(|suite| (*engine, suite))) {
        for to in [&REGIONS[..1], &REGIONS[..]] {
            let message = encrypt(&aws, engine, suite, ALIAS, to).await;
            let arn = |region: &str| kms_key_arn(region, ALIAS);
            check(&aws, &message, readers(arn, to.len() == 2, false)).await;

            let message = encrypt(&aws, engine, suite, &multi_region_key(HERE), to).await;
            check(&aws, &message, readers(multi_region_key, to.len() == 2, true)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_refuse_a_changed_message() {
    let aws = FakeAws::start().await.unwrap();
    let message = encrypt(&aws, Engine::Native, Suite::Unsigned, ALIAS, &REGIONS).await;
    let arns = REGIONS.map(|region| kms_key_arn(region, ALIAS));
    for at in (0..message.len()).step_by(17) {
        let mut changed = message.clone();
        changed[at] ^= 1;
        for engine in ENGINES {
            let (result, _) = decrypt(&aws, engine, strict(&arns), HERE, &changed).await;
            assert_eq!(result, Err(ErrorKind::Record), "{engine} at {at}");
        }
    }
}
