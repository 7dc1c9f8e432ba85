//! The function's settings, from environment variables.

use std::str::FromStr;
use std::time::Duration;

use aws_config::SdkConfig;
use clap::{Args, value_parser};
use record_cipher::{DecryptSettings, Engine, KmsKeyId, RecordCipher, SetupError};

use crate::s3::BucketName;
use crate::table::{KeyAttribute, KeyType};

/// The settings of the consumer.
#[derive(Debug, Clone, Args)]
pub struct ConsumerSettings {
    /// Table to write to
    #[arg(long, env)]
    pub table_name: String,

    /// KMS keys to decrypt with, key ARNs or aliases, separated by commas; this Region's first
    #[arg(
        long,
        env,
        value_delimiter = ',',
        required_unless_present = "key_discovery_accounts",
        conflicts_with = "key_discovery_accounts"
    )]
    pub cmk_arn: Vec<KmsKeyId>,

    /// Instead of CMK_ARN: accounts whose keys in this Region decrypt, separated by commas
    #[arg(long, env, value_delimiter = ',', requires = "key_discovery_partition")]
    pub key_discovery_accounts: Vec<String>,

    /// With KEY_DISCOVERY_ACCOUNTS: the accounts' AWS partition, such as aws
    #[arg(long, env, requires = "key_discovery_accounts")]
    pub key_discovery_partition: Option<String>,

    /// Who decodes messages: native, or aws-esdk for the vendor's code; what they read is the same
    #[arg(long, env, default_value_t = Engine::Native)]
    pub engine: Engine,

    /// Data keys held in the cache; 0 turns caching off
    #[arg(long, env, default_value_t = 100)]
    pub cache_capacity: usize,

    /// Seconds for which a decrypted data key is used
    #[arg(long, env, default_value_t = 600, value_parser = value_parser!(u64).range(1..))]
    pub cache_max_age_seconds: u64,

    /// The table's key attributes with their types, such as id:S or pk:S,sk:N; asked of DynamoDB
    /// if not set
    #[arg(long, env)]
    pub table_key_attributes: Option<KeyAttributes>,

    /// Attribute of every record that says which of two with the same key is newer: a number, or a
    /// time such as 2026-01-31T12:00:00.000Z; then each item costs a request of its own
    #[arg(long, env)]
    pub version_attribute: Option<OrEmpty<String>>,

    /// Attribute of records that holds a W3C traceparent, whose trace ids are logged with the records'
    /// sequence numbers; none are if not set
    #[arg(long, env)]
    pub trace_attribute: Option<OrEmpty<String>>,

    /// S3 bucket for the records that can never be written; they are reported as failed if not set
    #[arg(long, env)]
    pub quarantine_bucket: Option<OrEmpty<BucketName>>,
}

impl ConsumerSettings {
    /// The cipher that these settings describe.
    ///
    /// # Errors
    /// A setting is not allowed.
    pub async fn cipher(&self, config: &SdkConfig) -> Result<RecordCipher, SetupError> {
        let mut settings = match &self.key_discovery_partition {
            None => DecryptSettings::with_keys(self.cmk_arn.clone()),
            Some(partition) => DecryptSettings::with_discovery(
                partition.clone(),
                self.key_discovery_accounts.clone(),
            ),
        };
        settings.engine = self.engine;
        settings.cache_capacity = self.cache_capacity;
        settings.max_age = Duration::from_secs(self.cache_max_age_seconds);
        settings.build(config).await
    }

    /// The attribute that holds an item's version, if versions are compared.
    #[must_use]
    pub fn version_attribute(&self) -> Option<&str> {
        self.version_attribute.as_ref()?.0.as_deref()
    }

    /// The attribute that holds a trace context, if traces are logged.
    #[must_use]
    pub fn trace_attribute(&self) -> Option<&str> {
        self.trace_attribute.as_ref()?.0.as_deref()
    }

    /// Where the records go that can never be written, if not back to Lambda.
    #[must_use]
    pub fn quarantine_bucket(&self) -> Option<&BucketName> {
        self.quarantine_bucket.as_ref()?.0.as_ref()
    }
}

