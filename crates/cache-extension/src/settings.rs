//! The extension's settings, from the environment variables of its function.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{ArgPredicate, BoolishValueParser};
use clap::{Args, value_parser};
use dynamodb_cache::TableName;

use crate::shared::SharedTable;

/// Shortest time for which a value is used.
const SHORTEST_TTL: Duration = Duration::from_secs(1);

/// The settings of the extension.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// File that names what is cached
    #[arg(long, env = "CACHE_EXTENSION_CONFIG", default_value = "/var/task/config.yaml")]
    pub config: PathBuf,

    /// Port of 127.0.0.1 to serve on
    #[arg(
        long,
        env = "CACHE_EXTENSION_PORT",
        default_value_t = 3000,
        value_parser = value_parser!(u16).range(1..)
    )]
    pub port: u16,

    /// Time for which a value is used before it is loaded again, such as 30s or 1h30m; an entry of
    /// the configuration can have its own
    #[arg(
        long,
        env = "CACHE_EXTENSION_TTL",
        default_value = "5m",
        default_value_if("timeout_in_minutes", ArgPredicate::IsPresent, None),
        conflicts_with = "timeout_in_minutes",
        value_parser = ttl
    )]
    ttl: Option<Duration>,

    /// The same in minutes
    #[arg(long, env = "CACHE_TIMEOUT_IN_MINUTES", value_parser = value_parser!(u32).range(1..))]
    timeout_in_minutes: Option<u32>,

    /// Time for which a value is used beyond its own while it cannot be loaded again; 0s for not at
    /// all
    #[arg(
        long,
        env = "CACHE_EXTENSION_STALE_IF_ERROR",
        default_value = "1h",
        value_parser = humantime::parse_duration
    )]
    pub stale_if_error: Duration,

    /// Load all values before the first invocation
    #[arg(
        long,
        env = "CACHE_EXTENSION_INIT_STARTUP",
        default_value = "true",
        action = clap::ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub init_startup: bool,

    /// Answer only requests with the function's session token in X-Aws-Parameters-Secrets-Token
    #[arg(
        long,
        env = "CACHE_EXTENSION_REQUIRE_TOKEN",
        default_value = "true",
        action = clap::ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    pub require_token: bool,

    /// DynamoDB table that all execution environments share values in; none if not set
    #[arg(long, env = "CACHE_EXTENSION_SHARED_TABLE", requires = "shared_table_key")]
    shared_table: Option<TableName>,

    /// With CACHE_EXTENSION_SHARED_TABLE: KMS key under which the values in it are encrypted
    #[arg(long, env = "CACHE_EXTENSION_SHARED_TABLE_KEY", requires = "shared_table")]
    shared_table_key: Option<String>,

    /// With CACHE_EXTENSION_SHARED_TABLE: share SecureString parameters and secrets too
    #[arg(
        long,
        env = "CACHE_EXTENSION_SHARE_SECRETS",
        default_value = "false",
        action = clap::ArgAction::Set,
        value_parser = BoolishValueParser::new()
    )]
    share_secrets: bool,
}

impl Settings {
    /// The table that all execution environments share, if there is one.
    #[must_use]
    pub fn shared_table(&self) -> Option<SharedTable> {
        Some(SharedTable {
            name: self.shared_table.clone()?,
            kms_key: self.shared_table_key.clone()?,
            with_secrets: self.share_secrets,
        })
    }

    /// Time for which a value is used before it is loaded again.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        let minutes = self.timeout_in_minutes.map(u64::from).map(Duration::from_mins);
        minutes.or(self.ttl).expect("one of the two has a default")
    }
}

/// A time for which a value is used, such as `30s` or `1h30m`.
pub(crate) fn ttl(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(ttl) if ttl >= SHORTEST_TTL => Ok(ttl),
        Ok(_) => Err("give at least 1s".to_owned()),
        Err(_) => Err("give a time such as 30s, 5m or 1h30m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(args: &[&str]) -> Result<Settings, String> {
        let args = ["cache-extension"].iter().chain(args);
        Cli::try_parse_from(args).map(|cli| cli.settings).map_err(|error| error.to_string())
    }

    #[test]
    fn the_time_is_given_in_minutes_or_with_a_unit() {
        assert_eq!(parse(&[]).unwrap().ttl(), Duration::from_mins(5));
        assert_eq!(parse(&["--timeout-in-minutes", "7"]).unwrap().ttl(), Duration::from_mins(7));
        assert_eq!(parse(&["--ttl", "1h30m"]).unwrap().ttl(), Duration::from_mins(90));
        let error = parse(&["--ttl", "30s", "--timeout-in-minutes", "7"]).unwrap_err();
        assert!(error.contains("--ttl") && error.contains("--timeout-in-minutes"), "{error}");
    }

    #[test]
    fn a_setting_that_cannot_be_is_refused_with_what_is_allowed() {
        for (flag, value, allowed) in [
            ("--ttl", "0s", "at least 1s"),
            ("--ttl", "soon", "30s, 5m or 1h30m"),
            ("--timeout-in-minutes", "0", "1.."),
            ("--port", "0", "1.."),
            ("--require-token", "maybe", "not a boolean"),
            ("--stale-if-error", "long", "number"),
        ] {
            let error = parse(&[flag, value]).unwrap_err();
            for part in [flag, value, allowed] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn a_shared_table_has_a_key() {
        assert_eq!(parse(&[]).unwrap().shared_table(), None);
        let given = parse(&["--shared-table", "shared", "--shared-table-key", "alias/k"]).unwrap();
        let expected = SharedTable {
            name: "shared".parse().unwrap(),
            kms_key: "alias/k".to_owned(),
            with_secrets: false,
        };
        assert_eq!(given.shared_table(), Some(expected));
        assert!(parse(&["--shared-table", "shared"]).is_err());
        assert!(parse(&["--shared-table-key", "alias/k"]).is_err());
        assert!(parse(&["--shared-table", "a/b", "--shared-table-key", "alias/k"]).is_err());
    }

    #[test]
    fn switches_are_read_as_gos_parse_bool_does() {
        for (text, expected) in
            [("1", true), ("t", true), ("TRUE", true), ("0", false), ("False", false)]
        {
            assert_eq!(parse(&["--init-startup", text]).unwrap().init_startup, expected, "{text}");
        }
    }
}
