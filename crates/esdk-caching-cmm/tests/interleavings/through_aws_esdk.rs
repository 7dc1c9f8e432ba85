//! Requests through aws-esdk's trait, beside asynchronous ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use aws_esdk::material_providers::operation::decrypt_materials::{
    DecryptMaterialsInput, DecryptMaterialsOutput,
};
use aws_esdk::material_providers::operation::get_encryption_materials::{
    GetEncryptionMaterialsInput, GetEncryptionMaterialsOutput,
};
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManager;
use aws_esdk::material_providers::types::error::Error;
use aws_esdk::material_providers::types::{
    AlgorithmSuiteId, AlgorithmSuiteInfo, CommitmentPolicy, EncryptionMaterials,
    EsdkAlgorithmSuiteId, EsdkCommitmentPolicy,
};
use aws_smithy_types::Blob;
use shuttle::future::{block_on, spawn};

use crate::adapter::AwsEsdkManager;
use crate::clock::ManualClock;
use crate::cmm::CachingCmm;
use crate::local_cache::LocalCache;
use crate::manager::EncryptionRequest;
use crate::{MAX_AGE, explore};

/// A CMM of aws-esdk that makes materials of a new data key at each call.
#[derive(Clone, Default)]
struct Cmm(Arc<AtomicU64>);

impl CryptographicMaterialsManager for Cmm {
    fn get_encryption_materials(
        &self,
        input: GetEncryptionMaterialsInput,
    ) -> Result<GetEncryptionMaterialsOutput, Error> {
        let call = self.0.fetch_add(1, SeqCst);
        let suite = AlgorithmSuiteId::Esdk(EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey);
        let materials = EncryptionMaterials::builder()
            .algorithm_suite(AlgorithmSuiteInfo::builder().id(suite).build().unwrap())
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

fn input() -> GetEncryptionMaterialsInput {
    let policy = EsdkCommitmentPolicy::RequireEncryptRequireDecrypt;
    GetEncryptionMaterialsInput::builder()
        .commitment_policy(CommitmentPolicy::Esdk(policy))
        .encryption_context(HashMap::new())
        .max_plaintext_length(1)
        .build()
        .unwrap()
}

fn request() -> EncryptionRequest {
    let mut request = EncryptionRequest::new(HashMap::new());
    request.plaintext_length = Some(1);
    request
}

#[test]
fn both_ways_at_once_make_one_call() {
    explore(|| {
        let manager = Cmm::default();
        let clock = Arc::new(ManualClock::default());
        let cmm = CachingCmm::builder(AwsEsdkManager::from_cmm(manager.clone()))
            .cache(Arc::new(LocalCache::with_clock(9, clock.clone())))
            .clock(clock)
            .max_age(MAX_AGE)
            .build()
            .unwrap();
        let asynchronous = spawn({
            let cmm = cmm.clone();
            async move { cmm.encryption_materials(request()).await.unwrap() }
        });
        let synchronous = shuttle::thread::spawn(move || {
            cmm.get_encryption_materials(input()).unwrap().encryption_materials.unwrap()
        });
        let key = block_on(asynchronous).unwrap().plaintext_data_key.clone();
        assert_eq!(synchronous.join().unwrap().plaintext_data_key, key);
        assert_eq!(manager.0.load(SeqCst), 1);
    });
}