/// A value, or none for an empty text: a variable that is empty is taken for one that is not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrEmpty<T>(pub Option<T>);

impl<T: FromStr> FromStr for OrEmpty<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        match text {
            "" => Ok(Self(None)),
            text => text.parse().map(|value| Self(Some(value))),
        }
    }
}

/// The key attributes of a table, written `id:S` or `pk:S,sk:N`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAttributes(pub Vec<KeyAttribute>);

impl FromStr for KeyAttributes {
    type Err = InvalidKeyAttributes;

    fn from_str(text: &str) -> Result<Self, InvalidKeyAttributes> {
        let attributes: Vec<_> = text
            .split(',')
            .map(key_attribute)
            .collect::<Option<_>>()
            .ok_or(InvalidKeyAttributes)?;
        match attributes.len() {
            1 | 2 => Ok(Self(attributes)),
            _ => Err(InvalidKeyAttributes),
        }
    }
}

fn key_attribute(text: &str) -> Option<KeyAttribute> {
    let (name, key_type) = text.rsplit_once(':')?;
    let key_type = match key_type {
        "S" => KeyType::Text,
        "N" => KeyType::Number,
        _ => return None,
    };
    (!name.is_empty()).then(|| KeyAttribute { name: name.to_owned(), key_type })
}

/// A text that does not name the key attributes of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give NAME:S or NAME:N for the partition key, and after a comma for the sort key")]
pub struct InvalidKeyAttributes;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        settings: ConsumerSettings,
    }

    const KEY: &str = "arn:aws:kms:eu-west-1:000000000000:key/1";

    fn parse(args: &[&str]) -> Result<ConsumerSettings, String> {
        let args = ["record-consumer", "--table-name", "t"].iter().chain(args);
        Cli::try_parse_from(args).map(|cli| cli.settings).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_given_or_discovered() {
        let other = KEY.replace("eu-west-1", "us-east-1");
        assert_eq!(parse(&["--cmk-arn", &format!("{KEY},{other}")]).unwrap().cmk_arn.len(), 2);
        let discovery =
            ["--key-discovery-accounts", "000000000000", "--key-discovery-partition", "aws"];
        assert!(parse(&discovery).is_ok());
        assert!(parse(&[]).is_err());
        assert!(parse(&discovery[..2]).is_err());
        assert!(parse(&discovery[2..]).is_err());
        assert!(parse(&[&["--cmk-arn", KEY], discovery.as_slice()].concat()).is_err());
    }

    #[test]
    fn an_alias_is_a_key_too() {
        let settings = parse(&["--cmk-arn", "alias/records"]).unwrap();
        assert_eq!(settings.cmk_arn, ["alias/records".parse().unwrap()]);
    }

    #[test]
    fn an_empty_setting_is_not_set() {
        let given = |version, bucket| {
            let args = ["--cmk-arn", KEY, "--version-attribute", version];
            parse(&[args.as_slice(), &["--quarantine-bucket", bucket]].concat()).unwrap()
        };
        let settings = given("", "");
        assert_eq!((settings.version_attribute(), settings.quarantine_bucket()), (None, None));
        let settings = given("at", "records");
        assert_eq!(settings.version_attribute(), Some("at"));
        assert_eq!(settings.quarantine_bucket(), Some(&"records".parse().unwrap()));
    }

    #[test]
    fn a_bucket_that_cannot_be_is_refused_with_what_is_allowed() {
        let args = ["--cmk-arn", KEY, "--quarantine-bucket", "s3://records"];
        let error = parse(&args).unwrap_err();
        for part in ["s3://records", "--quarantine-bucket", "3 to 63 lower-case letters"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn key_attributes_have_names_and_types() {
        let parsed = "pk:S,a:b:N".parse::<KeyAttributes>().unwrap().0;
        assert_eq!((parsed[0].name.as_str(), parsed[0].key_type), ("pk", KeyType::Text));
        assert_eq!((parsed[1].name.as_str(), parsed[1].key_type), ("a:b", KeyType::Number));
        for text in ["", "id", "id:X", ":S", "a:S,b:S,c:S", "a:S,"] {
            assert!(text.parse::<KeyAttributes>().is_err(), "{text}");
        }
    }
}
