//! An encrypted message.

use std::fmt;

use crate::names::RegionName;

/// An encrypted record.
#[derive(Clone, PartialEq, Eq)]
pub struct Encrypted {
    /// The message.
    pub message: Vec<u8>,
    /// Regions that cannot decrypt the message, because their KMS keys could not be used when its
    /// data key was made. Always empty if records are encrypted
    /// [for all Regions](crate::EncryptFor::All).
    pub missing_regions: Vec<RegionName>,
}

impl fmt::Debug for Encrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encrypted")
            .field("bytes", &self.message.len())
            .field("missing_regions", &self.missing_regions)
            .finish_non_exhaustive()
    }
}
