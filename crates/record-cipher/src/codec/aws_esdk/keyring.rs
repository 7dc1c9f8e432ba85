//! From [`Keys`] to a keyring of the AWS Encryption SDK.

use ::aws_esdk::material_providers::client::Client as MaterialProviders;
use ::aws_esdk::material_providers::types::keyring::KeyringRef;
use ::aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use ::aws_esdk::material_providers::types::{AesWrappingAlg, DiscoveryFilter};
use aws_smithy_types::Blob;
use esdk_caching_cmm::AwsEsdkManager;

use super::error::refused;
use crate::error::SetupError;
use crate::keyring::{check_accounts, configured_region, key_arns, keys_by_region};
use crate::keys::Keys;
use crate::kms::Clients;
use crate::names::RegionName;
use crate::raw_aes::{NAME, NAMESPACE};

/// Returns the keys' materials manager.
pub(crate) async fn manager(
    keys: &Keys,
    clients: &mut Clients<'_>,
) -> Result<AwsEsdkManager, SetupError> {
    let config = MaterialProvidersConfig::builder().build().map_err(refused)?;
    let providers = MaterialProviders::from_conf(config).map_err(refused)?;
    let keyring = Keyrings { providers, clients }.keyring(keys).await?;
    AwsEsdkManager::from_keyring(keyring).await.map_err(refused)
}

struct Keyrings<'a, 'c> {
    providers: MaterialProviders,
    clients: &'a mut Clients<'c>,
}

impl Keyrings<'_, '_> {
    async fn keyring(&mut self, keys: &Keys) -> Result<KeyringRef, SetupError> {
        match keys {
            Keys::Encrypt { key, regions } => {
                let mut keyrings = Vec::new();
                for (region, key) in keys_by_region(key, regions)? {
                    keyrings.push(self.kms(&key, region).await?);
                }
                let generator = keyrings.remove(0);
                let multi = self.providers.create_multi_keyring().generator(generator);
                multi.child_keyrings(keyrings).send().await.map_err(refused)
            }
            Keys::Decrypt(keys) => {
                let mut keyrings = Vec::new();
                for (arn, region) in key_arns(keys, self.clients).await? {
                    keyrings.push(self.kms(&arn.to_string(), &region).await?);
                }
                let multi = self.providers.create_multi_keyring();
                multi.child_keyrings(keyrings).send().await.map_err(refused)
            }
            Keys::Discover { partition, accounts } => self.discover(partition, accounts).await,
            Keys::RawAes(key) => self.raw_aes(key).await,
        }
    }

    async fn discover(
        &mut self,
        partition: &str,
        accounts: &[String],
    ) -> Result<KeyringRef, SetupError> {
        check_accounts(accounts)?;
        let region = configured_region(self.clients.config(), "key discovery")?;
        let filter = DiscoveryFilter::builder()
            .partition(partition)
            .account_ids(accounts.to_vec())
            .build()
            .map_err(refused)?;
        self.providers
            .create_aws_kms_mrk_discovery_keyring()
            .kms_client(self.clients.sdk_client(&region))
            .region(region.as_str())
            .discovery_filter(filter)
            .send()
            .await
            .map_err(refused)
    }

    /// For a key of one Region this is the SDK's single-Region keyring; a multi-Region key also
    /// decrypts what its replicas encrypted.
    async fn kms(&mut self, key: &str, region: &RegionName) -> Result<KeyringRef, SetupError> {
        self.providers
            .create_aws_kms_mrk_keyring()
            .kms_key_id(key)
            .kms_client(self.clients.sdk_client(region))
            .send()
            .await
            .map_err(refused)
    }

    async fn raw_aes(&self, key: &[u8; 32]) -> Result<KeyringRef, SetupError> {
        self.providers
            .create_raw_aes_keyring()
            .key_namespace(NAMESPACE)
            .key_name(NAME)
            .wrapping_key(Blob::new(*key))
            .wrapping_alg(AesWrappingAlg::AlgAes256GcmIv12Tag16)
            .send()
            .await
            .map_err(refused)
    }
}
