//! Materials for messages: a data key, ready to use, and the signing keys of the signed suite.
//!
//! Source: AWS Encryption SDK specification, `framework/default-cmm.md`.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyRfc5915Der, EcPublicKeyCompressedBin};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::prelude::{BASE64_STANDARD, Engine};
use esdk_caching_cmm::{
    AlgorithmSuiteId, DecryptionRequest, EncryptionContext, EncryptionRequest, Materials,
    MaterialsManager,
};
use esdk_message::{DecryptionKey, EncryptedDataKey, EncryptionKey, PUBLIC_KEY_CONTEXT_KEY, Suite};

use crate::error::CipherError;
use crate::kms::{Discovery, NewDataKey, Regions, StrictKeys};
use crate::names::RegionName;
use crate::raw_aes::RawAes;

/// Makes and decrypts data keys.
#[derive(Debug)]
pub(crate) enum Keyring {
    Encrypt(Regions),
    Strict(StrictKeys),
    Discovery(Discovery),
    RawAes(RawAes),
}

/// Materials to encrypt with.
#[derive(Debug)]
pub(crate) struct EncryptionMaterials {
    pub(crate) key: EncryptionKey,
    /// Regions that cannot decrypt the data key.
    pub(crate) missing_regions: Vec<RegionName>,
}

/// Materials to decrypt with.
#[derive(Debug)]
pub(crate) struct DecryptionMaterials(pub(crate) DecryptionKey);

impl Materials for EncryptionMaterials {
    fn suite(&self) -> Option<AlgorithmSuiteId> {
        AlgorithmSuiteId::from_id(self.key.suite().id())
    }
}

impl Materials for DecryptionMaterials {
    fn suite(&self) -> Option<AlgorithmSuiteId> {
        AlgorithmSuiteId::from_id(self.0.suite().id())
    }
}

impl MaterialsManager for Keyring {
    type EncryptionMaterials = EncryptionMaterials;
    type DecryptionMaterials = DecryptionMaterials;
    type Error = CipherError;

    async fn encryption_materials(
        &self,
        request: &EncryptionRequest,
    ) -> Result<EncryptionMaterials, CipherError> {
        let mut context = request.encryption_context.clone();
        let signing_key = match suite(request.suite)? {
            Suite::Signed => Some(new_signing_key(&mut context)?),
            _ => None,
        };
        let signing_key = signing_key.as_ref().map(|der| (**der).as_ref());
        let NewDataKey { plaintext, encrypted, missing_regions } =
            self.new_data_key(&context).await?;
        let pairs = context.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let encrypted: Vec<_> = encrypted.iter().map(borrow).collect();
        let key = EncryptionKey::new(plaintext.as_bytes(), signing_key, pairs, &encrypted)
            .map_err(|_| CipherError::Internal("the data key does not fit the message format"))?;
        Ok(EncryptionMaterials { key, missing_regions })
    }

    async fn decryption_materials(
        &self,
        request: &DecryptionRequest,
    ) -> Result<DecryptionMaterials, CipherError> {
        let verification_key = verification_key(request)?;
        let plaintext = match self {
            Self::Encrypt(_) => return Err(CipherError::NoUsableKey),
            Self::Strict(keys) => keys.decrypt(request).await?,
            Self::Discovery(discovery) => discovery.decrypt(request).await?,
            Self::RawAes(raw_aes) => raw_aes.decrypt(request)?,
        };
        let key = DecryptionKey::new(plaintext.as_bytes(), verification_key.as_deref())?;
        Ok(DecryptionMaterials(key))
    }
}

impl Keyring {
    async fn new_data_key(&self, context: &EncryptionContext) -> Result<NewDataKey, CipherError> {
        match self {
            Self::Encrypt(regions) => regions.new_data_key(context).await,
            Self::RawAes(raw_aes) => {
                let (plaintext, encrypted) = raw_aes.new_data_key(context)?;
                let (encrypted, missing_regions) = (vec![encrypted], Vec::new());
                Ok(NewDataKey { plaintext, encrypted, missing_regions })
            }
            Self::Strict(_) | Self::Discovery(_) => {
                Err(CipherError::Internal("the keys are for decryption only"))
            }
        }
    }
}

fn suite(suite: Option<AlgorithmSuiteId>) -> Result<Suite, CipherError> {
    match suite {
        Some(AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKey) => Ok(Suite::Unsigned),
        Some(AlgorithmSuiteId::Aes256GcmHkdfSha512CommitKeyEcdsaP384) => Ok(Suite::Signed),
        _ => Err(CipherError::Internal("the suite is not supported")),
    }
}

/// Generates a signing key, and puts its public key into the context, where the data key's
/// encryption authenticates it.
fn new_signing_key(
    context: &mut EncryptionContext,
) -> Result<EcPrivateKeyRfc5915Der<'static>, CipherError> {
    let failed = |Unspecified| CipherError::Internal("the cryptographic library failed");
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map_err(failed)?;
    let point: EcPublicKeyCompressedBin<'_> = pair.public_key().as_be_bytes().map_err(failed)?;
    context.insert(PUBLIC_KEY_CONTEXT_KEY.to_owned(), BASE64_STANDARD.encode(point.as_ref()));
    pair.private_key().as_der().map_err(failed)
}

/// The message's parser has checked that exactly the signed suite has this pair.
fn verification_key(request: &DecryptionRequest) -> Result<Option<Vec<u8>>, CipherError> {
    let value = request.encryption_context.get(PUBLIC_KEY_CONTEXT_KEY);
    let point = value.map(|value| BASE64_STANDARD.decode(value)).transpose();
    point.map_err(|_| CipherError::Message(esdk_message::Error::Key("verification key")))
}

fn borrow(key: &esdk_caching_cmm::EncryptedDataKey) -> EncryptedDataKey<'_> {
    EncryptedDataKey {
        provider_id: &key.provider_id,
        provider_info: &key.provider_info,
        ciphertext: &key.ciphertext,
    }
}
