//! ARNs of KMS keys and aliases.
//!
//! Source: AWS Encryption SDK specification, `framework/aws-kms/aws-kms-key-arn.md` and
//! `aws-kms-mrk-match-for-decrypt.md`.

use std::fmt;

/// The ARN of a KMS key or alias: `arn:PARTITION:kms:REGION:ACCOUNT:key/ID` or `…:alias/NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KmsArn {
    pub(crate) partition: String,
    pub(crate) region: String,
    pub(crate) account: String,
    resource_type: ResourceType,
    resource_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResourceType {
    Key,
    Alias,
}

impl KmsArn {
    /// Returns `None` if the text is not a valid AWS KMS ARN.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let &["arn", partition, "kms", region, account, resource] = parts.as_slice() else {
            return None;
        };
        let (resource_type, resource_id) = resource.split_once('/')?;
        let resource_type = match resource_type {
            "key" => ResourceType::Key,
            "alias" => ResourceType::Alias,
            _ => return None,
        };
        let has_all = [partition, region, account, resource_id].iter().all(|part| !part.is_empty());
        has_all.then(|| Self {
            partition: partition.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource_type,
            resource_id: resource_id.to_owned(),
        })
    }

    pub(crate) fn is_key(&self) -> bool {
        self.resource_type == ResourceType::Key
    }

    /// An alias may be called `mrk-…`, but is not a multi-Region key.
    pub(crate) fn is_multi_region_key(&self) -> bool {
        self.is_key() && self.resource_id.starts_with("mrk-")
    }

    /// Returns `true` if the key of this ARN decrypts data keys of `other`: they are equal, or
    /// replicas of one multi-Region key.
    pub(crate) fn matches_for_decrypt(&self, other: &Self) -> bool {
        self == other
            || self.is_multi_region_key() && *self == other.clone().in_region(&self.region)
    }

    /// Returns the ARN with another Region.
    pub(crate) fn in_region(mut self, region: &str) -> Self {
        region.clone_into(&mut self.region);
        self
    }
}

impl fmt::Display for KmsArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, region, account, resource_type, resource_id } = self;
        let resource_type = match resource_type {
            ResourceType::Key => "key",
            ResourceType::Alias => "alias",
        };
        write!(f, "arn:{partition}:kms:{region}:{account}:{resource_type}/{resource_id}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "arn:aws:kms:us-east-1:222222222222:key/1234abcd";
    const MULTI_REGION_KEY: &str = "arn:aws:kms:us-east-1:222222222222:key/mrk-4321abcd";
    const ALIAS: &str = "arn:aws:kms:us-east-1:222222222222:alias/mrk-records/a";

    fn arn(text: &str) -> KmsArn {
        KmsArn::parse(text).unwrap()
    }

    #[test]
    fn valid_arns_print_as_they_were_given() {
        for text in [KEY, MULTI_REGION_KEY, ALIAS, "arn:x:kms:somewhere:me:key/a:b/c"] {
            assert_eq!(arn(text).to_string(), text);
        }
    }

    #[test]
    fn invalid_arns_are_refused() {
        for text in [
            "",
            "alias/records",
            "1234abcd",
            "arn:aws:kms:us-east-1:222222222222",
            "ARN:aws:kms:us-east-1:222222222222:key/1",
            "arn::kms:us-east-1:222222222222:key/1",
            "arn:aws:s3:us-east-1:222222222222:key/1",
            "arn:aws:kms::222222222222:key/1",
            "arn:aws:kms:us-east-1::key/1",
            "arn:aws:kms:us-east-1:222222222222:",
            "arn:aws:kms:us-east-1:222222222222:key",
            "arn:aws:kms:us-east-1:222222222222:key/",
            "arn:aws:kms:us-east-1:222222222222:key:1",
            "arn:aws:kms:us-east-1:222222222222:user/1",
        ] {
            assert_eq!(KmsArn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_keys_are_multi_region_keys() {
        assert!(arn(MULTI_REGION_KEY).is_multi_region_key());
        assert!(!arn(KEY).is_multi_region_key() && arn(KEY).is_key());
        assert!(!arn(ALIAS).is_multi_region_key() && !arn(ALIAS).is_key());
    }

    #[test]
    fn replicas_of_a_multi_region_key_match_and_other_keys_do_not() {
        let matches = |one: &str, other: &str| arn(one).matches_for_decrypt(&arn(other));
        let elsewhere = |text: &str| text.replace("us-east-1", "eu-west-1");
        for text in [KEY, MULTI_REGION_KEY, ALIAS] {
            assert!(matches(text, text));
        }
        assert!(matches(MULTI_REGION_KEY, &elsewhere(MULTI_REGION_KEY)));
        assert!(!matches(KEY, &elsewhere(KEY)));
        assert!(!matches(ALIAS, &elsewhere(ALIAS)));
        for (part, other) in [("aws:", "aws-cn:"), ("2222:", "1111:"), ("4321", "1234")] {
            let other = elsewhere(&MULTI_REGION_KEY.replace(part, other));
            assert!(!matches(MULTI_REGION_KEY, &other), "{other}");
        }
    }
}
