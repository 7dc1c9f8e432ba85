//! Data keys for several Regions, while the KMS of some cannot be used.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use fake_aws::{FakeAws, Fault, Operation, Rule, RuleId, Service, kms_key_arn};
use record_cipher::{
    CipherError, DecryptSettings, EncryptFor, Encrypted, ErrorKind, Keys, RecordCipher,
    RecordCipherBuilder, StreamName,
};

const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-northeast-1"];
const ALIAS: &str = "alias/records";
const RECHECK_AFTER: Duration = Duration::from_millis(20);

fn config(aws: &FakeAws) -> SdkConfig {
    let credentials = Credentials::new("id", "secret", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(aws.url())
        .retry_config(RetryConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

fn encrypting(aws: &FakeAws) -> RecordCipherBuilder {
    let regions = REGIONS.iter().map(|region| region.parse().unwrap()).collect();
    let keys = Keys::Encrypt { key: ALIAS.parse().unwrap(), regions };
    RecordCipher::builder(keys, &config(aws)).recheck_after(RECHECK_AFTER)
}

fn stream() -> StreamName {
    "records".parse().unwrap()
}

fn outage(aws: &FakeAws, region: &str) -> RuleId {
    let rule = Rule::new(Fault::Unavailable).service(Service::Kms).region(region);
    aws.faults().inject(rule)
}

async fn encrypt(cipher: &RecordCipher) -> Result<Encrypted, CipherError> {
    cipher.encrypt(&stream(), b"{}".to_vec()).await
}

/// Whether a consumer in the Region, with the key of that Region alone, can read the message.
async fn can_read(aws: &FakeAws, region: &str, message: &[u8]) -> bool {
    let key = kms_key_arn(region, ALIAS).parse().unwrap();
    let cipher = RecordCipher::builder(Keys::Decrypt(vec![key]), &config(aws)).build().await;
    cipher.unwrap().decrypt(&stream(), message.to_vec()).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_region_reads_a_record() {
    let aws = FakeAws::start().await.unwrap();
    for encrypt_for in [EncryptFor::All, EncryptFor::Available] {
        let cipher = encrypting(&aws).encrypt_for(encrypt_for).build().await.unwrap();
        let Encrypted { message, missing_regions } = encrypt(&cipher).await.unwrap();
        assert_eq!(missing_regions, []);
        for region in REGIONS {
            assert!(can_read(&aws, region, &message).await, "{region}");
        }
    }
    let generated = |region| aws.faults().calls(region, Operation::GenerateDataKey).calls;
    assert_eq!(REGIONS.map(generated), [2, 0, 0], "the first Region makes the data keys");
}

#[tokio::test(flavor = "multi_thread")]
async fn for_all_regions_the_loss_of_one_fails_the_record_by_name() {
    let aws = FakeAws::start().await.unwrap();
    for region in REGIONS {
        let outage = outage(&aws, region);
        let error = encrypt(&encrypting(&aws).build().await.unwrap()).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("AWS KMS in {region}: ")), "{error}");
        aws.faults().lift(outage);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn for_available_regions_the_loss_of_any_one_stops_no_other() {
    let aws = FakeAws::start().await.unwrap();
    for lost in REGIONS {
        let outage = outage(&aws, lost);
        let builder = encrypting(&aws).encrypt_for(EncryptFor::Available);
        let cipher = builder.build().await.unwrap();
        let Encrypted { message, missing_regions } = encrypt(&cipher).await.unwrap();
        assert_eq!(missing_regions, [lost.parse().unwrap()]);
        aws.faults().lift(outage);
        for region in REGIONS {
            assert_eq!(can_read(&aws, region, &message).await, region != lost, "{region}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_is_back_reads_the_records_from_then_on() {
    let aws = FakeAws::start().await.unwrap();
    let builder = encrypting(&aws).encrypt_for(EncryptFor::Available);
    let cipher = builder.build().await.unwrap();
    let outage = outage(&aws, REGIONS[0]);
    assert_eq!(encrypt(&cipher).await.unwrap().missing_regions.len(), 1);
    assert_eq!(encrypt(&cipher).await.unwrap().missing_regions.len(), 1);
    assert_eq!(cipher.stats().data_keys.hits, 1, "data keys are cached during an outage too");

    aws.faults().lift(outage);
    let recovered = async {
        loop {
            let encrypted = encrypt(&cipher).await.unwrap();
            if encrypted.missing_regions.is_empty() {
                break encrypted;
            }
        }
    };
    let encrypted = tokio::time::timeout(Duration::from_secs(10), recovered).await.unwrap();
    assert!(can_read(&aws, REGIONS[0], &encrypted.message).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_costs_one_failing_call_and_then_rechecks_in_the_background() {
    let aws = FakeAws::start().await.unwrap();
    let builder = encrypting(&aws).encrypt_for(EncryptFor::Available).max_messages(1);
    let cipher = builder.recheck_after(Duration::from_secs(3600)).build().await.unwrap();
    outage(&aws, REGIONS[1]);
    for _ in 0..20 {
        encrypt(&cipher).await.unwrap();
    }
    assert_eq!(aws.faults().calls(REGIONS[1], Operation::Encrypt).calls, 1);
    assert_eq!(aws.faults().calls(REGIONS[0], Operation::GenerateDataKey).calls, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_region_nothing_is_encrypted_until_one_is_back() {
    let aws = FakeAws::start().await.unwrap();
    let builder = encrypting(&aws).encrypt_for(EncryptFor::Available);
    let cipher = builder.recheck_after(Duration::from_secs(3600)).build().await.unwrap();
    let outages = REGIONS.map(|region| outage(&aws, region));
    for _ in 0..2 {
        let error = encrypt(&cipher).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    }
    aws.faults().lift(outages[2]);
    let encrypted = encrypt(&cipher).await.unwrap();
    assert!(can_read(&aws, REGIONS[2], &encrypted.message).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_try_of_a_call_is_counted_in_its_region() {
    let aws = FakeAws::start().await.unwrap();
    let rule = || Rule::new(Fault::Throttle).operation(Operation::Encrypt).region(REGIONS[1]);
    aws.faults().inject(rule().times(1));
    let retries = config(&aws).into_builder().retry_config(RetryConfig::standard()).build();
    let keys = Keys::Encrypt {
        key: ALIAS.parse().unwrap(),
        regions: REGIONS.iter().map(|region| region.parse().unwrap()).collect(),
    };
    let cipher = RecordCipher::builder(keys, &retries).build().await.unwrap();
    assert_eq!(cipher.stats().kms.len(), 3, "all Regions are named before the first call");
    for _ in 0..3 {
        encrypt(&cipher).await.unwrap();
    }
    let stats = cipher.clone().stats();
    for (region, calls, errors) in [(REGIONS[0], 1, 0), (REGIONS[1], 2, 1), (REGIONS[2], 1, 0)] {
        let kms = &stats.kms[&region.parse().unwrap()];
        assert_eq!((kms.calls, kms.errors), (calls, errors), "{region}");
        assert_eq!(kms.latencies.values().sum::<u64>(), calls, "{region}");
    }
    assert_eq!((stats.data_keys.hits, stats.data_keys.calls, stats.cache.puts), (2, 1, 1));

    let reader = Keys::Decrypt(vec![kms_key_arn(REGIONS[2], ALIAS).parse().unwrap()]);
    let reader = RecordCipher::builder(reader, &config(&aws)).build().await.unwrap();
    let message = encrypt(&cipher).await.unwrap().message;
    reader.decrypt(&stream(), message).await.unwrap();
    assert_eq!(reader.stats().kms[&REGIONS[2].parse().unwrap()].calls, 1);
}

/// A connection on which no answer arrives.
#[derive(Debug)]
struct Silent;

impl HttpConnector for Silent {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_that_is_cut_off_is_counted_with_its_time() {
    let aws = FakeAws::start().await.unwrap();
    let silent = http_client_fn(|_, _| SharedHttpConnector::new(Silent));
    // A call ends after ten seconds, so its second attempt is cut off a little earlier.
    for (retries, attempts) in [(RetryConfig::disabled(), 1), (RetryConfig::standard(), 2)] {
        let config = config(&aws).into_builder().http_client(silent.clone());
        let config = config.retry_config(retries).build();
        let key = ALIAS.parse().unwrap();
        let keys = Keys::Encrypt { key, regions: vec![REGIONS[0].parse().unwrap()] };
        let cipher = RecordCipher::builder(keys, &config).build().await.unwrap();
        let error = encrypt(&cipher).await.unwrap_err();
        assert!(error.to_string().contains("timed out"), "{error}");
        let kms = &cipher.stats().kms[&REGIONS[0].parse().unwrap()];
        assert_eq!((kms.calls, kms.errors), (attempts, attempts));
        assert_eq!(kms.latencies.values().sum::<u64>(), attempts);
        assert_eq!(kms.latencies.keys().next_back(), Some(&Duration::from_secs(5)));
        let shortest = *kms.latencies.keys().next().unwrap();
        assert!(shortest >= Duration::from_secs(4), "{shortest:?}");
    }
}

#[tokio::test]
async fn readers_resolve_an_alias_once_and_a_key_arn_never() {
    let aws = FakeAws::start().await.unwrap();
    let message = encrypt(&encrypting(&aws).build().await.unwrap()).await.unwrap().message;
    let region = REGIONS[1];
    let mut config = config(&aws).into_builder();
    config.set_region(aws_config::Region::new(region));
    let config = config.build();
    let alias_arn = format!("arn:aws:kms:{region}:000000000000:{ALIAS}");
    for (key, lookups) in [(ALIAS.to_owned(), 1), (alias_arn, 2), (kms_key_arn(region, ALIAS), 2)] {
        let settings = DecryptSettings::with_keys(vec![key.parse().unwrap()]);
        let cipher = settings.build(&config).await.unwrap();
        for _ in 0..2 {
            assert_eq!(cipher.decrypt(&stream(), message.clone()).await.unwrap(), b"{}");
        }
        assert_eq!(aws.faults().calls(region, Operation::DescribeKey).calls, lookups, "{key}");
    }
}

#[tokio::test]
async fn a_multi_region_key_encrypts_in_every_region_and_any_replica_decrypts() {
    let aws = FakeAws::start().await.unwrap();
    let key = |region: &str| format!("arn:aws:kms:{region}:000000000000:key/mrk-1234");
    let keys = Keys::Encrypt {
        key: key(REGIONS[0]).parse().unwrap(),
        regions: vec![REGIONS[1].parse().unwrap()],
    };
    let cipher = RecordCipher::builder(keys, &config(&aws)).build().await.unwrap();
    let message = encrypt(&cipher).await.unwrap().message;
    for region in REGIONS {
        let keys = Keys::Decrypt(vec![key(region).parse().unwrap()]);
        let cipher = RecordCipher::builder(keys, &config(&aws)).build().await.unwrap();
        assert_eq!(cipher.decrypt(&stream(), message.clone()).await.unwrap(), b"{}", "{region}");
    }
}
