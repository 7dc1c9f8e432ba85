//! The extension's settings, from the environment variables of its function.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dynamodb_cache::TableName;
use record_telemetry::Variables;

use crate::aws::Timeouts;
use crate::aws_paths::AwsPathSettings;
use crate::shared::SharedTable;

const DEFAULT_CONFIG: &str = "/var/task/config.yaml";
const MIN_TTL: Duration = Duration::from_secs(1);
const DEFAULT_TTL: Duration = Duration::from_mins(5);
const DEFAULT_STALE_IF_ERROR: Duration = Duration::from_hours(1);
const DEFAULT_PORT: u16 = 3000;

/// A TLS handshake takes some of it.
const MIN_TIMEOUT: Duration = Duration::from_millis(100);

const TIMEOUT: &str = "CACHE_EXTENSION_TIMEOUT";
const ATTEMPT_TIMEOUT: &str = "CACHE_EXTENSION_ATTEMPT_TIMEOUT";
const TTL: &str = "CACHE_EXTENSION_TTL";
const TIMEOUT_IN_MINUTES: &str = "CACHE_TIMEOUT_IN_MINUTES";
const SHARED_TABLE: &str = "CACHE_EXTENSION_SHARED_TABLE";
const SHARED_TABLE_KEY: &str = "CACHE_EXTENSION_SHARED_TABLE_KEY";

/// The settings of the extension.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The configuration file, which names the entries to cache.
    pub config: PathBuf,
    /// The port of 127.0.0.1 to serve on.
    pub port: u16,
    /// How long a value is used before it is reloaded, unless its entry says otherwise.
    pub ttl: Duration,
    /// How long an expired value is used while it cannot be reloaded.
    pub stale_if_error: Duration,
    /// Time limits of requests to AWS.
    pub timeouts: Timeouts,
    /// Whether all values are loaded before the first invocation.
    pub init_startup: bool,
    /// Whether requests must send the function's session token.
    pub require_token: bool,
    /// The table that all execution environments share, if there is one.
    pub shared_table: Option<SharedTable>,
    /// Settings of the paths of AWS's extension.
    pub aws_paths: AwsPathSettings,
}

impl Settings {
    /// Returns `true` if the configuration file may be missing: the default one.
    #[must_use]
    pub fn config_is_optional(&self) -> bool {
        self.config == Path::new(DEFAULT_CONFIG)
    }

    /// Reads the settings. `None` if a variable is missing or has a bad value, which `variables`
    /// then reports.
    pub fn read(variables: &mut Variables) -> Option<Self> {
        let config = variables.optional(
            "CACHE_EXTENSION_CONFIG",
            "Configuration file (default: /var/task/config.yaml)",
        );
        let port = variables.integer(
            "CACHE_EXTENSION_PORT",
            "Port of 127.0.0.1 to serve on",
            1..=u16::MAX,
            DEFAULT_PORT,
        );
        let ttl = read_ttl(variables);
        let stale_if_error = variables.optional_with(
            "CACHE_EXTENSION_STALE_IF_ERROR",
            "How long expired values are used while they cannot be reloaded (default: 1h)",
            |text| humantime::parse_duration(text).map_err(|_| "expected a time such as 30s or 1h"),
        );
        let timeouts = read_timeouts(variables);
        let init_startup = variables.flag(
            "CACHE_EXTENSION_INIT_STARTUP",
            "Load all values before the first invocation",
            true,
        );
        let require_token = variables.flag(
            "CACHE_EXTENSION_REQUIRE_TOKEN",
            "Answer only requests that send the function's session token",
            true,
        );
        Some(Self {
            config: config.unwrap_or_else(|| DEFAULT_CONFIG.into()),
            port,
            ttl,
            stale_if_error: stale_if_error.unwrap_or(DEFAULT_STALE_IF_ERROR),
            timeouts,
            init_startup,
            require_token,
            shared_table: read_shared_table(variables),
            aws_paths: AwsPathSettings::read(variables),
        })
    }
}

