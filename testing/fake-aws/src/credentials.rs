//! Temporary credentials that expire, and the container endpoint that hands them out:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use hyper::http::request::Parts;
use serde_json::json;

use crate::answer::{Answer, ServiceError, json as json_answer, with_status};
use crate::call::header;
use crate::lock;
use crate::operation::Service;

/// Path of the endpoint.
pub(crate) const PATH: &str = "/credentials";

/// Time for which credentials are good according to the endpoint. Less than the SDK's safety margin,
/// so that a client asks again before each call.
const LIFETIME: Duration = Duration::from_secs(5);

/// The credentials that are good now.
#[derive(Debug, Default)]
pub(crate) struct CredentialsIssuer(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Number of the current session token. Lower ones have expired.
    current: u64,
    is_closed: bool,
}

impl CredentialsIssuer {
    /// Ends all credentials that were handed out, and hands out no more.
    pub(crate) fn expire(&self) {
        let mut state = lock(&self.0);
        state.current += 1;
        state.is_closed = true;
    }

    /// Hands out credentials again.
    pub(crate) fn renew(&self) {
        lock(&self.0).is_closed = false;
    }

    /// Refuses a request with expired credentials. Any others are good.
    pub(crate) fn check(&self, head: &Parts, service: Service) -> Result<(), ServiceError> {
        let token = header(head, "x-amz-security-token").and_then(|token| token.parse().ok());
        match token.is_some_and(|token: u64| token < lock(&self.0).current) {
            true => Err(ServiceError::expired_token(service)),
            false => Ok(()),
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        let state = lock(&self.0);
        if state.is_closed {
            return with_status(503, "");
        }
        #[expect(clippy::disallowed_methods, reason = "credentials expire at a time of day")]
        let expiration = SystemTime::now() + LIFETIME;
        json_answer(&json!({
            "AccessKeyId": "AKID",
            "SecretAccessKey": "secret",
            "Token": state.current.to_string(),
            "Expiration": humantime::format_rfc3339_seconds(expiration).to_string(),
        }))
    }
}
