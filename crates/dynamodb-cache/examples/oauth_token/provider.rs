//! OAuth 2.0 access tokens for client credentials: RFC 6749, section 4.4.

use std::time::Duration;

use dynamodb_cache::{Cache, CacheError, Loaded};
use serde::Deserialize;

/// A token is not used in the last minute of its life, or in the last tenth of a short one: requests
/// take time, and clocks differ.
const MARGIN: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who asks for tokens, and where.
pub(crate) struct Credentials {
    pub(crate) token_url: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
}

/// Gives tokens, and fetches them only if the cache has none.
///
/// In the table a token is readable for whoever may read the table.
pub(crate) struct TokenProvider {
    credentials: Credentials,
    cache: Cache<String>,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    /// Seconds.
    expires_in: u64,
}

impl TokenProvider {
    /// # Errors
    /// There is no HTTP client.
    pub(crate) fn new(
        credentials: Credentials,
        cache: Cache<String>,
    ) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { credentials, cache, http })
    }

    /// A token that is good for a while.
    ///
    /// # Errors
    /// There is none in the cache, and the server gave none.
    pub(crate) async fn token(&self, scope: &str) -> Result<String, CacheError> {
        let key = format!("{} {scope}", self.credentials.client_id);
        self.cache.get_or_load(&key, || self.fetch(scope)).await
    }

    async fn fetch(&self, scope: &str) -> Result<Loaded<String>, reqwest::Error> {
        let Credentials { token_url, client_id, client_secret } = &self.credentials;
        let request = self.http.post(token_url).basic_auth(client_id, Some(client_secret));
        let request = request.form(&[("grant_type", "client_credentials"), ("scope", scope)]);
        let response: TokenResponse = request.send().await?.error_for_status()?.json().await?;
        let life = Duration::from_secs(response.expires_in);
        Ok(Loaded::for_time(response.access_token, life - MARGIN.min(life / 10)))
    }
}