/// AWS's demonstration has the time-to-live in minutes.
fn read_ttl(variables: &mut Variables) -> Duration {
    let given = variables.optional_with(
        TTL,
        "How long values are used before they are reloaded, such as 30s or 1h30m (default: 5m)",
        parse_ttl,
    );
    let minutes = variables.optional_with(TIMEOUT_IN_MINUTES, "The same in minutes", |text| {
        match text.parse::<u32>() {
            Ok(minutes) if minutes > 0 => Ok(Duration::from_mins(minutes.into())),
            _ => Err("expected a number of minutes from 1"),
        }
    });
    if given.is_some() && minutes.is_some() {
        variables.reject(TIMEOUT_IN_MINUTES, format_args!("may not be set beside {TTL}"));
    }
    given.or(minutes).unwrap_or(DEFAULT_TTL)
}

fn read_timeouts(variables: &mut Variables) -> Timeouts {
    let defaults = Timeouts::default();
    let total = variables.optional_with(
        TIMEOUT,
        "Time limit of a request to AWS with its retries, such as 800ms or 5s (default: 5s)",
        parse_timeout,
    );
    let attempt = variables.optional_with(
        ATTEMPT_TIMEOUT,
        "Time limit of each attempt (default: 2s, or two fifths of the other limit)",
        parse_timeout,
    );
    let total = total.unwrap_or(defaults.total);
    let attempt = attempt.unwrap_or(defaults.attempt.min(total * 2 / 5));
    if attempt > total {
        variables.reject(ATTEMPT_TIMEOUT, format_args!("may not exceed {TIMEOUT}"));
    }
    Timeouts { total, attempt }
}

fn parse_timeout(text: &str) -> Result<Duration, &'static str> {
    match humantime::parse_duration(text) {
        Ok(timeout) if timeout >= MIN_TIMEOUT => Ok(timeout),
        _ => Err("expected a time from 100ms, such as 800ms or 5s"),
    }
}

fn read_shared_table(variables: &mut Variables) -> Option<SharedTable> {
    let name = variables.optional::<TableName>(
        SHARED_TABLE,
        "DynamoDB table that all execution environments share values in",
    );
    let kms_key = variables.optional::<String>(
        SHARED_TABLE_KEY,
        "KMS key that encrypts the values in the shared table",
    );
    let with_secrets = variables.flag(
        "CACHE_EXTENSION_SHARE_SECRETS",
        "Share SecureString parameters and secrets too",
        false,
    );
    match (name, kms_key) {
        (Some(name), Some(kms_key)) => Some(SharedTable { name, kms_key, with_secrets }),
        (Some(_), None) => {
            variables.reject(SHARED_TABLE, format_args!("needs {SHARED_TABLE_KEY}"));
            None
        }
        (None, Some(_)) => {
            variables.reject(SHARED_TABLE_KEY, format_args!("needs {SHARED_TABLE}"));
            None
        }
        (None, None) => None,
    }
}

