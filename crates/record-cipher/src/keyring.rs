//! From [`Keys`] to a [`Keyring`].

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use esdk_caching_cmm::LocalCache;

use crate::arn::KmsArn;
use crate::error::SetupError;
use crate::keys::{Id, Keys, KmsKeyId, is_account_id};
use crate::kms::{Clients, Discovery, Regional, Regions, StrictKey, StrictKeys};
use crate::materials::Keyring;
use crate::names::RegionName;
use crate::options::EncryptFor;
use crate::raw_aes::RawAes;

/// Checks the keys, and resolves aliases that are to decrypt.
pub(crate) async fn build(
    keys: &Keys,
    (encrypt_for, recheck_after): (EncryptFor, Duration),
    clients: &mut Clients<'_>,
    cache: &Arc<LocalCache>,
) -> Result<Keyring, SetupError> {
    Ok(match keys {
        Keys::Encrypt { key, regions } => {
            let mut regional = |(region, key)| Regional::new(clients.in_region(region), key);
            let regions = keys_by_region(key, regions)?.into_iter().map(&mut regional).collect();
            Keyring::Encrypt(Regions::new(regions, encrypt_for, recheck_after, cache.clone()))
        }
        Keys::Decrypt(keys) => {
            let keys = key_arns(keys, clients).await?.into_iter();
            let strict = |(arn, region)| StrictKey { arn, kms: clients.in_region(&region) };
            Keyring::Strict(StrictKeys(keys.map(strict).collect()))
        }
        Keys::Discover { partition, accounts } => {
            check_accounts(accounts)?;
            let region = configured_region(clients.config(), "key discovery")?;
            Keyring::Discovery(Discovery {
                partition: partition.clone(),
                accounts: accounts.clone(),
                kms: clients.in_region(&region),
            })
        }
        Keys::RawAes(key) => Keyring::RawAes(RawAes::new(key)),
    })
}

/// Returns the Regions, with the key's name in each.
pub(crate) fn keys_by_region<'a>(
    key: &KmsKeyId,
    regions: &'a [RegionName],
) -> Result<Vec<(&'a RegionName, String)>, SetupError> {
    let mut seen = HashSet::new();
    if let Some(region) = regions.iter().find(|region| !seen.insert(*region)) {
        return Err(SetupError::RepeatedRegion(region.to_string()));
    }
    if regions.is_empty() {
        return Err(SetupError::Empty("the list of Regions"));
    }
    regions.iter().map(|region| Ok((region, key.in_region(region)?))).collect()
}

/// Returns the keys' ARNs, each once. Calls KMS for aliases only.
pub(crate) async fn key_arns(
    keys: &[KmsKeyId],
    clients: &mut Clients<'_>,
) -> Result<Vec<(KmsArn, RegionName)>, SetupError> {
    if keys.is_empty() {
        return Err(SetupError::Empty("the list of keys"));
    }
    let mut arns = Vec::new();
    for key in keys {
        let arn = resolve(key, clients).await?;
        if !arns.contains(&arn) {
            arns.push(arn);
        }
    }
    Ok(arns)
}

async fn resolve(
    key: &KmsKeyId,
    clients: &mut Clients<'_>,
) -> Result<(KmsArn, RegionName), SetupError> {
    let region = match &key.0 {
        Id::Arn(arn, region) if arn.is_key() => return Ok((arn.clone(), region.clone())),
        Id::Arn(_, region) => region.clone(),
        Id::AliasName(_) => configured_region(clients.config(), "an alias name")?,
    };
    let alias = key.to_string();
    match clients.in_region(&region).describe_key(&alias).await {
        Ok(arn) => Ok((arn, region)),
        Err(error) => Err(SetupError::Alias(error)),
    }
}

pub(crate) fn check_accounts(accounts: &[String]) -> Result<(), SetupError> {
    if accounts.is_empty() {
        return Err(SetupError::Empty("the list of accounts"));
    }
    match accounts.iter().find(|account| !is_account_id(account)) {
        Some(account) => Err(SetupError::Account(account.clone())),
        None => Ok(()),
    }
}

pub(crate) fn configured_region(
    config: &SdkConfig,
    what: &'static str,
) -> Result<RegionName, SetupError> {
    let region = config.region().and_then(|region| region.as_ref().parse().ok());
    region.ok_or(SetupError::NoRegion(what))
}
