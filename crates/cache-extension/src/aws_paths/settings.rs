//! The environment variables of AWS's extension.

use std::time::Duration;

use record_telemetry::Variables;

const MAX_CACHE_SIZE: u32 = 1000;
const DEFAULT_TTL_SECONDS: u32 = 300;
/// AWS's limit is 300.
const MAX_TTL_SECONDS: u32 = 86_400;
const MAX_TIMEOUT_MILLIS: u32 = 900_000;

/// Settings of the paths of AWS's extension.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsPathSettings {
    /// The port of 127.0.0.1 to serve on.
    pub port: u16,
    /// Most answers that are cached; 0 for no caching.
    pub cache_size: usize,
    /// Most calls at a time.
    pub max_connections: usize,
    /// How long a parameter is used before it is reloaded; zero for no caching.
    pub parameter_ttl: Duration,
    /// How long a secret is used before it is reloaded; zero for no caching.
    pub secret_ttl: Duration,
    /// Time limit of a call of Systems Manager, if there is one.
    pub parameter_timeout: Option<Duration>,
    /// Time limit of a call of Secrets Manager, if there is one.
    pub secret_timeout: Option<Duration>,
}

impl Default for AwsPathSettings {
    fn default() -> Self {
        let ttl = Duration::from_secs(DEFAULT_TTL_SECONDS.into());
        Self {
            port: Self::DEFAULT_PORT,
            cache_size: MAX_CACHE_SIZE as usize,
            max_connections: 3,
            parameter_ttl: ttl,
            secret_ttl: ttl,
            parameter_timeout: None,
            secret_timeout: None,
        }
    }
}

impl AwsPathSettings {
    /// The port of AWS's extension.
    pub const DEFAULT_PORT: u16 = 2773;

    pub(crate) fn read(variables: &mut Variables) -> Self {
        let is_cached = variables.flag(
            "PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED",
            "Cache what is asked for with the paths of AWS's extension",
            true,
        );
        let cache_size = variables.integer(
            "PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE",
            "Most parameters and secrets that are cached so; 0 for no caching",
            0..=MAX_CACHE_SIZE,
            MAX_CACHE_SIZE,
        );
        let port = variables.integer(
            "PARAMETERS_SECRETS_EXTENSION_HTTP_PORT",
            "Port of 127.0.0.1 to serve those paths on",
            1..=u16::MAX,
            Self::DEFAULT_PORT,
        );
        let max_connections = variables.integer(
            "PARAMETERS_SECRETS_EXTENSION_MAX_CONNECTIONS",
            "Most calls for those paths at a time",
            1..=1000,
            3_u32,
        );
        let [parameter_ttl, secret_ttl] =
            ["SSM_PARAMETER_STORE_TTL", "SECRETS_MANAGER_TTL"].map(|name| {
                let description = "Seconds that an answer is used; 0 for no caching";
                variables.integer(name, description, 0..=MAX_TTL_SECONDS, DEFAULT_TTL_SECONDS)
            });
        let names = ["SSM_PARAMETER_STORE_TIMEOUT_MILLIS", "SECRETS_MANAGER_TIMEOUT_MILLIS"];
        let [parameter_timeout, secret_timeout] = names.map(|name| {
            let description = "Time limit of a call in milliseconds; 0 for none";
            variables.integer(name, description, 0..=MAX_TIMEOUT_MILLIS, 0)
        });
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let timeout = |millis: u32| (millis > 0).then(|| Duration::from_millis(millis.into()));
        Self {
            port,
            cache_size: if is_cached { cache_size as usize } else { 0 },
            max_connections: max_connections as usize,
            parameter_ttl: seconds(parameter_ttl),
            secret_ttl: seconds(secret_ttl),
            parameter_timeout: timeout(parameter_timeout),
            secret_timeout: timeout(secret_timeout),
        }
    }
}
