//! From [`Keys`] to a keyring of the AWS Encryption SDK.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{Region, SdkConfig};
use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{AesWrappingAlg, DiscoveryFilter};
use aws_smithy_types::Blob;

use crate::error::{ErrorKind, KmsError, SetupError};
use crate::keys::{Id, KeyArn, Keys, KmsKeyId, is_account_id};
use crate::names::RegionName;
use crate::options::EncryptFor;
use crate::regions::{Regional, Regions};
use crate::stats::KmsMeter;

/// How long one attempt to reach KMS may take; the SDK then tries again.
const KMS_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call to KMS may take with all its attempts.
const KMS_TIMEOUT: Duration = Duration::from_secs(10);

/// A keyring, and what has to be known of it.
pub(crate) struct Built {
    pub(crate) keyring: KeyringRef,
    /// Those of a keyring to encrypt with.
    pub(crate) regions: Option<Regions>,
    pub(crate) kms: BTreeMap<RegionName, KmsMeter>,
}

/// The keyring of `keys`.
pub(crate) async fn build(
    keys: &Keys,
    config: &SdkConfig,
    encrypt_for: EncryptFor,
    recheck_after: Duration,
) -> Result<Built, SetupError> {
    let mut keyrings = Keyrings { providers: providers()?, config, kms: BTreeMap::new() };
    let (keyring, regions) = match keys {
        Keys::Encrypt { key, regions } => {
            let regions = keyrings.regions(key, regions).await?;
            let regions = Regions::new(regions, encrypt_for, recheck_after);
            (regions.clone().into(), Some(regions))
        }
        Keys::Decrypt(keys) => (keyrings.decrypt(keys).await?, None),
        Keys::Discover { partition, accounts } => {
            (keyrings.discover(partition, accounts).await?, None)
        }
        Keys::RawAes(key) => (raw_aes(key).await?, None),
    };
    Ok(Built { keyring, regions, kms: keyrings.kms })
}

struct Keyrings<'a> {
    providers: MaterialProviders,
    config: &'a SdkConfig,
    /// Of the clients that were made.
    kms: BTreeMap<RegionName, KmsMeter>,
}

impl Keyrings<'_> {
    async fn regions(
        &mut self,
        key: &KmsKeyId,
        names: &[RegionName],
    ) -> Result<Vec<Regional>, SetupError> {
        let mut seen = HashSet::new();
        let mut regions = Vec::new();
        for name in names {
            if !seen.insert(name) {
                return Err(SetupError::RepeatedRegion(name.to_string()));
            }
            let keyring = self.kms(&key.in_region(name)?, name).await?;
            let probe = self.providers.create_default_cryptographic_materials_manager();
            let probe = probe.keyring(keyring.clone()).send().await.map_err(refused)?;
            regions.push(Regional::new(name.clone(), keyring, probe));
        }
        if regions.is_empty() {
            return Err(SetupError::Empty("the list of Regions"));
        }
        Ok(regions)
    }

    async fn decrypt(&mut self, keys: &[KmsKeyId]) -> Result<KeyringRef, SetupError> {
        let mut keyrings = Vec::new();
        for key in keys {
            let key = self.resolve(key).await?;
            keyrings.push(self.kms(&key.to_string(), key.region()).await?);
        }
        if keyrings.is_empty() {
            return Err(SetupError::Empty("the list of key ARNs"));
        }
        let multi = self.providers.create_multi_keyring();
        multi.child_keyrings(keyrings).send().await.map_err(refused)
    }

    /// Returns the key's ARN. Calls KMS only for an alias.
    async fn resolve(&mut self, key: &KmsKeyId) -> Result<KeyArn, SetupError> {
        let region = match &key.0 {
            Id::KeyArn(arn) => return Ok(arn.clone()),
            Id::AliasArn(arn) => arn.region().clone(),
            Id::AliasName(_) => self.configured_region("an alias name")?,
        };
        let request = self.kms_client(&region).describe_key().key_id(key.to_string());
        let failed = |kind, reason| SetupError::Alias {
            alias: key.to_string(),
            error: KmsError { kind, region: Some(region.clone()), reason },
        };
        let output = request.send().await.map_err(|error| match error.into_service_error() {
            error if error.is_not_found_exception() => {
                failed(ErrorKind::Operator, "the alias does not exist")
            }
            _ => failed(ErrorKind::Retryable, "kms:DescribeKey was not answered"),
        })?;
        let arn = output.key_metadata.and_then(|key| key.arn?.parse().ok());
        arn.ok_or_else(|| failed(ErrorKind::Retryable, "kms:DescribeKey named no key ARN"))
    }

    fn configured_region(&self, what: &'static str) -> Result<RegionName, SetupError> {
        let region = self.config.region().and_then(|region| region.as_ref().parse().ok());
        region.ok_or(SetupError::NoRegion(what))
    }

    async fn discover(
        &mut self,
        partition: &str,
        accounts: &[String],
    ) -> Result<KeyringRef, SetupError> {
        if accounts.is_empty() {
            return Err(SetupError::Empty("the list of accounts"));
        }
        if let Some(account) = accounts.iter().find(|account| !is_account_id(account)) {
            return Err(SetupError::Account(account.clone()));
        }
        let region = self.configured_region("key discovery")?;
        let filter = DiscoveryFilter::builder()
            .partition(partition)
            .account_ids(accounts.to_vec())
            .build()
            .map_err(refused)?;
        let client = self.kms_client(&region);
        self.providers
            .create_aws_kms_mrk_discovery_keyring()
            .kms_client(client)
            .region(region.as_str())
            .discovery_filter(filter)
            .send()
            .await
            .map_err(refused)
    }

    /// For a key of one Region this is AWS's single-Region keyring; a multi-Region key also
    /// decrypts what its replicas encrypted.
    async fn kms(&mut self, key: &str, region: &RegionName) -> Result<KeyringRef, SetupError> {
        let client = self.kms_client(region);
        self.providers
            .create_aws_kms_mrk_keyring()
            .kms_key_id(key)
            .kms_client(client)
            .send()
            .await
            .map_err(refused)
    }

    fn kms_client(&mut self, region: &RegionName) -> aws_sdk_kms::Client {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(KMS_ATTEMPT_TIMEOUT)
            .operation_timeout(KMS_TIMEOUT)
            .build();
        let config = aws_sdk_kms::config::Builder::from(self.config)
            .region(Region::new(region.to_string()))
            .timeout_config(timeouts)
            .interceptor(self.kms.entry(region.clone()).or_default().clone())
            .build();
        aws_sdk_kms::Client::from_conf(config)
    }
}

pub(crate) async fn raw_aes(key: &[u8; 32]) -> Result<KeyringRef, SetupError> {
    providers()?
        .create_raw_aes_keyring()
        .key_namespace("record-cipher")
        .key_name("raw-aes")
        .wrapping_key(Blob::new(*key))
        .wrapping_alg(AesWrappingAlg::AlgAes256GcmIv12Tag16)
        .send()
        .await
        .map_err(refused)
}

fn providers() -> Result<MaterialProviders, SetupError> {
    let config = MaterialProvidersConfig::builder().build().map_err(refused)?;
    MaterialProviders::from_conf(config).map_err(|error: Error| refused(error))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: impl ToString) -> SetupError {
    SetupError::Sdk(error.to_string())
}
