//! The two algorithm suites of message format version 2.

/// An algorithm suite: AES-256-GCM with HKDF-SHA512 and key commitment.
///
/// Source: AWS Encryption SDK specification, `framework/algorithm-suites.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    /// `ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY`
    Unsigned,
    /// `ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384`
    Signed,
}

impl Suite {
    /// The suite's identifier in a message: `0x0478` or `0x0578`.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::Unsigned => 0x0478,
            Self::Signed => 0x0578,
        }
    }

    pub(crate) fn of_id(id: u16) -> Option<Self> {
        [Self::Unsigned, Self::Signed].into_iter().find(|suite| suite.id() == id)
    }
}
