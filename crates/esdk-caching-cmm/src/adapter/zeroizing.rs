//! Cryptographic materials whose keys are overwritten when the last holder lets go.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use aws_esdk::material_providers::types::{
    AlgorithmSuiteInfo, DecryptionMaterials, EncryptionMaterials,
};
use aws_smithy_types::Blob;
use zeroize::Zeroize;

use super::convert;
use crate::manager::Materials;
use crate::suite::AlgorithmSuiteId;

use sealed::HoldsKeys;

/// Owns aws-esdk's materials, overwrites their keys on drop, and shows none of them in its `Debug`
/// output.
///
/// Copies that aws-esdk makes of the materials for its own use are out of reach.
pub struct Zeroizing<M: HoldsKeys> {
    materials: M,
    prepared: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl<M: HoldsKeys> Zeroizing<M> {
    /// Returns what `prepare` makes of the materials, such as a parsed signing key: made by the first
    /// caller, kept with the materials, and dropped with them.
    ///
    /// There is room for one. A caller that wants another type than the first one gets it made
    /// afresh each time.
    ///
    /// # Errors
    /// The error of `prepare`; nothing is kept then.
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

impl<M: HoldsKeys> From<M> for Zeroizing<M> {
    fn from(materials: M) -> Self {
        Self { materials, prepared: OnceLock::new() }
    }
}

impl<M: HoldsKeys + Send + Sync + 'static> Materials for Zeroizing<M> {
    fn suite(&self) -> Option<AlgorithmSuiteId> {
        self.materials.suite()?.id.as_ref().and_then(convert::suite)
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
        let materials = Zeroizing::from(materials());
        let number = |_: &EncryptionMaterials| Ok::<_, &str>(7_u32);
        assert!(materials.prepared::<u32, _>(|_| Err("failed")).is_err());
        let first = materials.prepared(number).unwrap();
        assert!(Arc::ptr_eq(&first, &materials.prepared(number).unwrap()));
        assert_eq!(*materials.prepared(|_| Ok::<_, &str>("text")).unwrap(), "text");
        assert!(Arc::ptr_eq(&first, &materials.prepared(number).unwrap()));
    }

    #[test]
    fn debug_shows_no_key() {
        let text = format!("{:?}", Zeroizing::from(materials()));
        assert_eq!(text, r#"EncryptionMaterials { algorithm_suite: None, keys: "[redacted]" }"#);
    }
}
