//! The adapter for aws-esdk: its keyrings and CMMs below a caching CMM, its CMM trait above.

mod convert;
mod trait_above;
mod zeroizing;

use std::fmt;
use std::sync::{Arc, PoisonError};

use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManagerRef;
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::keyring::KeyringRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{DecryptionMaterials, EncryptionMaterials};
use tokio::sync::Semaphore;

use crate::manager::{DecryptionRequest, EncryptionRequest, MaterialsManager};
use crate::sync;

pub use zeroizing::Zeroizing;

/// A keyring or CMM of aws-esdk as a [`MaterialsManager`].
///
/// aws-esdk calls keyrings synchronously, one call at a time behind a mutex. The asynchronous calls
/// of a caching CMM therefore go, one by one, to one of Tokio's blocking threads; they need a Tokio
/// runtime. Clones share that thread.
#[derive(Clone)]
pub struct AwsEsdkManager {
    cmm: CryptographicMaterialsManagerRef,
    only_compares_reproduced_context: bool,
    /// For the one call that the mutex lets through. More would only keep threads waiting.
    permit: Arc<Semaphore>,
}

impl AwsEsdkManager {
    /// Wraps a keyring, under aws-esdk's default CMM. Asynchronous only because aws-esdk's
    /// constructors are.
    ///
    /// # Errors
    /// aws-esdk's, if it cannot make its default CMM over the keyring.
    pub async fn from_keyring(keyring: impl Into<KeyringRef>) -> Result<Self, Error> {
        let config = MaterialProvidersConfig::builder().build();
        let providers = MaterialProviders::from_conf(config.map_err(Error::wrap_validation_err)?)?;
        let default_cmm = providers.create_default_cryptographic_materials_manager();
        let cmm = default_cmm.keyring(keyring).send().await?;
        Ok(Self { only_compares_reproduced_context: true, ..Self::from_cmm(cmm) })
    }

    /// Wraps a CMM.
    ///
    /// Decryption requests that reproduce encryption context are then never cached, because the CMM
    /// may refuse messages for which none is reproduced, as aws-esdk's required encryption context
    /// CMM does.
    pub fn from_cmm(cmm: impl Into<CryptographicMaterialsManagerRef>) -> Self {
        Self {
            cmm: cmm.into(),
            only_compares_reproduced_context: false,
            permit: Arc::new(Semaphore::new(1)),
        }
    }

    /// Calls aws-esdk on a thread that may block.
    async fn off_thread<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let permit = self.permit.clone().acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        let manager = self.clone();
        sync::spawn_blocking(move || {
            // Held by the call, which continues if its caller gives up.
            let _permit = permit;
            call(&manager)
        })
        .await
    }

    /// Calls aws-esdk on this thread.
    fn encryption_materials_here(
        &self,
        request: &EncryptionRequest,
    ) -> Result<Zeroizing<EncryptionMaterials>, Error> {
        let input = convert::encryption_input(request)?;
        let cmm = self.cmm.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let materials = cmm.get_encryption_materials(input)?.encryption_materials;
        materials.map(Zeroizing::from).ok_or_else(no_materials)
    }

    /// Calls aws-esdk on this thread.
    fn decryption_materials_here(
        &self,
        request: &DecryptionRequest,
    ) -> Result<Zeroizing<DecryptionMaterials>, Error> {
        let input = convert::decryption_input(request)?;
        let cmm = self.cmm.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let materials = cmm.decrypt_materials(input)?.decryption_materials;
        materials.map(Zeroizing::from).ok_or_else(no_materials)
    }
}

impl MaterialsManager for AwsEsdkManager {
    type EncryptionMaterials = Zeroizing<EncryptionMaterials>;
    type DecryptionMaterials = Zeroizing<DecryptionMaterials>;
    type Error = Error;

    async fn encryption_materials(
        &self,
        request: &EncryptionRequest,
    ) -> Result<Self::EncryptionMaterials, Error> {
        let request = request.clone();
        self.off_thread(move |manager| manager.encryption_materials_here(&request)).await
    }

    async fn decryption_materials(
        &self,
        request: &DecryptionRequest,
    ) -> Result<Self::DecryptionMaterials, Error> {
        let request = request.clone();
        self.off_thread(move |manager| manager.decryption_materials_here(&request)).await
    }

    fn only_compares_reproduced_context(&self) -> bool {
        self.only_compares_reproduced_context
    }
}

impl fmt::Debug for AwsEsdkManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwsEsdkManager").finish_non_exhaustive()
    }
}

fn no_materials() -> Error {
    failure("the cryptographic materials manager returned no materials")
}

fn failure(message: &str) -> Error {
    Error::AwsCryptographicMaterialProvidersException { message: message.to_owned() }
}
