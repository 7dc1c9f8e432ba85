//! An upstream that answers as told, entries, and an HTTP client that sends what it is given.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_extension::{
    Answer, Api, Cache, Entry, Freshness, Item, KeyAttribute, KeyValue, Kind, Load, LoadError,
    Parameter, Request, Server, Source, Token, Upstream, Value,
};
use dynamodb_cache::ManualClock;
use futures::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

pub(crate) const TTL: Duration = Duration::from_secs(100);
pub(crate) const STALE: Duration = Duration::from_secs(1000);
pub(crate) const TOKEN: &str = "session-token";

/// A service in which each name has a value, unless told otherwise.
#[derive(Debug)]
pub(crate) struct Service {
    /// By name; the version is appended to each value that there is.
    failures: Mutex<HashMap<String, LoadError>>,
    version: Mutex<u32>,
    /// The names of each request.
    requests: Mutex<Vec<Vec<String>>>,
    gate: Semaphore,
    panics: AtomicBool,
}

impl Default for Service {
    fn default() -> Self {
        Self {
            failures: Mutex::default(),
            version: Mutex::default(),
            requests: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            panics: AtomicBool::new(false),
        }
    }
}

impl Service {
    /// From now on values have this version.
    pub(crate) fn change(&self, version: u32) {
        *self.version.lock().unwrap() = version;
    }

    pub(crate) fn fail(&self, name: &str, error: LoadError) {
        self.failures.lock().unwrap().insert(name.to_owned(), error);
    }

    pub(crate) fn mend(&self) {
        self.failures.lock().unwrap().clear();
    }

    /// The next request breaks its task.
    pub(crate) fn panic_once(&self) {
        self.panics.store(true, Ordering::Relaxed);
    }

    /// Requests wait until they are let through.
    pub(crate) fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub(crate) fn open(&self) {
        self.gate.add_permits(1000);
    }

    pub(crate) fn requests(&self) -> Vec<Vec<String>> {
        self.requests.lock().unwrap().clone()
    }

    async fn answer(&self, names: Vec<(String, Kind)>) -> Vec<Load> {
        let request = names.iter().map(|(name, _)| name.clone()).collect();
        self.requests.lock().unwrap().push(request);
        self.gate.acquire().await.unwrap().forget();
        self.gate.add_permits(1);
        assert!(!self.panics.swap(false, Ordering::Relaxed), "as told");
        let (failures, version) = (self.failures.lock().unwrap(), *self.version.lock().unwrap());
        let load = |(name, kind): (String, Kind)| match failures.get(&name) {
            Some(error) => Err(error.clone()),
            None => {
                let body = format!("value of {name}, version {version}").into();
                Ok(Value { kind, body }.into())
            }
        };
        names.into_iter().map(load).collect()
    }
}

impl Upstream for Service {
    fn load<'a>(&'a self, batch: &'a [Request]) -> BoxFuture<'a, Vec<Load>> {
        Box::pin(self.answer(batch.iter().map(|request| name(&request.source)).collect()))
    }
}

fn name(source: &Source) -> (String, Kind) {
    match source {
        Source::Parameter(parameter) => (parameter.name.clone(), Kind::Plain),
        Source::Item(item) => (item.name(), Kind::Item),
        Source::Call(call) => (format!("{:?}", call.action), Kind::Call),
    }
}

/// A cache of these entries, with what it stands on.
pub(crate) struct Fixture {
    pub(crate) cache: Cache,
    pub(crate) service: Arc<Service>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Fixture {
    pub(crate) fn new(sources: Vec<Source>) -> Self {
        let entries = sources.into_iter().map(|source| Entry { source, ttl: TTL }).collect();
        let service = Arc::new(Service::default());
        let clock = Arc::new(ManualClock::default());
        let cache = Cache::new(
            entries,
            Arc::clone(&service) as Arc<dyn Upstream>,
            Arc::clone(&clock) as Arc<_>,
            STALE,
        );
        Self { cache, service, clock }
    }

    /// One parameter.
    pub(crate) fn one() -> Self {
        Self::new(vec![parameter("us-east-1", "a")])
    }

    pub(crate) async fn get(&self, index: usize) -> Result<Answer, LoadError> {
        self.cache.get(index, Freshness::Cached).await
    }

    /// The version of the first entry's value.
    pub(crate) async fn version(&self) -> String {
        version(&self.get(0).await.unwrap())
    }

    /// Serves, and returns the port.
    pub(crate) async fn serve(&self, token: Option<&str>) -> u16 {
        let server = Server::bind(0).await.unwrap();
        let port = server.port().unwrap();
        let token = token.map(|token| Token::new(token).unwrap());
        tokio::spawn(server.serve(Api::new(self.cache.clone(), token)));
        port
    }
}

pub(crate) fn version(answer: &Answer) -> String {
    let text = String::from_utf8(answer.value.body.to_vec()).unwrap();
    text.rsplit_once(' ').unwrap().1.to_owned()
}

pub(crate) fn parameter(region: &str, name: &str) -> Source {
    Source::Parameter(Parameter { region: region.to_owned(), name: name.to_owned() })
}

pub(crate) fn item(table: &str, hash: &str, sort: Option<&str>) -> Source {
    let key = |value: &str| KeyAttribute {
        name: "key".to_owned(),
        value: KeyValue::Text(value.to_owned()),
    };
    Source::Item(Item {
        region: "us-east-1".to_owned(),
        table: table.to_owned(),
        hash: key(hash),
        sort: sort.map(key),
    })
}

pub(crate) fn unavailable() -> LoadError {
    LoadError::Unavailable("it is down".to_owned())
}

/// An answer, with the names of its headers in lower case.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// A GET request with the token.
pub(crate) async fn get(port: u16, target: &str) -> Reply {
    send(port, &request(target, &[("X-Aws-Parameters-Secrets-Token", TOKEN)])).await
}

pub(crate) fn request(target: &str, headers: &[(&str, &str)]) -> String {
    let headers: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
}

pub(crate) async fn send(port: u16, request: &str) -> Reply {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    };
    Reply {
        status: status.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.lines().map(header).collect(),
        body: body.to_owned(),
    }
}
