//! The function's settings, from environment variables.

use std::time::Duration;

use aws_config::SdkConfig;
use lambda_runtime::Error;
use record_cipher::{
    DEFAULT_MAX_DECOMPRESSED_BYTES, DecryptSettings, Engine, KmsKeyId, RecordCipher,
};
use record_consumer::{
    BucketName, Consumer, DynamoDbTable, KeyAttributes, S3Quarantine, VersionFrom,
};
use record_telemetry::Variables;

/// The settings of the function.
pub(crate) struct Settings {
    decrypt: DecryptSettings,
    table_name: String,
    key: Option<KeyAttributes>,
    version_attribute: Option<String>,
    version_from: VersionFrom,
    trace_attribute: Option<String>,
    quarantine_bucket: Option<BucketName>,
}

impl Settings {
    /// Reads all variables, so that all problems are found at once.
    pub(crate) fn read(variables: &mut Variables) -> Option<Self> {
        let table_name = variables.required("TABLE_NAME", "table to write to");
        let decrypt = decrypt_settings(variables);
        let key = variables
            .optional("TABLE_KEY_ATTRIBUTES", "key attributes of the table, id:S or pk:S,sk:N");
        let version_attribute =
            variables.optional("VERSION_ATTRIBUTE", "attribute that holds an item's version");
        let version_from = variables.or(
            "VERSION_FROM",
            "source of versions: attribute or sequence-number",
            VersionFrom::default(),
        );
        if version_attribute.is_none() && version_from == VersionFrom::SequenceNumber {
            variables.reject("VERSION_FROM", "needs VERSION_ATTRIBUTE to store versions in");
        }
        let trace_attribute =
            variables.optional("TRACE_ATTRIBUTE", "attribute that holds a record's traceparent");
        let quarantine_bucket =
            variables.optional("QUARANTINE_BUCKET", "S3 bucket for records that cannot be written");
        Some(Self {
            decrypt: decrypt?,
            table_name: table_name?,
            key,
            version_attribute,
            version_from,
            trace_attribute,
            quarantine_bucket,
        })
    }

    /// Builds the consumer. Asks DynamoDB for the table's key attributes unless they are set.
    pub(crate) async fn consumer(self, config: &SdkConfig) -> Result<Consumer, Error> {
        let cipher: RecordCipher = self.decrypt.build(config).await?;
        let table = DynamoDbTable::new(config, &self.table_name)?;
        let key = match self.key {
            Some(key) => key,
            None => table.key_attributes().await?,
        };
        let mut consumer = Consumer::builder(cipher, table, key).version_from(self.version_from);
        if let Some(name) = self.version_attribute {
            consumer = consumer.version_attribute(name);
        }
        if let Some(name) = self.trace_attribute {
            consumer = consumer.trace_attribute(name);
        }
        if let Some(bucket) = &self.quarantine_bucket {
            // The AWS SDK reads this variable itself, and does not show it in `config`.
            let has_own_endpoint = std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
            consumer = consumer.quarantine(match has_own_endpoint {
                false => S3Quarantine::new(config, bucket),
                true => S3Quarantine::with_path_style(config, bucket),
            });
        }
        Ok(consumer.build()?)
    }
}

