//! Algorithm suites and commitment policies, as far as caching depends on them.

use std::fmt;

/// An algorithm suite of the AWS Encryption SDK.
///
/// Source: AWS Encryption SDK specification, `framework/algorithm-suites.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum AlgorithmSuiteId {
    /// AES-128-GCM under the data key itself.
    Aes128Gcm = 0x0014,
    /// AES-192-GCM under the data key itself.
    Aes192Gcm = 0x0046,
    /// AES-256-GCM under the data key itself.
    Aes256Gcm = 0x0078,
    /// AES-128-GCM, HKDF-SHA256.
    Aes128GcmHkdfSha256 = 0x0114,
    /// AES-192-GCM, HKDF-SHA256.
    Aes192GcmHkdfSha256 = 0x0146,
    /// AES-256-GCM, HKDF-SHA256.
    Aes256GcmHkdfSha256 = 0x0178,
    /// AES-128-GCM, HKDF-SHA256, signed with ECDSA P-256.
    Aes128GcmHkdfSha256EcdsaP256 = 0x0214,
    /// AES-192-GCM, HKDF-SHA384, signed with ECDSA P-384.
    Aes192GcmHkdfSha384EcdsaP384 = 0x0346,
    /// AES-256-GCM, HKDF-SHA384, signed with ECDSA P-384.
    Aes256GcmHkdfSha384EcdsaP384 = 0x0378,
    /// AES-256-GCM, HKDF-SHA512, key commitment.
    Aes256GcmHkdfSha512CommitKey = 0x0478,
    /// AES-256-GCM, HKDF-SHA512, key commitment, signed with ECDSA P-384.
    Aes256GcmHkdfSha512CommitKeyEcdsaP384 = 0x0578,
}

impl AlgorithmSuiteId {
    /// Every suite.
    pub const ALL: [Self; 11] = [
        Self::Aes128Gcm,
        Self::Aes192Gcm,
        Self::Aes256Gcm,
        Self::Aes128GcmHkdfSha256,
        Self::Aes192GcmHkdfSha256,
        Self::Aes256GcmHkdfSha256,
        Self::Aes128GcmHkdfSha256EcdsaP256,
        Self::Aes192GcmHkdfSha384EcdsaP384,
        Self::Aes256GcmHkdfSha384EcdsaP384,
        Self::Aes256GcmHkdfSha512CommitKey,
        Self::Aes256GcmHkdfSha512CommitKeyEcdsaP384,
    ];

    /// Returns the suite with this id in message headers, or `None` if the id is unknown.
    #[must_use]
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.id() == id)
    }

    /// Returns the suite's id in message headers.
    #[must_use]
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// Returns `true` if messages of this suite commit to their data key.
    #[must_use]
    pub const fn has_key_commitment(self) -> bool {
        matches!(
            self,
            Self::Aes256GcmHkdfSha512CommitKey | Self::Aes256GcmHkdfSha512CommitKeyEcdsaP384
        )
    }

    /// Returns `true` if the suite encrypts with the data key itself instead of a key derived for
    /// each message. Such a data key must not encrypt a second message, so it is never cached.
    #[must_use]
    pub const fn has_identity_kdf(self) -> bool {
        matches!(self, Self::Aes128Gcm | Self::Aes192Gcm | Self::Aes256Gcm)
    }
}

impl fmt::Display for AlgorithmSuiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.id())
    }
}

/// Says which suites a caller accepts, by whether they commit to the data key.
///
/// Source: AWS Encryption SDK specification, `framework/commitment-policy.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum CommitmentPolicy {
    /// Encrypts without key commitment, decrypts with and without.
    ForbidEncryptAllowDecrypt,
    /// Encrypts with key commitment, decrypts with and without.
    RequireEncryptAllowDecrypt,
    /// Encrypts and decrypts with key commitment only. The default of the AWS Encryption SDK.
    #[default]
    RequireEncryptRequireDecrypt,
}

impl CommitmentPolicy {
    /// Returns the suites that may encrypt under this policy.
    #[must_use]
    pub const fn on_encrypt(self) -> KeyCommitment {
        match self {
            Self::ForbidEncryptAllowDecrypt => KeyCommitment::Forbidden,
            Self::RequireEncryptAllowDecrypt | Self::RequireEncryptRequireDecrypt => {
                KeyCommitment::Required
            }
        }
    }

    /// Returns the suites that may decrypt under this policy.
    #[must_use]
    pub const fn on_decrypt(self) -> KeyCommitment {
        match self {
            Self::ForbidEncryptAllowDecrypt | Self::RequireEncryptAllowDecrypt => {
                KeyCommitment::Optional
            }
            Self::RequireEncryptRequireDecrypt => KeyCommitment::Required,
        }
    }
}

/// A commitment policy's demand on the suite, for one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyCommitment {
    /// Only suites with key commitment.
    Required,
    /// Only suites without key commitment.
    Forbidden,
    /// Every suite.
    Optional,
}

impl KeyCommitment {
    /// Returns `true` if `suite` may be used.
    #[must_use]
    pub const fn allows(self, suite: AlgorithmSuiteId) -> bool {
        match self {
            Self::Required => suite.has_key_commitment(),
            Self::Forbidden => !suite.has_key_commitment(),
            Self::Optional => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_specification() {
        let ids = AlgorithmSuiteId::ALL.map(AlgorithmSuiteId::id);
        assert_eq!(
            ids,
            [
                0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378, 0x0478,
                0x0578
            ]
        );
        for suite in AlgorithmSuiteId::ALL {
            assert_eq!(AlgorithmSuiteId::from_id(suite.id()), Some(suite));
            assert_eq!(suite.has_identity_kdf(), suite.id() < 0x0100);
            assert_eq!(suite.has_key_commitment(), suite.id() >= 0x0400);
        }
        assert_eq!(AlgorithmSuiteId::from_id(0x0479), None);
    }
}
