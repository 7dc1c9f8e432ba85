//! Plaintext data keys.

use std::fmt;

use aws_lc_rs::rand;
use aws_smithy_types::Blob;
use bytes::Bytes;
use zeroize::Zeroizing;

/// Length of a data key in bytes: the key derivation input length of both suites.
pub(crate) const DATA_KEY_LEN: usize = 32;

/// A plaintext data key. Zeroized on drop.
pub(crate) struct DataKey(Zeroizing<[u8; DATA_KEY_LEN]>);

impl DataKey {
    /// Copies a data key, or returns `None` if its length is wrong.
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// Takes a data key out of a response, and overwrites it there.
    pub(crate) fn from_response(plaintext: Blob) -> Option<Self> {
        // The SDK returns the only handle on these bytes, so they are not copied here.
        Self::new(&Zeroizing::new(plaintext.into_inner()))
    }

    /// Generates a data key without KMS. Returns `None` if AWS-LC fails.
    pub(crate) fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; DATA_KEY_LEN]);
        rand::fill(bytes.as_mut_slice()).ok()?;
        Some(Self(bytes))
    }

    /// Returns a copy for a request, which is overwritten when the SDK drops it.
    pub(crate) fn to_request(&self) -> Blob {
        Blob::from_maybe_shared(Bytes::from_owner(Zeroizing::new(self.0.to_vec())))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", DataKey::new(&[7; 32]).unwrap()), "DataKey([redacted])");
    }

    #[test]
    fn data_keys_have_32_bytes() {
        for length in [0, 16, 31, 33, 64] {
            assert!(DataKey::from_response(Blob::new(vec![7; length])).is_none(), "{length}");
        }
        assert_eq!(DataKey::from_response(Blob::new([7; 32])).unwrap().as_bytes(), [7; 32]);
    }
}
