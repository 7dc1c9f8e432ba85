//! The configuration of AWS clients, found as the AWS CLI finds it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{env, fs};

use anyhow::{Context, anyhow, ensure};
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpClient};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use crate::exit_code::{CommandError, ExitCode, OrCommandError};

/// Time after which credentials without an expiry are looked up again.
const CREDENTIALS_AGE: Duration = Duration::from_secs(30);

/// Loads the configuration for clients in `region` and other Regions. Naming a Region keeps the SDK
/// from asking the instance metadata for one, which takes seconds where there is none.
///
/// # Errors
/// There are no root certificates, or `AWS_CA_BUNDLE` cannot be read.
pub(crate) async fn load_config(region: Region) -> Result<SdkConfig, CommandError> {
    let http_client = http_client().or_exit(ExitCode::Operator)?;
    let credentials =
        RenewedCredentials { region: region.clone(), http_client: http_client.clone() };
    let loader = aws_config::from_env().region(region).credentials_provider(credentials);
    let loader = match http_client {
        Some(http_client) => loader.http_client(http_client),
        None => loader,
    };
    Ok(loader.load().await)
}

/// The credentials of the default chain, which is built anew each time, so that new ones in files
/// are noticed by a program that runs for long.
#[derive(Debug)]
struct RenewedCredentials {
    region: Region,
    http_client: Option<SharedHttpClient>,
}

impl RenewedCredentials {
    async fn load(&self) -> provider::Result {
        let config = ProviderConfig::default().with_region(Some(self.region.clone()));
        let config = match &self.http_client {
            Some(http_client) => config.with_http_client(http_client.clone()),
            None => config,
        };
        let chain =
            DefaultCredentialsChain::builder().configure(config).region(self.region.clone());
        let credentials = chain.build().await.provide_credentials().await?;
        Ok(expiring(credentials))
    }
}

impl ProvideCredentials for RenewedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.load())
    }
}

fn expiring(mut credentials: Credentials) -> Credentials {
    if credentials.expiry().is_none() {
        #[expect(clippy::disallowed_methods, reason = "credentials expire at a time of day")]
        let now = SystemTime::now();
        *credentials.expiry_mut() = Some(now + CREDENTIALS_AGE);
    }
    credentials
}

/// Returns the HTTP client if the SDK's own does not do. That one ignores `AWS_CA_BUNDLE`, and does
/// not work at all without root certificates.
fn http_client() -> anyhow::Result<Option<SharedHttpClient>> {
    if let Some(path) = env::var_os("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
        return Ok(Some(trusting(&PathBuf::from(path))?));
    }
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        return Ok(None);
    }
    ensure!(
        uses_plain_http(),
        "no root certificates were found on this machine; set SSL_CERT_FILE or AWS_CA_BUNDLE to a \
         file with them"
    );
    Ok(Some(aws_smithy_http_client::Builder::new().build_http()))
}

/// Returns a client that trusts the certificates of a file.
fn trusting(bundle: &Path) -> anyhow::Result<SharedHttpClient> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let pem = fs::read(bundle)
        .with_context(|| format!("cannot read AWS_CA_BUNDLE ({})", bundle.display()))?;
    ensure!(
        pem.windows(BEGIN.len()).any(|window| window == BEGIN),
        "AWS_CA_BUNDLE ({}) contains no PEM certificate",
        bundle.display()
    );
    let trust = TrustStore::empty().with_pem_certificate(pem);
    let tls = TlsContext::builder().with_trust_store(trust).build();
    let tls = tls.map_err(|error| anyhow!("cannot use AWS_CA_BUNDLE: {error}"))?;
    let connector = move |settings: Option<&HttpConnectorSettings>,
                          components: Option<&RuntimeComponents>| {
        let mut builder = Connector::builder()
            .proxy_config(ProxyConfig::from_env())
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls.clone());
        builder.set_connector_settings(settings.cloned());
        builder.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        builder.build()
    };
    Ok(aws_smithy_http_client::Builder::new().build_with_connector_fn(connector))
}

/// Whether the endpoint of all services is one without TLS, such as that of a local AWS.
fn uses_plain_http() -> bool {
    env::var("AWS_ENDPOINT_URL").is_ok_and(|url| url.starts_with("http://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_without_an_expiry_are_looked_up_again() {
        #[expect(clippy::disallowed_methods, reason = "credentials expire at a time of day")]
        let now = SystemTime::now();
        let soon = now + CREDENTIALS_AGE + CREDENTIALS_AGE;
        let fixed = Credentials::new("id", "secret", None, None, "test");
        assert!(expiring(fixed).expiry().unwrap() < soon);
        let late = now + CREDENTIALS_AGE * 60;
        let temporary = Credentials::new("id", "secret", None, Some(late), "test");
        assert_eq!(expiring(temporary).expiry(), Some(late));
    }
}
