//! Cryptographic materials whose keys are overwritten when the last holder lets go.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use aws_esdk::material_providers::types::{
    AlgorithmSuiteId, AlgorithmSuiteInfo, DecryptionMaterials, DerivationAlgorithm,
    EncryptionMaterials, EsdkAlgorithmSuiteId,
};
use aws_smithy_types::Blob;
use zeroize::Zeroize;

use sealed::HoldsKeys;

/// Materials as a cache holds them: shared, and zeroized when the last holder drops them.
#[derive(Debug, Clone)]
pub enum CachedMaterials {
    /// For encrypting messages under one data key.
    Encryption(Arc<Zeroizing<EncryptionMaterials>>),
    /// For decrypting messages under one data key.
    Decryption(Arc<Zeroizing<DecryptionMaterials>>),
}

impl From<EncryptionMaterials> for CachedMaterials {
    fn from(materials: EncryptionMaterials) -> Self {
        Self::Encryption(Arc::new(Zeroizing(materials)))
    }
}

impl From<DecryptionMaterials> for CachedMaterials {
    fn from(materials: DecryptionMaterials) -> Self {
        Self::Decryption(Arc::new(Zeroizing(materials)))
    }
}

/// Owns materials, overwrites their keys on drop, and shows none of them in its `Debug` output.
///
/// Copies that aws-esdk makes of the materials for its own use are out of reach.
pub struct Zeroizing<M: HoldsKeys>(M);

impl<M: HoldsKeys> Deref for Zeroizing<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0
    }
}

impl<M: HoldsKeys> Drop for Zeroizing<M> {
    fn drop(&mut self) {
        self.0.take_keys().for_each(|key| drop(overwritten(key)));
    }
}

impl<M: HoldsKeys> fmt::Debug for Zeroizing<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(M::NAME)
            .field("algorithm_suite", &self.0.suite().and_then(|suite| suite.id.as_ref()))
            .field("keys", &"[redacted]")
            .finish()
    }
}

mod sealed {
    use super::{AlgorithmSuiteInfo, Blob, DecryptionMaterials, EncryptionMaterials};

    /// Materials with plaintext keys in them: aws-esdk's two kinds.
    pub trait HoldsKeys {
        const NAME: &'static str;
        fn suite(&self) -> Option<&AlgorithmSuiteInfo>;
        /// Removes every secret key from the materials.
        fn take_keys(&mut self) -> impl Iterator<Item = Blob>;
    }

    impl HoldsKeys for EncryptionMaterials {
        const NAME: &'static str = "EncryptionMaterials";

        fn suite(&self) -> Option<&AlgorithmSuiteInfo> {
            self.algorithm_suite.as_ref()
        }

        fn take_keys(&mut self) -> impl Iterator<Item = Blob> {
            let symmetric = self.symmetric_signing_keys.take().unwrap_or_default();
            [self.plaintext_data_key.take(), self.signing_key.take()]
                .into_iter()
                .flatten()
                .chain(symmetric)
        }
    }

    impl HoldsKeys for DecryptionMaterials {
        const NAME: &'static str = "DecryptionMaterials";

        fn suite(&self) -> Option<&AlgorithmSuiteInfo> {
            self.algorithm_suite.as_ref()
        }

        fn take_keys(&mut self) -> impl Iterator<Item = Blob> {
            [self.plaintext_data_key.take(), self.symmetric_signing_key.take()]
                .into_iter()
                .flatten()
        }
    }
}

/// Whether materials are of a suite that derives a key per message. Suites that do not ("identity
/// KDF") encrypt with the data key itself, which must not be used for a second message.
pub(crate) fn derives_message_keys(suite: Option<&AlgorithmSuiteInfo>) -> bool {
    matches!(suite.and_then(|suite| suite.kdf.as_ref()), Some(DerivationAlgorithm::Hkdf(_)))
}

/// Whether a request is for one of the suites that derive no key per message.
pub(crate) fn is_identity_kdf(suite: &AlgorithmSuiteId) -> bool {
    use EsdkAlgorithmSuiteId as Suite;
    matches!(
        suite,
        AlgorithmSuiteId::Esdk(
            Suite::AlgAes128GcmIv12Tag16NoKdf
                | Suite::AlgAes192GcmIv12Tag16NoKdf
                | Suite::AlgAes256GcmIv12Tag16NoKdf
        )
    )
}

/// The key's own buffer, filled with zeros.
fn overwritten(key: Blob) -> Vec<u8> {
    let mut bytes = key.into_inner();
    bytes.as_mut_slice().zeroize();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn materials() -> EncryptionMaterials {
        EncryptionMaterials::builder()
            .plaintext_data_key(Blob::new([0xA5; 32]))
            .signing_key(Blob::new([0x5A; 48]))
            .symmetric_signing_keys(vec![Blob::new([0x11; 16])])
            .build()
            .unwrap()
    }

    #[test]
    fn overwrites_the_buffer_of_the_key_itself() {
        let key = vec![0xA5; 32];
        let address = key.as_ptr();
        let zeros = overwritten(Blob::new(key));
        assert_eq!(zeros, [0; 32]);
        assert_eq!(zeros.as_ptr(), address);
    }

    #[test]
    fn takes_every_key_out_of_the_materials() {
        let mut materials = materials();
        let keys: Vec<_> = HoldsKeys::take_keys(&mut materials).collect();
        assert_eq!(keys.len(), 3);
        assert_eq!(materials, EncryptionMaterials::builder().build().unwrap());
    }

    #[test]
    fn debug_shows_no_key() {
        let text = format!("{:?}", CachedMaterials::from(materials()));
        assert_eq!(
            text,
            r#"Encryption(EncryptionMaterials { algorithm_suite: None, keys: "[redacted]" })"#
        );
    }
}