fn decrypt_settings(variables: &mut Variables) -> Option<DecryptSettings> {
    let keys: Vec<KmsKeyId> =
        variables.list("CMK_ARN", "KMS keys to decrypt with, ARNs or aliases");
    let accounts: Vec<String> =
        variables.list("KEY_DISCOVERY_ACCOUNTS", "accounts whose keys decrypt");
    let partition = variables.optional("KEY_DISCOVERY_PARTITION", "AWS partition of the accounts");
    let engine = variables.or("ENGINE", "native or aws-esdk", Engine::default());
    let capacity =
        variables.integer("CACHE_CAPACITY", "data keys in the cache", 0..=1_000_000, 100_usize);
    let max_age = variables.seconds(
        "CACHE_MAX_AGE_SECONDS",
        "seconds for which a data key is used",
        1..=86_400 * 365,
        Duration::from_secs(600),
    );
    let concurrency = variables.integer(
        "KMS_CONCURRENCY",
        "data keys that AWS KMS decrypts at once",
        1..=1_000,
        16_usize,
    );
    let max_decompressed_bytes = variables.integer(
        "MAX_DECOMPRESSED_BYTES",
        "bytes of a message's JSON after decompression",
        1..=64 << 20,
        DEFAULT_MAX_DECOMPRESSED_BYTES,
    );
    let mut settings = match (keys.is_empty(), accounts.is_empty(), partition) {
        (false, true, None) => DecryptSettings::with_keys(keys),
        (true, false, Some(partition)) => DecryptSettings::with_discovery(partition, accounts),
        (false, ..) => {
            variables.reject("CMK_ARN", "cannot be combined with KEY_DISCOVERY_ACCOUNTS");
            return None;
        }
        (true, false, None) => {
            variables.reject("KEY_DISCOVERY_ACCOUNTS", "needs KEY_DISCOVERY_PARTITION");
            return None;
        }
        (true, true, _) => {
            variables.reject("CMK_ARN", "is not set; set it, or KEY_DISCOVERY_ACCOUNTS");
            return None;
        }
    };
    settings.engine = engine;
    settings.cache_capacity = capacity;
    settings.max_age = max_age;
    settings.kms_concurrency = concurrency;
    settings.max_decompressed_bytes = max_decompressed_bytes;
    Some(settings)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const KEY: (&str, &str) = ("CMK_ARN", "arn:aws:kms:eu-west-1:000000000000:key/1");
    const TABLE: (&str, &str) = ("TABLE_NAME", "items");
    const ACCOUNTS: (&str, &str) = ("KEY_DISCOVERY_ACCOUNTS", "000000000000");
    const PARTITION: (&str, &str) = ("KEY_DISCOVERY_PARTITION", "aws");

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        let variables = Variables::from_pairs(pairs.iter().copied());
        variables.read(Settings::read).map_err(|error| error.to_string())
    }

    /// The rows of the function's table: variable and default.
    fn documented() -> Vec<(String, String)> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let page = fs::read_to_string(path).unwrap();
        let section = page.lines().skip_while(|line| *line != "## record-consumer").skip(1);
        let section = section.take_while(|line| !line.starts_with("## "));
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            let name = cells.next()?.trim_end_matches('`').to_owned();
            Some((name, cells.next()?.to_owned()))
        };
        let mut rows: Vec<_> = section.filter_map(row).collect();
        rows.sort();
        rows
    }

    #[test]
    fn the_page_lists_every_variable_with_its_default() {
        let mut variables = Variables::from_pairs([KEY, TABLE]);
        assert!(Settings::read(&mut variables).is_some());
        let declared = variables.declared().iter().map(|variable| {
            let default = match &variable.default {
                Some(default) => format!("`{default}`"),
                None if variable.is_required => "required".to_owned(),
                None => "none".to_owned(),
            };
            (variable.name.to_owned(), default)
        });
        let mut declared: Vec<_> = declared.collect();
        declared.sort();
        assert_eq!(documented(), declared);
    }

    #[test]
    fn keys_are_given_or_discovered() {
        let other = ("CMK_ARN", "arn:aws:kms:eu-west-1:000000000000:key/1,alias/records");
        for good in [[TABLE, KEY].as_slice(), &[TABLE, other], &[TABLE, ACCOUNTS, PARTITION]] {
            assert!(read(good).is_ok(), "{good:?}");
        }
        for (bad, reason) in [
            ([TABLE].as_slice(), "CMK_ARN is not set; set it, or KEY_DISCOVERY_ACCOUNTS"),
            (&[TABLE, PARTITION], "CMK_ARN is not set; set it, or KEY_DISCOVERY_ACCOUNTS"),
            (&[TABLE, ACCOUNTS], "KEY_DISCOVERY_ACCOUNTS needs KEY_DISCOVERY_PARTITION"),
            (&[TABLE, KEY, ACCOUNTS, PARTITION], "CMK_ARN cannot be combined with"),
            (&[TABLE, KEY, PARTITION], "CMK_ARN cannot be combined with"),
        ] {
            let error = read(bad).err().unwrap();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn bad_values_are_named_with_what_is_allowed() {
        for (name, value, allowed) in [
            ("QUARANTINE_BUCKET", "s3://records", "3 to 63 lower-case letters"),
            ("TABLE_KEY_ATTRIBUTES", "id", "NAME:S or NAME:N"),
            ("VERSION_FROM", "time", "'attribute' or 'sequence-number'"),
            ("CACHE_MAX_AGE_SECONDS", "0", "from 1 to"),
            ("KMS_CONCURRENCY", "0", "from 1 to"),
            ("MAX_DECOMPRESSED_BYTES", "67108865", "from 1 to 67108864"),
            ("ENGINE", "fast", "native"),
        ] {
            let error = read(&[TABLE, KEY, (name, value)]).err().unwrap();
            for part in [name, value, allowed] {
                assert!(error.contains(part), "{error}");
            }
        }
        let error = read(&[TABLE, KEY, ("VERSION_FROM", "sequence-number")]).err().unwrap();
        assert!(error.contains("VERSION_FROM needs VERSION_ATTRIBUTE"), "{error}");
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        let empty = ["VERSION_ATTRIBUTE", "TRACE_ATTRIBUTE", "QUARANTINE_BUCKET", "VERSION_FROM"];
        let pairs: Vec<_> = empty.iter().map(|name| (*name, "")).chain([TABLE, KEY]).collect();
        let settings = read(&pairs).unwrap();
        assert!(settings.version_attribute.is_none() && settings.quarantine_bucket.is_none());
        assert_eq!(settings.version_from, VersionFrom::Attribute);
    }
}
