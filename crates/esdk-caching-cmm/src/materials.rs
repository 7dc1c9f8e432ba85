//! Cryptographic materials whose keys are overwritten when the last holder lets go.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

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

impl CachedMaterials {
    /// Whether the materials' suite derives a key per message. Suites that do not ("identity KDF")
    /// encrypt with the data key itself, which must not be used for a second message.
    pub(crate) fn derive_message_keys(&self) -> bool {
        let suite = match self {
            Self::Encryption(materials) => materials.suite(),
            Self::Decryption(materials) => materials.suite(),
        };
        matches!(suite.and_then(|suite| suite.kdf.as_ref()), Some(DerivationAlgorithm::Hkdf(_)))
    }
}

impl From<EncryptionMaterials> for CachedMaterials {
    fn from(materials: EncryptionMaterials) -> Self {
        Self::Encryption(Arc::new(Zeroizing::new(materials)))
    }
}

impl From<DecryptionMaterials> for CachedMaterials {
    fn from(materials: DecryptionMaterials) -> Self {
        Self::Decryption(Arc::new(Zeroizing::new(materials)))
    }
}

/// Owns materials, overwrites their keys on drop, and shows none of them in its `Debug` output.
///
/// Copies that aws-esdk makes of the materials for its own use are out of reach.
pub struct Zeroizing<M: HoldsKeys> {
    materials: M,
    prepared: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl<M: HoldsKeys> Zeroizing<M> {
    pub(crate) fn new(materials: M) -> Self {
        Self { materials, prepared: OnceLock::new() }
    }

    /// What `prepare` makes of the materials, such as a parsed signing key: made by the first
    /// caller, kept with the materials, and dropped with them.
    ///
    /// There is room for one. A caller that wants another type than the first one gets it made
    /// afresh each time.
    ///
    /// # Errors
    /// What `prepare` returns; nothing is kept then.
    pub fn prepared<T: Send + Sync + 'static, E>(
        &self,
        prepare: impl FnOnce(&M) -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let kept = self.prepared.get().cloned();
        if let Some(kept) = kept.and_then(|kept| kept.downcast().ok()) {
            return Ok(kept);
        }
        let made = Arc::new(prepare(&self.materials)?);
        // Of several first callers, one keeps its own; the others' are as good.
        let _ = self.prepared.set(made.clone());
        Ok(made)
    }
}

impl<M: HoldsKeys> Deref for Zeroizing<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.materials
    }
}

impl<M: HoldsKeys> Drop for Zeroizing<M> {
    fn drop(&mut self) {
        self.materials.take_keys().for_each(|key| drop(overwritten(key)));
    }
}

impl<M: HoldsKeys> fmt::Debug for Zeroizing<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(M::NAME)
            .field("algorithm_suite", &self.materials.suite().and_then(|suite| suite.id.as_ref()))
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
    fn what_is_prepared_is_kept_by_type() {
        let materials = Zeroizing::new(materials());
        let number = |_: &EncryptionMaterials| Ok::<_, &str>(7_u32);
        assert!(materials.prepared::<u32, _>(|_| Err("failed")).is_err());
        let first = materials.prepared(number).unwrap();
        assert!(Arc::ptr_eq(&first, &materials.prepared(number).unwrap()));
        assert_eq!(*materials.prepared(|_| Ok::<_, &str>("text")).unwrap(), "text");
        assert!(Arc::ptr_eq(&first, &materials.prepared(number).unwrap()));
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
