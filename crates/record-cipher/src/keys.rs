//! Which AWS KMS keys a cipher uses, and for what.

use std::fmt;
use std::str::FromStr;

use crate::arn::KmsArn;
use crate::names::RegionName;

/// The keys of a [`RecordCipher`](crate::RecordCipher).
#[derive(Clone)]
#[non_exhaustive]
pub enum Keys {
    /// Encrypts every data key for each of the Regions. The first Region's key generates the data
    /// key, the others' keys wrap it too, so that any one Region's key decrypts the record.
    Encrypt {
        /// The key, by a name that has a meaning in every Region.
        key: KmsKeyId,
        /// At least one Region, none twice.
        regions: Vec<RegionName>,
    },
    /// Decrypts only records that were encrypted under one of these keys. They are tried in order,
    /// so list the key of the nearest Region first. A multi-Region key also decrypts what its
    /// replicas encrypted.
    ///
    /// Messages name their keys by ARN. An alias is therefore resolved to its key once, in
    /// [`build`](crate::RecordCipherBuilder::build), with `kms:DescribeKey`.
    Decrypt(Vec<KmsKeyId>),
    /// Decrypts records that were encrypted under any key of these accounts in the configured
    /// Region, as far as the caller has permission.
    Discover {
        /// The AWS partition, such as `aws`.
        partition: String,
        /// Account ids of twelve digits, at least one.
        accounts: Vec<String>,
    },
    /// Encrypts and decrypts under a key that the caller holds, without AWS KMS: for tests.
    RawAes([u8; 32]),
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Encrypt { key, regions } => {
                f.debug_struct("Encrypt").field("key", key).field("regions", regions).finish()
            }
            Self::Decrypt(keys) => f.debug_tuple("Decrypt").field(keys).finish(),
            Self::Discover { partition, accounts } => f
                .debug_struct("Discover")
                .field("partition", partition)
                .field("accounts", accounts)
                .finish(),
            Self::RawAes(_) => f.write_str("RawAes([redacted])"),
        }
    }
}

/// A KMS key: `alias/NAME`, the ARN of an alias, or the ARN of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsKeyId(pub(crate) Id);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Id {
    AliasName(String),
    /// Of a key or an alias, with its Region.
    Arn(KmsArn, RegionName),
}

impl FromStr for KmsKeyId {
    type Err = InvalidKey;

    fn from_str(id: &str) -> Result<Self, InvalidKey> {
        let id = match id.strip_prefix("alias/") {
            Some(name) => (!name.is_empty()).then(|| Id::AliasName(id.to_owned())),
            None => parse_arn(id).map(|(arn, region)| Id::Arn(arn, region)),
        }
        .ok_or_else(|| InvalidKey::Id(id.to_owned()))?;
        Ok(Self(id))
    }
}

/// The specification takes any text for a Region and an account. Settings must be right.
fn parse_arn(arn: &str) -> Option<(KmsArn, RegionName)> {
    let arn = KmsArn::parse(arn).filter(|arn| is_account_id(&arn.account))?;
    let region = arn.region.parse().ok()?;
    Some((arn, region))
}

impl fmt::Display for KmsKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Id::AliasName(name) => f.write_str(name),
            Id::Arn(arn, _) => arn.fmt(f),
        }
    }
}

impl KmsKeyId {
    /// Returns the key's name in `region`. An alias and a multi-Region key may exist in any Region,
    /// another key only in its own.
    pub(crate) fn in_region(&self, region: &RegionName) -> Result<String, InvalidKey> {
        match &self.0 {
            Id::AliasName(name) => Ok(name.clone()),
            Id::Arn(arn, own) if arn.is_key() && !arn.is_multi_region_key() && own != region => {
                Err(InvalidKey::OtherRegion { key: arn.to_string(), region: region.clone() })
            }
            Id::Arn(arn, _) => Ok(arn.clone().in_region(region.as_str()).to_string()),
        }
    }
}

pub(crate) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Invalid name of a KMS key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// Neither an alias nor an ARN.
    #[error(
        "'{0}' is not a KMS key: give alias/NAME, an alias ARN or a key ARN \
         (arn:aws:kms:REGION:ACCOUNT:key/ID)"
    )]
    Id(String),
    /// A key of one Region, asked for in another.
    #[error(
        "'{key}' does not exist in {region}: give an alias that every Region has, or a \
         multi-Region key (mrk-…)"
    )]
    OtherRegion {
        /// The key's ARN.
        key: String,
        /// The Region it was asked for in.
        region: RegionName,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/1234";
    const MULTI_REGION_KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/mrk-1234";
    const ALIAS: &str = "arn:aws:kms:us-east-1:000000000000:alias/records";

    fn in_ireland(id: &str) -> Result<String, InvalidKey> {
        id.parse::<KmsKeyId>().unwrap().in_region(&"eu-west-1".parse().unwrap())
    }

    #[test]
    fn key_ids_print_as_they_were_given() {
        for id in ["alias/records", ALIAS, KEY, MULTI_REGION_KEY] {
            assert_eq!(id.parse::<KmsKeyId>().unwrap().to_string(), id);
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for id in [
            "",
            "records",
            "alias/",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws:kms:us-east-1:0:key/1234",
            "arn:aws:kms:us-east-1:000000000000:key/",
            "arn:aws:s3:us-east-1:000000000000:key/1234",
        ] {
            assert!(matches!(id.parse::<KmsKeyId>(), Err(InvalidKey::Id(_))), "{id}");
        }
    }

    #[test]
    fn aliases_and_multi_region_keys_move_between_regions() {
        assert_eq!(in_ireland("alias/records").unwrap(), "alias/records");
        assert_eq!(in_ireland(ALIAS).unwrap(), ALIAS.replace("us-east-1", "eu-west-1"));
        let moved = MULTI_REGION_KEY.replace("us-east-1", "eu-west-1");
        assert_eq!(in_ireland(MULTI_REGION_KEY).unwrap(), moved);
        assert!(matches!(in_ireland(KEY), Err(InvalidKey::OtherRegion { .. })));
    }

    #[test]
    fn debug_shows_no_raw_key() {
        assert_eq!(format!("{:?}", Keys::RawAes([0x55; 32])), "RawAes([redacted])");
    }
}