/// Parses a time-to-live such as `30s` or `1h30m`.
pub(crate) fn parse_ttl(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(ttl) if ttl >= MIN_TTL => Ok(ttl),
        Ok(_) => Err("expected at least 1s".to_owned()),
        Err(_) => Err("expected a time such as 30s, 5m or 1h30m".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<const N: usize>(pairs: [(&'static str, &str); N]) -> Result<Settings, String> {
        let variables = Variables::from_pairs(pairs.map(|(name, value)| (name, value.to_owned())));
        variables.read(Settings::read).map_err(|error| error.to_string())
    }

    #[test]
    fn the_ttl_is_given_in_minutes_or_with_a_unit() {
        assert_eq!(read([]).unwrap().ttl, Duration::from_mins(5));
        assert_eq!(read([(TIMEOUT_IN_MINUTES, "7")]).unwrap().ttl, Duration::from_mins(7));
        assert_eq!(read([(TTL, "1h30m")]).unwrap().ttl, Duration::from_mins(90));
        let error = read([(TTL, "30s"), (TIMEOUT_IN_MINUTES, "7")]).unwrap_err();
        assert!(error.contains(TTL) && error.contains(TIMEOUT_IN_MINUTES), "{error}");
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let names = [
            "CACHE_EXTENSION_CONFIG",
            "CACHE_EXTENSION_PORT",
            TTL,
            TIMEOUT_IN_MINUTES,
            "CACHE_EXTENSION_STALE_IF_ERROR",
            TIMEOUT,
            ATTEMPT_TIMEOUT,
            "CACHE_EXTENSION_INIT_STARTUP",
            "CACHE_EXTENSION_REQUIRE_TOKEN",
            SHARED_TABLE,
            SHARED_TABLE_KEY,
            "CACHE_EXTENSION_SHARE_SECRETS",
            "PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED",
            "PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE",
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
            "PARAMETERS_SECRETS_EXTENSION_MAX_CONNECTIONS",
            "SSM_PARAMETER_STORE_TTL",
            "SECRETS_MANAGER_TTL",
            "SSM_PARAMETER_STORE_TIMEOUT_MILLIS",
            "SECRETS_MANAGER_TIMEOUT_MILLIS",
        ];
        assert_eq!(read(names.map(|name| (name, ""))), read([]));
    }

    #[test]
    fn bad_values_are_rejected_with_the_allowed_ones() {
        let cases = [
            (TTL, "0s", "at least 1s"),
            (TTL, "soon", "30s, 5m or 1h30m"),
            (TIMEOUT_IN_MINUTES, "0", "from 1"),
            (TIMEOUT_IN_MINUTES, "5000000000", "from 1"),
            ("CACHE_EXTENSION_PORT", "0", "from 1 to 65535"),
            ("CACHE_EXTENSION_REQUIRE_TOKEN", "maybe", "true or false"),
            ("CACHE_EXTENSION_STALE_IF_ERROR", "long", "30s or 1h"),
            (TIMEOUT, "99ms", "from 100ms"),
            (ATTEMPT_TIMEOUT, "soon", "from 100ms"),
            (SHARED_TABLE, "a/b", "3 to 255 letters"),
        ];
        for (name, value, allowed) in cases {
            let error = read([(name, value)]).unwrap_err();
            for part in [name, value, allowed] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn an_attempt_takes_two_fifths_of_a_short_time_limit() {
        let millis = |pairs: &[(&'static str, &str)]| {
            let read = Variables::from_pairs(pairs.iter().copied()).read(Settings::read).unwrap();
            (read.timeouts.total.as_millis(), read.timeouts.attempt.as_millis())
        };
        assert_eq!(millis(&[]), (5000, 2000));
        assert_eq!(millis(&[(TIMEOUT, "1s")]), (1000, 400));
        assert_eq!(millis(&[(TIMEOUT, "9s")]), (9000, 2000));
        assert_eq!(millis(&[(TIMEOUT, "1s"), (ATTEMPT_TIMEOUT, "900ms")]), (1000, 900));
        let error = read([(ATTEMPT_TIMEOUT, "6s")]).unwrap_err();
        assert!(error.contains("may not exceed CACHE_EXTENSION_TIMEOUT"), "{error}");
    }

    #[test]
    fn a_shared_table_needs_a_key() {
        assert_eq!(read([]).unwrap().shared_table, None);
        let given = read([(SHARED_TABLE, "shared"), (SHARED_TABLE_KEY, "alias/k")]).unwrap();
        let expected = SharedTable {
            name: "shared".parse().unwrap(),
            kms_key: "alias/k".to_owned(),
            with_secrets: false,
        };
        assert_eq!(given.shared_table, Some(expected));
        let error = read([(SHARED_TABLE, "shared")]).unwrap_err();
        assert!(error.contains("needs CACHE_EXTENSION_SHARED_TABLE_KEY"), "{error}");
        let error = read([(SHARED_TABLE_KEY, "alias/k")]).unwrap_err();
        assert!(error.contains("needs CACHE_EXTENSION_SHARED_TABLE"), "{error}");
    }

    #[test]
    fn flags_are_read_as_in_gos_parse_bool() {
        let name = "CACHE_EXTENSION_INIT_STARTUP";
        let cases = [("1", true), ("t", true), ("TRUE", true), ("0", false), ("False", false)];
        for (text, expected) in cases {
            assert_eq!(read([(name, text)]).unwrap().init_startup, expected, "{text}");
        }
    }
}
