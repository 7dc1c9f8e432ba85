//! A manager that makes materials of a new data key at each call, or fails, or panics.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use aws_esdk::material_providers::operation::decrypt_materials::{
    DecryptMaterialsInput, DecryptMaterialsOutput,
};
use aws_esdk::material_providers::operation::get_encryption_materials::{
    GetEncryptionMaterialsInput, GetEncryptionMaterialsOutput,
};
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManager;
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::{
    AlgorithmSuiteInfo, DerivationAlgorithm, EncryptionMaterials, Hkdf,
};
use aws_smithy_types::Blob;

use crate::cmm::CachingCmm;

#[derive(Clone, Default)]
pub(crate) struct Manager(Arc<State>);

#[derive(Default)]
struct State {
    calls: AtomicU64,
    fail: AtomicBool,
    panic: AtomicBool,
}

impl Manager {
    pub(crate) fn calls(&self) -> u64 {
        self.0.calls.load(SeqCst)
    }

    pub(crate) fn fail_once(&self) {
        self.0.fail.store(true, SeqCst);
    }

    pub(crate) fn panic_once(&self) {
        self.0.panic.store(true, SeqCst);
    }
}

impl CryptographicMaterialsManager for Manager {
    fn get_encryption_materials(
        &self,
        input: GetEncryptionMaterialsInput,
    ) -> Result<GetEncryptionMaterialsOutput, Error> {
        let call = self.0.calls.fetch_add(1, SeqCst);
        assert!(!self.0.panic.swap(false, SeqCst), "a panic of the manager");
        if self.0.fail.swap(false, SeqCst) {
            let message = "down".to_owned();
            return Err(Error::AwsCryptographicMaterialProvidersException { message });
        }
        let materials = EncryptionMaterials::builder()
            .algorithm_suite(suite())
            .encryption_context(input.encryption_context.unwrap())
            .plaintext_data_key(Blob::new(call.to_be_bytes()))
            .build();
        let output = GetEncryptionMaterialsOutput::builder();
        Ok(output.encryption_materials(materials.unwrap()).build().unwrap())
    }

    fn decrypt_materials(&self, _: DecryptMaterialsInput) -> Result<DecryptMaterialsOutput, Error> {
        unreachable!("these tests only encrypt")
    }
}

pub(crate) fn encryption_input() -> GetEncryptionMaterialsInput {
    GetEncryptionMaterialsInput::builder()
        .encryption_context(HashMap::new())
        .max_plaintext_length(1)
        .build()
        .unwrap()
}

/// The data key of a request through aws-esdk's trait.
pub(crate) fn blocking_key(cmm: &CachingCmm) -> Vec<u8> {
    let output = cmm.get_encryption_materials(encryption_input()).unwrap();
    output.encryption_materials.unwrap().plaintext_data_key.unwrap().into_inner()
}

/// As much of a suite as caching looks at: it derives a key per message.
fn suite() -> AlgorithmSuiteInfo {
    let kdf = DerivationAlgorithm::Hkdf(Hkdf::builder().build().unwrap());
    AlgorithmSuiteInfo::builder().kdf(kdf).build().unwrap()
}
