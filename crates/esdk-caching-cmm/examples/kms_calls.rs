//! Counts the calls to AWS KMS with and without caching.
//!
//! ```sh
//! cargo run --example kms_calls -- --kms-key alias/NAME --messages 1000
//! ```
//!
//! The key, an alias or an ARN, may come from `KMS_KEY` instead. Credentials, Region and endpoint
//! are found as the AWS CLI finds them. The credentials have to allow `kms:DescribeKey`,
//! `kms:GenerateDataKey` and `kms:Decrypt`.

#![expect(clippy::print_stdout, reason = "its output")]

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManagerRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::{AwsEncryptionSdkConfig, Client};
use aws_sdk_kms::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_kms::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kms::error::BoxError;
use esdk_caching_cmm::{
    AwsEsdkManager, CachingCmm, CryptographicMaterialsCache, LocalCache, NoCache,
};
use tokio::time::Instant;

const USAGE: &str = "usage: kms_calls --kms-key KEY [--messages N]";
const PLAINTEXT: [u8; 1024] = [0; 1024];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::from_arguments()?;
    let config = aws_config::load_from_env().await;
    let key_arn = key_arn(&config, &settings.kms_key).await?;

    let no_cache = Arc::new(NoCache::default());
    let without = measure(&config, &key_arn, no_cache, settings.messages).await?;
    let local_cache = Arc::new(LocalCache::new(100));
    let with = measure(&config, &key_arn, local_cache, settings.messages).await?;
    print_table(settings.messages, &without, &with);
    Ok(())
}

struct Settings {
    kms_key: String,
    messages: usize,
}

impl Settings {
    fn from_arguments() -> Result<Self, Box<dyn Error>> {
        let mut kms_key = env::var("KMS_KEY").ok();
        let mut messages = 1000;
        let mut arguments = env::args().skip(1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or(USAGE)?;
            match name.as_str() {
                "--kms-key" => kms_key = Some(value),
                "--messages" => messages = value.parse().map_err(|_| USAGE)?,
                _ => return Err(USAGE.into()),
            }
        }
        Ok(Self { kms_key: kms_key.ok_or(USAGE)?, messages })
    }
}

/// The keyring decrypts only under the very key that it is given, and messages name it by its ARN.
async fn key_arn(config: &SdkConfig, kms_key: &str) -> Result<String, Box<dyn Error>> {
    let kms = aws_sdk_kms::Client::new(config);
    let described = kms.describe_key().key_id(kms_key).send().await?;
    let arn = described.key_metadata.and_then(|metadata| metadata.arn);
    Ok(arn.ok_or("AWS KMS told no ARN of the key")?)
}

struct Measured {
    calls: Calls,
    time: Duration,
}

/// Encrypts and decrypts messages one after another, with data keys that last for 100 messages if
/// the cache keeps them.
async fn measure(
    config: &SdkConfig,
    key_arn: &str,
    cache: Arc<dyn CryptographicMaterialsCache>,
    messages: usize,
) -> Result<Measured, Box<dyn Error>> {
    let calls = Calls::default();
    let cmm = caching_cmm(config, key_arn, cache, &calls).await?;
    let sdk = Client::from_conf(AwsEncryptionSdkConfig::builder().build()?)?;
    let started = Instant::now();
    for _ in 0..messages {
        round_trip(&sdk, &cmm).await?;
    }
    Ok(Measured { calls, time: started.elapsed() })
}

async fn caching_cmm(
    config: &SdkConfig,
    key_arn: &str,
    cache: Arc<dyn CryptographicMaterialsCache>,
    calls: &Calls,
) -> Result<CryptographicMaterialsManagerRef, Box<dyn Error>> {
    let kms = aws_sdk_kms::config::Builder::from(config).interceptor(calls.clone()).build();
    let providers = MaterialProviders::from_conf(MaterialProvidersConfig::builder().build()?)?;
    let keyring = providers
        .create_aws_kms_keyring()
        .kms_key_id(key_arn)
        .kms_client(aws_sdk_kms::Client::from_conf(kms))
        .send()
        .await?;
    let caching = CachingCmm::builder(AwsEsdkManager::from_keyring(keyring).await?)
        .cache(cache)
        .max_age(Duration::from_secs(300))
        .max_messages(100);
    Ok(caching.build()?.into())
}

async fn round_trip(
    sdk: &Client,
    cmm: &CryptographicMaterialsManagerRef,
) -> Result<(), Box<dyn Error>> {
    let encrypt = sdk.encrypt().materials_manager(cmm.clone()).plaintext(&PLAINTEXT[..]);
    let message = encrypt.send().await?.ciphertext.ok_or("there is no message")?;
    sdk.decrypt().materials_manager(cmm.clone()).ciphertext(message).send().await?;
    Ok(())
}

/// How often each operation was requested, as AWS sees it: every attempt of a call counts.
#[derive(Debug, Default, Clone)]
struct Calls(Arc<Mutex<HashMap<String, usize>>>);

impl Calls {
    fn of(&self, operation: &str) -> usize {
        self.lock().get(operation).copied().unwrap_or_default()
    }

    fn total(&self) -> usize {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // "TrentService.Decrypt", for example.
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        *self.lock().entry(operation.to_owned()).or_default() += 1;
        Ok(())
    }
}

fn print_table(messages: usize, without: &Measured, with: &Measured) {
    let heading = format!("{messages} messages");
    println!("{heading:20} GenerateDataKey   Decrypt   seconds");
    print_row("without caching", without);
    print_row("with caching", with);
    let fewer = ratio(without.calls.total(), with.calls.total());
    let faster = without.time.as_secs_f64() / with.time.as_secs_f64();
    println!("{fewer:.1} times fewer calls, {faster:.1} times as fast");
}

fn print_row(name: &str, Measured { calls, time }: &Measured) {
    let (generated, decrypted) = (calls.of("GenerateDataKey"), calls.of("Decrypt"));
    println!("{name:20} {generated:15} {decrypted:9} {:9.2}", time.as_secs_f64());
}

#[expect(clippy::cast_precision_loss, reason = "for people to read")]
fn ratio(a: usize, b: usize) -> f64 {
    a as f64 / b as f64
}
