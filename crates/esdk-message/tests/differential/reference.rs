//! The AWS Encryption SDK as the reference: its keyring, its materials, its `encrypt` and
//! `decrypt`.

use std::collections::HashMap;

use aws_esdk::material_providers::client::Client as MaterialProviders;
use aws_esdk::material_providers::types::cryptographic_materials_manager::CryptographicMaterialsManagerRef;
use aws_esdk::material_providers::types::material_providers_config::MaterialProvidersConfig;
use aws_esdk::material_providers::types::{
    AesWrappingAlg, AlgorithmSuiteId, CommitmentPolicy, DecryptionMaterials,
    EncryptedDataKey as AwsEsdkKey, EncryptionMaterials, EsdkAlgorithmSuiteId,
    EsdkCommitmentPolicy,
};
use aws_esdk::{AwsEncryptionSdkConfig, Client};
use aws_smithy_types::Blob;
use esdk_message::{
    DecryptionKey, EncryptedDataKey, EncryptionKey, Limits, Suite, UnverifiedMessage,
};

pub(crate) type Context = HashMap<String, String>;

pub(crate) struct Reference {
    client: Client,
    /// The source of materials.
    pub(crate) cmm: CryptographicMaterialsManagerRef,
}

impl Reference {
    /// Creates a client with this many wrapping keys: a message has as many encrypted data keys.
    pub(crate) async fn new(keys: u8) -> Self {
        let config = MaterialProvidersConfig::builder().build().unwrap();
        let providers = MaterialProviders::from_conf(config).unwrap();
        let mut keyrings = Vec::new();
        for number in 0..keys {
            let keyring = providers
                .create_raw_aes_keyring()
                .key_namespace("esdk-message")
                .key_name(format!("key {number}"))
                .wrapping_key(Blob::new([number; 32]))
                .wrapping_alg(AesWrappingAlg::AlgAes256GcmIv12Tag16);
            keyrings.push(keyring.send().await.unwrap());
        }
        let generator = keyrings.remove(0);
        let multi = providers.create_multi_keyring().generator(generator).child_keyrings(keyrings);
        let cmm = providers.create_default_cryptographic_materials_manager();
        let cmm = cmm.keyring(multi.send().await.unwrap()).send().await.unwrap();
        let client = Client::from_conf(AwsEncryptionSdkConfig::builder().build().unwrap()).unwrap();
        Self { client, cmm }
    }

    pub(crate) async fn encrypt(
        &self,
        suite: Suite,
        context: &Context,
        frame_length: u32,
        plaintext: &[u8],
    ) -> Vec<u8> {
        let request =
            self.client.encrypt().materials_manager(self.cmm.clone()).plaintext(plaintext);
        let request =
            request.encryption_context(context.clone()).algorithm_suite_id(suite_id(suite));
        let output = request.frame_length(i64::from(frame_length)).send().await.unwrap();
        output.ciphertext.unwrap().into_inner()
    }

    /// Returns `None` if the SDK refuses the message.
    pub(crate) async fn decrypt(&self, message: &[u8]) -> Option<(Vec<u8>, Context)> {
        self.decrypt_reproducing(message, &Context::new()).await
    }

    /// Like `decrypt`, with pairs of the context that the message does not store.
    pub(crate) async fn decrypt_reproducing(
        &self,
        message: &[u8],
        reproduced: &Context,
    ) -> Option<(Vec<u8>, Context)> {
        let request = self.client.decrypt().materials_manager(self.cmm.clone()).ciphertext(message);
        let output = request.encryption_context(reproduced.clone()).send().await.ok()?;
        Some((output.plaintext?.into_inner(), output.encryption_context?))
    }

    pub(crate) async fn encryption_key(&self, suite: Suite, context: &Context) -> EncryptionKey {
        prepare(&self.materials(suite, context).await)
    }

