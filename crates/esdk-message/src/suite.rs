//! Algorithm suites.

use std::fmt;
use std::str::FromStr;

/// Identifiers of the suites of message format version 1. None has key commitment.
///
/// Source: AWS Encryption SDK specification, `framework/algorithm-suites.md`.
const WITHOUT_COMMITMENT: [u16; 9] =
    [0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378];

/// An algorithm suite of message format version 2: AES-256-GCM with HKDF-SHA512 and key
/// commitment, with or without a signature.
///
/// Its text form is `signed` or `unsigned`.
///
/// Source: AWS Encryption SDK specification, `framework/algorithm-suites.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Suite {
    /// Signed with ECDSA P-384, so that a party that can only decrypt cannot forge a message. The
    /// default of the AWS Encryption SDK: `ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384`.
    #[default]
    Signed,
    /// Not signed, and many times faster. For parties that trust each other, since everyone who can
    /// decrypt can also forge: `ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY`.
    Unsigned,
}

impl Suite {
    /// Returns the suite's identifier in a message: `0x0478` or `0x0578`.
    #[must_use]
    pub const fn id(self) -> u16 {
        match self {
            Self::Unsigned => 0x0478,
            Self::Signed => 0x0578,
        }
    }

    pub(crate) fn from_id(id: u16) -> Option<Self> {
        [Self::Unsigned, Self::Signed].into_iter().find(|suite| suite.id() == id)
    }
}

/// Returns `id` if it identifies a suite without key commitment.
pub(crate) fn without_commitment(id: u16) -> Option<u16> {
    WITHOUT_COMMITMENT.contains(&id).then_some(id)
}

impl FromStr for Suite {
    type Err = InvalidSuite;

    fn from_str(name: &str) -> Result<Self, InvalidSuite> {
        match name {
            "signed" => Ok(Self::Signed),
            "unsigned" => Ok(Self::Unsigned),
            _ => Err(InvalidSuite),
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signed => "signed",
            Self::Unsigned => "unsigned",
        })
    }
}

/// The error for an unknown suite name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown suite; use 'signed' or 'unsigned'")]
pub struct InvalidSuite;
