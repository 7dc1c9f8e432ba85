//! Answers to requests.

use std::fmt;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AGE, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use subtle::ConstantTimeEq;

use crate::aws_paths::{CallCache, Wanted};
use crate::cache::Cache;
use crate::names::Names;
use crate::query::{Plus, Query};
use crate::refusal::Refusal;
use crate::slot::{Answer, CacheStatus};
use crate::upstream::Freshness;
use crate::value::Kind;

/// The header in which AWS's own extension takes the session token:
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/ps-integration-lambda-extensions.html>
const TOKEN: HeaderName = HeaderName::from_static("x-aws-parameters-secrets-token");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The token that requests must send. `Debug` does not show it.
pub struct Token(Box<[u8]>);

impl Token {
    /// Returns `None` for an empty text, which would keep nobody out.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.as_bytes().into()))
    }

    /// Compares in constant time.
    fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(given).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Answers requests from the cache.
#[derive(Debug)]
pub struct Api {
    cache: Cache,
    token: Option<Token>,
    names: Names,
    calls: Option<CallCache>,
}

type Reply = Response<Full<Bytes>>;

impl Api {
    /// Creates an API. Without a token, every client that reaches the port gets answers.
    #[must_use]
    pub fn new(cache: Cache, token: Option<Token>) -> Self {
        let names = Names::new(&cache);
        Self { cache, token, names, calls: None }
    }

    /// Answers the paths of AWS's extension too, if the request has the token: whatever the function's
    /// role may read, and not only what is configured.
    #[must_use]
    pub fn with_calls(mut self, calls: CallCache) -> Self {
        self.calls = Some(calls);
        self
    }

    pub(crate) async fn answer<B>(&self, request: &Request<B>) -> Reply {
        self.try_answer(request).await.unwrap_or_else(Refusal::reply)
    }

    async fn try_answer<B>(&self, request: &Request<B>) -> Result<Reply, Refusal> {
        Self::check_origin(request)?;
        if request.method() != Method::GET {
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "there is only GET"));
        }
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        if let Some(calls) = &self.calls
            && let Some(wanted) = Wanted::parse(path, query)
        {
            self.check_call_token(request.headers())?;
            return Ok(found(calls.get(wanted?).await?));
        }
        let find = match path {
            "/ping" => return Ok(Response::new("pong".into())),
            "/parameters" => Names::parameter,
            "/dynamodb" => Names::item,
            _ => {
                let text = "there is /parameters, /dynamodb, /systemsmanager/parameters/get, /secretsmanager/get and \
                    /ping";
                return Err(Refusal::new(StatusCode::NOT_FOUND, text));
            }
        };
        self.check_token(request.headers())?;
        let (index, freshness) = match self.find(find, query, Plus::Literal) {
            Err(_) if query.contains('+') => self.find(find, query, Plus::Blank)?,
            found => found?,
        };
        Ok(found(self.cache.get(index, freshness).await?))
    }

    fn find(
        &self,
        find: fn(&Names, &mut Query) -> Result<usize, Refusal>,
        query: &str,
        plus: Plus,
    ) -> Result<(usize, Freshness), Refusal> {
        let mut query = Query::parse(query, plus)?;
        let freshness =
            if query.switch("refresh")? { Freshness::Latest } else { Freshness::Cached };
        let index = find(&self.names, &mut query)?;
        query.end()?;
        Ok((index, freshness))
    }

    /// Refuses requests that came from elsewhere: through a proxy, or from a page whose name leads to
    /// this address (DNS rebinding).
    fn check_origin<B>(request: &Request<B>) -> Result<(), Refusal> {
        if request.headers().keys().any(is_of_proxy) {
            let text = "forwarded requests are not answered";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, text));
        }
        let hosts = request.headers().get_all(HOST).into_iter().map(HeaderValue::as_bytes);
        let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
        if hosts.chain(authority).any(|host| !is_loopback(host)) {
            let text = "only requests to localhost or 127.0.0.1 are answered";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, text));
        }
        Ok(())
    }

    /// Without a token, anybody who makes the function fetch a URL could read all of its secrets.
    fn check_call_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.token.is_none() {
            return Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "this path needs the session token, which CACHE_EXTENSION_REQUIRE_TOKEN=false \
                 turns off",
            ));
        }
        self.check_token(headers)
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else { return Ok(()) };
        match headers.get(TOKEN) {
            Some(given) if token.is(given.as_bytes()) => Ok(()),
            Some(_) => Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "the token in X-Aws-Parameters-Secrets-Token is not AWS_SESSION_TOKEN",
            )),
            None => Err(Refusal::new(
                StatusCode::UNAUTHORIZED,
                "send AWS_SESSION_TOKEN in the header X-Aws-Parameters-Secrets-Token",
            )),
        }
    }
}

/// Returns `true` for headers that proxies and gateways add.
fn is_of_proxy(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-") || ["forwarded", "via", "x-real-ip"].contains(&name)
}

/// Returns `true` for a name or an address of this machine, with or without a port.
fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

fn found(answer: Answer) -> Reply {
    let content_type = match answer.value.kind {
        Kind::Plain | Kind::Secret => "text/plain; charset=utf-8",
        Kind::Item | Kind::Call => "application/json",
    };
    let mut reply = Response::new(answer.value.body.into());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(AGE, answer.age.as_secs().into());
    headers.insert(CACHE_STATUS, cache_status(answer.status));
    reply
}

/// Source: RFC 9211, which gives stale answers a negative time to live.
fn cache_status(status: CacheStatus) -> HeaderValue {
    let status = match status {
        CacheStatus::Loaded => return HeaderValue::from_static("cache-extension; fwd=miss"),
        CacheStatus::Fresh(left) => format!("cache-extension; hit; ttl={}", left.as_secs()),
        CacheStatus::Stale(over) => format!("cache-extension; hit; ttl=-{}", seconds_up(over)),
    };
    HeaderValue::try_from(status).expect("the status is printable ASCII")
}

/// Rounds up, at least to 1 s: a value that has just expired is stale.
fn seconds_up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0 || time.is_zero())
}
