//! The clients of the AWS SDK, before a service that answers as told.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_sdk_ssm::config::{Credentials, SharedCredentialsProvider};
use cache_extension::{
    Aws, Entry, Freshness, Item, KeyAttribute, KeyValue, Kind, Load, LoadError, Parameter,
    Request as Wanted, Source, Timeouts, Upstream,
};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the service does with a request.
#[derive(Debug, Clone)]
enum Behaviour {
    Answer(u16, Value),
    /// As a connection does that a freeze has killed.
    Silence,
}

/// A request: its Region, its operation and its content.
type Call = (String, String, Value);

#[derive(Debug, Default)]
struct Service {
    script: Mutex<VecDeque<Behaviour>>,
    calls: Mutex<Vec<Call>>,
    /// Requests that are being answered, and the most of them at a time.
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Service {
    fn most_at_once(&self) -> usize {
        self.most_at_once.load(SeqCst)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let header = |name: &str| request.headers()[name].to_str().unwrap().to_owned();
        let region = header("authorization").split('/').nth(2).unwrap().to_owned();
        let operation = header("x-amz-target").rsplit_once('.').unwrap().1.to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let content = serde_json::from_slice(&body).unwrap();
        self.calls.lock().unwrap().push((region, operation, content));
        let at_once = self.at_once.fetch_add(1, SeqCst) + 1;
        self.most_at_once.fetch_max(at_once, SeqCst);
        tokio::task::yield_now().await;
        self.at_once.fetch_sub(1, SeqCst);
        let behaviour = self.script.lock().unwrap().pop_front().unwrap();
        match behaviour {
            Behaviour::Silence => std::future::pending().await,
            Behaviour::Answer(status, body) => {
                let answer = Response::builder().status(status);
                Ok(answer.body(body.to_string().into()).unwrap())
            }
        }
    }
}

/// Starts a service, and makes the clients for these entries.
async fn started(requests: &[Wanted], script: Vec<Behaviour>) -> (Aws, Arc<Service>) {
    let service = Arc::new(Service { script: Mutex::new(script.into()), ..Service::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = Arc::clone(&service);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = Arc::clone(&answering);
            tokio::spawn(async move {
                let answer = service_fn(|request| service.answer(request));
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
            });
        }
    });
    let credentials = Credentials::new("id", "secret", None, None, "test");
    let config = cache_extension::aws_config(Timeouts::default()).await;
    let config = config
        .to_builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .build();
    let entry = |request: &Wanted| Entry { source: request.source.clone(), ttl: request.ttl };
    let entries: Vec<_> = requests.iter().map(entry).collect();
    (Aws::new(&config, &entries), service)
}

const TTL: Duration = Duration::from_secs(1);

fn wanted(source: Source) -> Wanted {
    Wanted { source, ttl: TTL, freshness: Freshness::Cached }
}

fn named(names: &[&str]) -> Vec<Wanted> {
    let parameter = |name: &&str| {
        let (region, name) = ("eu-west-1".to_owned(), (*name).to_owned());
        wanted(Source::Parameter(Parameter { region, name }))
    };
    names.iter().map(parameter).collect()
}

async fn load(names: &[&str], script: Vec<Behaviour>) -> (Vec<Load>, Vec<Call>) {
    let parameters = named(names);
    let (aws, service) = started(&parameters, script).await;
    let loads = aws.load(&parameters).await;
    let calls = service.calls.lock().unwrap().clone();
    (loads, calls)
}

fn found(name: &str, kind: &str, value: &str) -> Value {
    let arn = format!("arn:aws:ssm:eu-west-1:000000000000:parameter/{name}");
    json!({ "Name": name, "ARN": arn, "Type": kind, "Value": value, "Version": 7 })
}

fn answer(parameters: &[Value]) -> Behaviour {
    Behaviour::Answer(200, json!({ "Parameters": parameters, "InvalidParameters": [] }))
}

fn error(status: u16, code: &str) -> Behaviour {
    Behaviour::Answer(status, json!({ "__type": code, "message": "marked" }))
}

fn body(load: &Load) -> &str {
    std::str::from_utf8(&load.as_ref().unwrap().value.body).unwrap()
}