    pub(crate) async fn materials(&self, suite: Suite, context: &Context) -> EncryptionMaterials {
        let request = self.cmm.get_encryption_materials();
        let output = request
            .algorithm_suite_id(AlgorithmSuiteId::Esdk(suite_id(suite)))
            .commitment_policy(policy())
            .encryption_context(context.clone())
            .send()
            .await;
        output.unwrap().encryption_materials.unwrap()
    }

    /// Returns the SDK's materials for a message's header.
    pub(crate) async fn decryption_materials(
        &self,
        message: &UnverifiedMessage<impl AsRef<[u8]>>,
        reproduced: &Context,
    ) -> Option<DecryptionMaterials> {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let keys = message.encrypted_data_keys().map(|key| {
            AwsEsdkKey::builder()
                .key_provider_id(key.provider_id)
                .key_provider_info(Blob::new(key.provider_info))
                .ciphertext(Blob::new(key.ciphertext))
                .build()
                .unwrap()
        });
        let request = self.cmm.decrypt_materials();
        let output = request
            .algorithm_suite_id(AlgorithmSuiteId::Esdk(suite_id(message.suite())))
            .commitment_policy(policy())
            .encryption_context(message.encryption_context().map(owned).collect::<Context>())
            .reproduced_encryption_context(reproduced.clone())
            .encrypted_data_keys(keys.collect::<Vec<_>>())
            .send()
            .await;
        output.ok()?.decryption_materials
    }

    /// Returns `None` if this crate refuses the message.
    pub(crate) async fn decrypt_natively(&self, message: &[u8]) -> Option<(Vec<u8>, Context)> {
        self.decrypt_natively_reproducing(message, &Context::new()).await
    }

    /// Like `decrypt_natively`, with pairs of the context that the message does not store.
    pub(crate) async fn decrypt_natively_reproducing(
        &self,
        message: &[u8],
        reproduced: &Context,
    ) -> Option<(Vec<u8>, Context)> {
        let message = UnverifiedMessage::parse(message, Limits::default()).ok()?;
        let materials = self.decryption_materials(&message, reproduced).await?;
        let pairs = reproduced.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let decrypted = message.decrypt_with_context(&decryption_key(&materials), pairs).ok()?;
        Some((decrypted.plaintext.to_vec(), decrypted.encryption_context.into_iter().collect()))
    }
}

pub(crate) fn decryption_key(materials: &DecryptionMaterials) -> DecryptionKey {
    let verification_key = materials.verification_key.as_ref().map(AsRef::as_ref);
    let data_key = materials.plaintext_data_key.as_ref().unwrap();
    DecryptionKey::new(data_key.as_ref(), verification_key).unwrap()
}

pub(crate) fn prepare(materials: &EncryptionMaterials) -> EncryptionKey {
    let keys = materials.encrypted_data_keys.as_ref().unwrap();
    let keys: Vec<_> = keys
        .iter()
        .map(|key| EncryptedDataKey {
            provider_id: key.key_provider_id.as_ref().unwrap(),
            provider_info: key.key_provider_info.as_ref().unwrap().as_ref(),
            ciphertext: key.ciphertext.as_ref().unwrap().as_ref(),
        })
        .collect();
    let context = materials.encryption_context.as_ref().unwrap();
    EncryptionKey::new(
        materials.plaintext_data_key.as_ref().unwrap().as_ref(),
        materials.signing_key.as_ref().map(AsRef::as_ref),
        context.iter().map(|(key, value)| (key.as_str(), value.as_str())),
        &keys,
    )
    .unwrap()
}

fn suite_id(suite: Suite) -> EsdkAlgorithmSuiteId {
    match suite {
        Suite::Signed => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKeyEcdsaP384,
        Suite::Unsigned => EsdkAlgorithmSuiteId::AlgAes256GcmHkdfSha512CommitKey,
        suite => panic!("the {suite} suite has no counterpart yet"),
    }
}

fn policy() -> CommitmentPolicy {
    CommitmentPolicy::Esdk(EsdkCommitmentPolicy::RequireEncryptRequireDecrypt)
}
