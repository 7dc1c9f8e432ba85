//! One data key, wrapped by the KMS key of every Region, or of every Region that can be reached.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use aws_esdk::material_providers::operation::get_encryption_materials::GetEncryptionMaterialsInput;
use aws_esdk::material_providers::operation::on_decrypt::{OnDecryptInput, OnDecryptOutput};
use aws_esdk::material_providers::operation::on_encrypt::{OnEncryptInput, OnEncryptOutput};
use aws_esdk::material_providers::types::EncryptionMaterials;
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManagerRef;
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::keyring::{Keyring, KeyringRef};
use esdk_caching_cmm::Zeroizing;
use esdk_message::UnverifiedMessage;
use tokio::task::spawn_blocking;

use crate::codec::suite_and_policy;
use crate::context::Context;
use crate::keys::KeyArn;
use crate::kms_failure::kms_failure;
use crate::names::RegionName;
use crate::options::{EncryptFor, Suite};

/// The Regions that data keys are wrapped for, in order: the first that can be used makes the data
/// key.
#[derive(Debug, Clone)]
pub(crate) struct Regions(Arc<State>);

#[derive(Debug)]
struct State {
    regions: Vec<Regional>,
    encrypt_for: EncryptFor,
    recheck_after: Duration,
}

/// One Region's KMS key.
pub(crate) struct Regional {
    name: RegionName,
    keyring: KeyringRef,
    /// A manager over the keyring, to see whether it can make data keys again.
    probe: CryptographicMaterialsManagerRef,
    is_down: AtomicBool,
}

impl Regional {
    pub(crate) fn new(
        name: RegionName,
        keyring: KeyringRef,
        probe: CryptographicMaterialsManagerRef,
    ) -> Self {
        Self { name, keyring, probe, is_down: AtomicBool::new(false) }
    }

    fn wrap(&self, materials: EncryptionMaterials) -> Result<EncryptionMaterials, Error> {
        let input = OnEncryptInput::builder().materials(materials).build();
        let keyring = self.keyring.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let output = keyring.on_encrypt(input.map_err(Error::wrap_validation_err)?);
        output
            .and_then(|output| output.materials.ok_or_else(nothing))
            .map_err(|error| self.name(error))
    }

    /// The error, with the Region in a place where [`kms_failure`] finds it.
    fn name(&self, error: Error) -> Error {
        Error::CollectionOfErrors { list: vec![error], message: self.name.to_string() }
    }

    fn is_down(&self) -> bool {
        self.is_down.load(Relaxed)
    }

    /// Whether the key makes a data key, which nobody will use.
    fn works_again(&self, context: Context) -> bool {
        let (suite, policy) = suite_and_policy(Suite::Unsigned);
        let input = GetEncryptionMaterialsInput::builder()
            .algorithm_suite_id(suite)
            .commitment_policy(policy)
            .encryption_context(context)
            .build();
        let Ok(input) = input else { return false };
        let manager = self.probe.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // As cached materials they are overwritten when they are dropped, which is now.
        let made =
            manager.get_encryption_materials(input).ok().and_then(|o| o.encryption_materials);
        made.map(Zeroizing::from).is_some()
    }
}

impl fmt::Debug for Regional {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Regional");
        shown.field("name", &self.name).field("is_down", &self.is_down()).finish_non_exhaustive()
    }
}

impl Regions {
    /// `recheck_after` is how long a Region that was down is left alone before it is tried again.
    pub(crate) fn new(
        regions: Vec<Regional>,
        encrypt_for: EncryptFor,
        recheck_after: Duration,
    ) -> Self {
        Self(Arc::new(State { regions, encrypt_for, recheck_after }))
    }

    /// Whether a message may be one that some of the Regions cannot read.
    pub(crate) fn may_miss_some(&self) -> bool {
        self.0.encrypt_for == EncryptFor::Available
    }

