//! One data key, encrypted by the KMS key of every Region, or of every Region whose key can be
//! used.

use std::iter;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use esdk_caching_cmm::{EncryptedDataKey, EncryptionContext, LocalCache};
use futures::future::try_join_all;

use super::{DataKey, KmsClient, KmsError};
use crate::error::{CipherError, ErrorKind};
use crate::names::RegionName;
use crate::options::EncryptFor;

/// Regions that data keys are encrypted for, in order. The first whose key can be used generates
/// the data key.
#[derive(Debug)]
pub(crate) struct Regions(Arc<State>);

#[derive(Debug)]
struct State {
    regions: Vec<Arc<Regional>>,
    encrypt_for: EncryptFor,
    recheck_after: Duration,
    /// Holds the data keys that were made while a Region was down.
    cache: Arc<LocalCache>,
}

/// One Region's KMS key.
#[derive(Debug)]
pub(crate) struct Regional {
    kms: KmsClient,
    key: String,
    is_down: AtomicBool,
}

/// A new data key.
pub(crate) struct NewDataKey {
    pub(crate) plaintext: DataKey,
    pub(crate) encrypted: Vec<EncryptedDataKey>,
    /// Regions that cannot decrypt it, because their keys could not be used.
    pub(crate) missing_regions: Vec<RegionName>,
}

impl Regional {
    pub(crate) fn new(kms: KmsClient, key: String) -> Self {
        Self { kms, key, is_down: AtomicBool::new(false) }
    }

    fn name(&self) -> &RegionName {
        self.kms.region()
    }

    fn is_down(&self) -> bool {
        self.is_down.load(Relaxed)
    }

    async fn generate(
        &self,
        context: &EncryptionContext,
    ) -> Result<(DataKey, Encrypted<'_>), KmsError> {
        let (plaintext, data_key) = self.kms.generate_data_key(&self.key, context).await?;
        Ok((plaintext, Encrypted { region: self.name(), data_key }))
    }

    async fn encrypt(
        &self,
        plaintext: &DataKey,
        context: &EncryptionContext,
    ) -> Result<Encrypted<'_>, KmsError> {
        let data_key = self.kms.encrypt(&self.key, plaintext, context).await?;
        Ok(Encrypted { region: self.name(), data_key })
    }
}

/// A data key that was encrypted in a Region.
struct Encrypted<'a> {
    region: &'a RegionName,
    data_key: EncryptedDataKey,
}

impl Regions {
    /// `recheck_after` is the time until a Region that is down is tried again.
    pub(crate) fn new(
        regions: Vec<Regional>,
        encrypt_for: EncryptFor,
        recheck_after: Duration,
        cache: Arc<LocalCache>,
    ) -> Self {
        let regions = regions.into_iter().map(Arc::new).collect();
        Self(Arc::new(State { regions, encrypt_for, recheck_after, cache }))
    }

    /// Makes a data key.
    ///
    /// Source: AWS Encryption SDK specification, `framework/aws-kms/aws-kms-mrk-keyring.md` and
    /// `framework/multi-keyring.md`.
    pub(crate) async fn new_data_key(
        &self,
        context: &EncryptionContext,
    ) -> Result<NewDataKey, CipherError> {
        let state = &self.0;
        let mut regions = state.usable();
        let (plaintext, first) = state.generate(&mut regions, context).await?;
        let others = regions.map(|region| state.encrypt(region, &plaintext, context));
        let others = try_join_all(others).await?.into_iter().flatten();
        let encrypted: Vec<_> = iter::once(first).chain(others).collect();
        let is_missing = |name: &&RegionName| encrypted.iter().all(|key| key.region != *name);
        let missing_regions =
            state.regions.iter().map(|region| region.name()).filter(is_missing).cloned().collect();
        let encrypted = encrypted.into_iter().map(|key| key.data_key).collect();
        Ok(NewDataKey { plaintext, encrypted, missing_regions })
    }
}

impl State {
    /// Returns the Regions that are not down. If all are, nothing is lost by asking them.
    fn usable(&self) -> impl Iterator<Item = &Arc<Regional>> {
        let all_are_down = self.regions.iter().all(|region| region.is_down());
        self.regions.iter().filter(move |region| all_are_down || !region.is_down())
    }

    /// Makes a data key in the first of the Regions whose key can be used.
    async fn generate<'a>(
        self: &Arc<Self>,
        regions: &mut impl Iterator<Item = &'a Arc<Regional>>,
        context: &EncryptionContext,
    ) -> Result<(DataKey, Encrypted<'a>), CipherError> {
        let mut failures = Vec::new();
        for region in regions {
            match region.generate(context).await {
                Ok(made) => return Ok(made),
                Err(error) => failures.push(self.tolerate(region, context, error)?),
            }
        }
        // While one Region may recover without help, so may the cipher.
        let is_final = |error: &KmsError| error.kind() != ErrorKind::Retryable;
        let failure = failures.into_iter().min_by_key(is_final);
        Err(failure.map_or(CipherError::Internal("no Region is configured"), CipherError::Kms))
    }

    /// Returns `None` if the data key may be used without the Region.
    async fn encrypt<'a>(
        self: &Arc<Self>,
        region: &'a Arc<Regional>,
        plaintext: &DataKey,
        context: &EncryptionContext,
    ) -> Result<Option<Encrypted<'a>>, CipherError> {
        match region.encrypt(plaintext, context).await {
            Ok(encrypted) => Ok(Some(encrypted)),
            Err(error) => {
                self.tolerate(region, context, error)?;
                Ok(None)
            }
        }
    }

    /// Leaves the Region out from now on, if records may be encrypted without it, and returns the
    /// failure. Tries in the background whether the Region's key can be used again.
    fn tolerate(
        self: &Arc<Self>,
        region: &Arc<Regional>,
        context: &EncryptionContext,
        error: KmsError,
    ) -> Result<KmsError, KmsError> {
        if self.encrypt_for == EncryptFor::All {
            return Err(error);
        }
        if !region.is_down.swap(true, Relaxed) {
            tracing::warn!(region = %region.name(), %error, "encrypting without a Region's KMS key");
            let (state, region) = (Arc::downgrade(self), region.clone());
            tokio::spawn(wait_for_recovery(state, region, context.clone()));
        }
        Ok(error)
    }
}

async fn wait_for_recovery(state: Weak<State>, region: Arc<Regional>, context: EncryptionContext) {
    while let Some(recheck_after) = state.upgrade().map(|state| state.recheck_after) {
        tokio::time::sleep(recheck_after).await;
        // Probes the key by generating and discarding a data key.
        if region.generate(&context).await.is_err() {
            continue;
        }
        region.is_down.store(false, Relaxed);
        if let Some(state) = state.upgrade() {
            // After the change above, so that no later request finds a data key from before it.
            state.cache.clear();
        }
        tracing::info!(region = %region.name(), "the Region's KMS key can be used again");
        return;
    }
}