#[tokio::test]
async fn parameters_are_decrypted_and_told_apart_in_any_order() {
    let names = ["secret", "plain", "missing", "plain:3", "/aws/reference/secretsmanager/password"];
    let mut versioned = found("plain", "String", "third");
    versioned["Selector"] = json!(":3");
    let answer = answer(&[
        versioned,
        found("/aws/reference/secretsmanager/password", "SecureString", "p"),
        found("plain", "StringList", "a,b"),
        found("secret", "SecureString", "s"),
    ]);
    let (loads, calls) = load(&names, vec![answer]).await;
    assert_eq!([0, 1, 3, 4].map(|index| body(&loads[index])), ["s", "a,b", "third", "p"]);
    let kinds = [0, 1, 4].map(|index| loads[index].as_ref().unwrap().value.kind);
    assert_eq!(kinds, [Kind::Secret, Kind::Plain, Kind::Secret]);
    let text = "Systems Manager in eu-west-1 has no parameter missing".to_owned();
    assert_eq!(loads[2], Err(LoadError::NotFound(text)));
    let [(region, operation, content)] = calls.as_slice() else { panic!("{calls:?}") };
    assert_eq!((region.as_str(), operation.as_str()), ("eu-west-1", "GetParameters"));
    assert_eq!(content["WithDecryption"], true);
    assert_eq!(content["Names"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_shared_parameter_is_found_by_its_arn() {
    let arn = "arn:aws:ssm:eu-west-1:000000000000:parameter/shared";
    let (loads, _) = load(&[arn], vec![answer(&[found("shared", "String", "v")])]).await;
    assert_eq!(body(&loads[0]), "v");
}

#[tokio::test]
async fn one_parameter_that_is_refused_takes_no_other_with_it() {
    let script = vec![
        error(400, "AccessDeniedException"),
        answer(&[found("a", "String", "1")]),
        error(400, "AccessDeniedException"),
        error(400, "AccessDeniedException"),
    ];
    let (loads, calls) = load(&["a", "b"], script).await;
    assert_eq!(calls.len(), 4, "the one that is refused is asked for twice");
    let refused = loads.iter().filter(|load| matches!(load, Err(LoadError::Refused(_)))).count();
    assert_eq!(refused, 1);
}

#[tokio::test]
async fn errors_have_aws_codes_and_nothing_of_its_texts() {
    for (status, code, cause, expected) in [
        (400, "ThrottlingException", "throttled", LoadError::Unavailable as fn(_) -> _),
        (400, "ExpiredTokenException", "the security token has expired", LoadError::Unavailable),
        (500, "InternalServerError", "the service is unavailable", LoadError::Unavailable),
        (400, "AccessDeniedException", "access denied", LoadError::Refused),
        (400, "InvalidKeyId", "the state of the resource does not allow it", LoadError::Refused),
    ] {
        let (loads, _) = load(&["a"], vec![error(status, code); 3]).await;
        let text = format!("Systems Manager in eu-west-1: {cause} ({code})");
        assert_eq!(loads, [Err(expected(text))]);
    }
}

/// The first request opens the connection, the second finds it dead.
#[tokio::test]
async fn a_connection_that_died_in_a_freeze_costs_one_attempt() {
    let parameters = named(&["a"]);
    let value = |text: &str| answer(&[found("a", "String", text)]);
    let script = vec![value("1"), Behaviour::Silence, value("2")];
    let (aws, service) = started(&parameters, script).await;
    assert_eq!(body(&aws.load(&parameters).await[0]), "1");
    let second = aws.load(&parameters);
    let second = tokio::time::timeout(Duration::from_secs(20), second).await.unwrap();
    assert_eq!(body(&second[0]), "2");
    assert_eq!(service.calls.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn an_item_is_asked_for_by_its_typed_key() {
    let key = |name: &str, value| KeyAttribute { name: name.to_owned(), value };
    let item = Item {
        region: "us-east-1".to_owned(),
        table: "table".to_owned(),
        hash: key("h", KeyValue::Number("7".to_owned())),
        sort: Some(key("s", KeyValue::Binary { bytes: vec![1], base64: "AQ==".to_owned() })),
    };
    let script = vec![
        Behaviour::Answer(200, json!({ "Item": { "h": { "N": "7" }, "x": { "BOOL": true } } })),
        Behaviour::Answer(200, json!({})),
    ];
    let request = [wanted(Source::Item(item))];
    let (aws, service) = started(&request, script).await;
    let load = aws.load(&request).await.remove(0);
    assert_eq!(body(&load), r#"{"h":7,"x":true}"#);
    assert_eq!(load.unwrap().value.kind, Kind::Item);
    let missing = aws.load(&request).await.remove(0);
    let text = "table table in us-east-1: the item does not exist".to_owned();
    assert_eq!(missing, Err(LoadError::NotFound(text)));
    let (region, operation, content) = service.calls.lock().unwrap()[0].clone();
    assert_eq!((region.as_str(), operation.as_str()), ("us-east-1", "GetItem"));
    assert_eq!(content["Key"], json!({ "h": { "N": "7" }, "s": { "B": "AQ==" } }));
}

#[tokio::test]
async fn what_is_refused_once_or_skewed_is_asked_for_again() {
    for code in ["AccessDeniedException", "RequestExpired", "ExpiredTokenException"] {
        let script = vec![error(400, code), answer(&[found("a", "String", "1")])];
        let (loads, calls) = load(&["a"], script).await;
        assert_eq!((body(&loads[0]), calls.len()), ("1", 2), "{code}");
    }
    let found = answer(&[found("a", "String", "1"), found("b", "String", "2")]);
    let script = vec![error(400, "RequestExpired"), found];
    let (loads, calls) = load(&["a", "b"], script).await;
    assert_eq!((body(&loads[1]), calls.len()), ("2", 2), "the others are not asked for one by one");
}

fn item(table: &str, number: &str) -> Wanted {
    let hash = KeyAttribute { name: "h".to_owned(), value: KeyValue::Number(number.to_owned()) };
    let (region, table) = ("us-east-1".to_owned(), table.to_owned());
    wanted(Source::Item(Item { region, table, hash, sort: None }))
}

fn stored(number: &str) -> Value {
    json!({ "h": { "N": number }, "x": { "S": number } })
}

#[tokio::test]
async fn items_are_asked_for_together_and_told_apart() {
    let requests = [item("t", "1"), item("u", "1"), item("t", "007"), item("t", "9")];
    let batch = json!({
        "Responses": { "u": [stored("1")], "t": [stored("7")] },
        "UnprocessedKeys": { "t": { "Keys": [{ "h": { "N": "1" } }] } },
    });
    let rest = json!({ "Responses": { "t": [stored("1")] }, "UnprocessedKeys": {} });
    let script = vec![
        Behaviour::Answer(200, batch),
        Behaviour::Answer(200, rest),
        // Another form of the number, and one that is missing.
        Behaviour::Answer(200, json!({ "Item": stored("7") })),
        Behaviour::Answer(200, json!({})),
    ];
    let (aws, service) = started(&requests, script).await;
    let loads = aws.load(&requests).await;
    assert_eq!(body(&loads[0]), r#"{"h":1,"x":"1"}"#);
    assert_eq!(body(&loads[1]), r#"{"h":1,"x":"1"}"#);
    assert_eq!(loads[2..].iter().filter(|load| load.is_ok()).count(), 1);
    let calls: Vec<_> =
        service.calls.lock().unwrap().iter().map(|(_, operation, _)| operation.clone()).collect();
    assert_eq!(calls, ["BatchGetItem", "BatchGetItem", "GetItem", "GetItem"]);
}

#[tokio::test]
async fn without_the_permission_for_batches_items_are_asked_for_one_by_one() {
    let requests: Vec<_> = (0..40).map(|number| item("t", &number.to_string())).collect();
    let mut script = vec![error(400, "AccessDeniedException")];
    script.extend((0..40).map(|_| Behaviour::Answer(200, json!({ "Item": stored("1") }))));
    let (aws, service) = started(&requests, script).await;
    assert!(aws.load(&requests).await.iter().all(Result::is_ok));
    assert_eq!(service.calls.lock().unwrap().len(), 41);
    assert!(service.most_at_once() <= 16, "{}", service.most_at_once());
}