    /// The Regions that cannot read the message, because their keys were down when its data key was
    /// made.
    pub(crate) fn missing(&self, message: &UnverifiedMessage<impl AsRef<[u8]>>) -> Vec<RegionName> {
        let can_read = |region: &&Regional| {
            message.encrypted_data_keys().any(|key| is_in(key.provider_info, &region.name))
        };
        let missing = self.0.regions.iter().filter(|region| !can_read(region));
        missing.map(|region| region.name.clone()).collect()
    }

    /// Whether one of these is in use again.
    pub(crate) fn any_is_back(&self, missing: &[RegionName]) -> bool {
        self.0.regions.iter().any(|region| !region.is_down() && missing.contains(&region.name))
    }
}

/// Whether the provider information of an encrypted data key is the ARN of a key in the Region.
fn is_in(provider_info: &[u8], region: &RegionName) -> bool {
    let arn = std::str::from_utf8(provider_info).ok().and_then(|arn| arn.parse::<KeyArn>().ok());
    arn.is_some_and(|arn| arn.region() == region)
}

impl Keyring for Regions {
    fn on_encrypt(&self, input: OnEncryptInput) -> Result<OnEncryptOutput, Error> {
        let materials = self.0.wrap(input.materials.ok_or_else(nothing)?)?;
        OnEncryptOutput::builder().materials(materials).build().map_err(Error::wrap_validation_err)
    }

    fn on_decrypt(&self, _: OnDecryptInput) -> Result<OnDecryptOutput, Error> {
        let message = "these keys are for encryption only".to_owned();
        Err(Error::AwsCryptographicMaterialProvidersException { message })
    }
}

impl State {
    fn wrap(
        self: &Arc<Self>,
        mut materials: EncryptionMaterials,
    ) -> Result<EncryptionMaterials, Error> {
        let context = callers_context(&materials);
        // If all are down, then there is nothing to lose by asking them.
        let all_are_down = self.regions.iter().all(Regional::is_down);
        let mut failures = Vec::new();
        for (at, region) in self.regions.iter().enumerate() {
            if region.is_down() && !all_are_down {
                continue;
            }
            match region.wrap(materials.clone()) {
                Ok(wrapped) => materials = wrapped,
                Err(error) if self.tolerates(&error) => {
                    self.went_down(at, &context);
                    failures.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        match materials.plaintext_data_key {
            Some(_) => Ok(materials),
            None => Err(failures.pop().unwrap_or_else(nothing)),
        }
    }

    fn tolerates(&self, error: &Error) -> bool {
        self.encrypt_for == EncryptFor::Available && kms_failure(error).is_some()
    }

    /// Leaves the Region out from now on, and tries in the background whether it works again.
    fn went_down(self: &Arc<Self>, at: usize, context: &Context) {
        let region = &self.regions[at];
        if region.is_down.swap(true, Relaxed) {
            return;
        }
        tracing::warn!(region = %region.name, "KMS key cannot be used; encrypting without it");
        let recovery = wait_for_recovery(Arc::downgrade(self), at, context.clone());
        tokio::spawn(recovery);
    }
}

/// The pairs that a request may name; those of the AWS Encryption SDK's own prefix it adds itself.
fn callers_context(materials: &EncryptionMaterials) -> Context {
    let mut context = materials.encryption_context.clone().unwrap_or_default();
    context.retain(|key, _| !key.starts_with("aws-crypto-"));
    context
}

async fn wait_for_recovery(state: Weak<State>, at: usize, context: Context) {
    while let Some(recheck_after) = state.upgrade().map(|state| state.recheck_after) {
        tokio::time::sleep(recheck_after).await;
        let (state, context) = (state.clone(), context.clone());
        let is_over = spawn_blocking(move || match state.upgrade() {
            Some(state) => recover(&state.regions[at], context),
            None => true,
        });
        if is_over.await.unwrap_or(true) {
            return;
        }
    }
}

fn recover(region: &Regional, context: Context) -> bool {
    let works = region.works_again(context);
    if works {
        region.is_down.store(false, Relaxed);
        tracing::info!(region = %region.name, "KMS key can be used again");
    }
    works
}

fn nothing() -> Error {
    let message = "a keyring was given no materials, or returned none".to_owned();
    Error::AwsCryptographicMaterialProvidersException { message }
}
