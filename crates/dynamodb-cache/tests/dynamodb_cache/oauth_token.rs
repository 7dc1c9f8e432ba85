//! The example's token provider, with a token server that counts.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use dynamodb_cache::{CacheError, LocalStore, TieredStore};
use fake_aws::{Fault, Rule};
use futures::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::fixture::{Fixture, in_time};
use crate::provider::{Credentials, TokenProvider};

/// Gives tokens, each another one.
struct TokenServer {
    url: String,
    calls: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

impl TokenServer {
    async fn start() -> Self {
        Self::start_with(3600).await
    }

    /// Its tokens live for so many seconds.
    async fn start_with(life: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let calls = Arc::new(AtomicU64::new(0));
        let server = tokio::spawn(serve(listener, Arc::clone(&calls), life));
        Self { url, calls, server }
    }

    fn calls(&self) -> u64 {
        self.calls.load(SeqCst)
    }

    fn credentials(&self, client_secret: &str) -> Credentials {
        Credentials {
            token_url: self.url.clone(),
            client_id: "client".to_owned(),
            client_secret: client_secret.to_owned(),
        }
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, calls: Arc<AtomicU64>, life: u64) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let calls = Arc::clone(&calls);
        let service = service_fn(move |request| answer(request, Arc::clone(&calls), life));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    calls: Arc<AtomicU64>,
    life: u64,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let number = calls.fetch_add(1, SeqCst) + 1;
    // client:secret
    let is_client = request.headers()["authorization"] == "Basic Y2xpZW50OnNlY3JldA==";
    let form = request.into_body().collect().await.unwrap().to_bytes();
    let is_grant = &form[..] == b"grant_type=client_credentials&scope=read";
    let status = if is_client && is_grant { 200 } else { 401 };
    let body = format!(r#"{{"access_token":"token {number}","expires_in":{life}}}"#);
    Ok(Response::builder().status(status).body(Full::new(body.into())).unwrap())
}

fn provider(fixture: &Fixture, server: &TokenServer) -> TokenProvider {
    let store = TieredStore::new(LocalStore::new(1 << 20), fixture.store());
    let store = store.max_age(Duration::from_hours(2));
    let cache = fixture.over(store).namespace("oauth-tokens").lease(Duration::from_secs(15));
    TokenProvider::new(server.credentials("secret"), cache.build().unwrap()).unwrap()
}

#[tokio::test]
async fn many_callers_of_many_processes_share_a_token_until_shortly_before_its_end() {
    let (fixture, server) = (Fixture::new().await, TokenServer::start().await);
    let processes: Vec<_> = (0..3).map(|_| provider(&fixture, &server)).collect();
    let all = || processes.iter().flat_map(|process| (0..50).map(|_| process.token("read")));
    for expected in ["token 1", "token 2"] {
        for token in in_time(join_all(all())).await {
            assert_eq!(token.unwrap(), expected);
        }
        fixture.clock.advance(Duration::from_mins(59) - Duration::from_secs(1));
        assert_eq!(processes[0].token("read").await.unwrap(), expected);
        fixture.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_short_token_is_used_for_at_least_half_its_life() {
    for life in [30, 60, 240, 300, 600] {
        let (fixture, server) = (Fixture::new().await, TokenServer::start_with(life).await);
        let store = TieredStore::new(LocalStore::new(1 << 20), fixture.store());
        let cache = fixture.over(store.max_age(Duration::from_secs(1))).namespace("oauth-tokens");
        let cache = cache.refresh_ahead(Duration::from_mins(5)).build().unwrap();
        let provider = TokenProvider::new(server.credentials("secret"), cache).unwrap();
        for _ in 0..10 {
            assert_eq!(provider.token("read").await.unwrap(), "token 1", "{life} s");
            fixture.clock.advance(Duration::from_millis(life * 40));
        }
        assert_eq!(server.calls(), 1, "{life} s");
        fixture.clock.advance(Duration::from_secs(life / 8));
        provider.token("read").await.unwrap();
        assert_eq!(server.calls(), 2, "{life} s");
    }
}

#[tokio::test]
async fn a_throttled_cache_costs_a_call_in_each_process_and_no_more() {
    let (fixture, server) = (Fixture::new().await, TokenServer::start().await);
    fixture.aws.faults().inject(Rule::new(Fault::Throttle));
    let processes: Vec<_> = (0..2).map(|_| provider(&fixture, &server)).collect();
    for _ in 0..5 {
        assert_eq!(processes[0].token("read").await.unwrap(), "token 1");
    }
    assert_eq!(processes[1].token("read").await.unwrap(), "token 2");
    assert_eq!(server.calls(), 2);
}

#[tokio::test]
async fn a_refusal_is_an_error_and_is_not_cached() {
    let (fixture, server) = (Fixture::new().await, TokenServer::start().await);
    let provider = TokenProvider::new(server.credentials("wr0ng"), fixture.cache()).unwrap();
    for calls in 1..3 {
        let error = provider.token("read").await.unwrap_err();
        let CacheError::Load { source, .. } = &error else { panic!("{error}") };
        assert!(source.to_string().contains("401"), "{source}");
        assert!(!format!("{error:?}").contains("wr0ng"));
        assert_eq!(server.calls(), calls);
    }
}
