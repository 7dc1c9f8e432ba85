//! The program, between the Extensions API and Systems Manager, both played here.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "markedValue";
const TOKEN: &str = "markedToken";

/// Lambda and Systems Manager.
#[derive(Debug)]
struct Aws {
    url: String,
    /// What was asked for, in its order: `register`, `next` or `GetParameters`.
    calls: Mutex<Vec<&'static str>>,
    changed: Notify,
    events: mpsc::UnboundedSender<Value>,
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Value>>,
    hangs: AtomicBool,
}

impl Aws {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (events, waiting) = mpsc::unbounded_channel();
        let aws = Arc::new(Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            calls: Mutex::default(),
            changed: Notify::new(),
            events,
            waiting: tokio::sync::Mutex::new(waiting),
            hangs: AtomicBool::new(false),
        });
        let answering = Arc::clone(&aws);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let aws = Arc::clone(&answering);
                tokio::spawn(async move {
                    let answer = service_fn(|request| aws.answer(request));
                    let _ =
                        http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        });
        aws
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let (call, answer) = match head.uri.path() {
            "/2020-01-01/extension/register" => {
                assert_eq!(head.headers["lambda-extension-name"], "cache-extension");
                let events: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(events, json!({ "events": ["INVOKE", "SHUTDOWN"] }));
                ("register", json!({ "functionName": "f", "functionVersion": "1", "handler": "h" }))
            }
            "/2020-01-01/extension/event/next" => {
                assert_eq!(head.headers["lambda-extension-identifier"], "id");
                self.called("next");
                let event = self.waiting.lock().await.recv().await.unwrap();
                return Ok(Response::new(event.to_string().into()));
            }
            _ => match head.headers["x-amz-target"].to_str().unwrap() {
                "AmazonSSM.GetParameters" => ("GetParameters", parameters(&body)),
                "AmazonSSM.GetParameter" => ("GetParameter", parameter(&body)),
                "secretsmanager.GetSecretValue" => ("GetSecretValue", secret(&body)),
                other => panic!("{other}"),
            },
        };
        self.called(call);
        if call == "GetParameters" && self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let answer = Response::builder().header("lambda-extension-identifier", "id").body(answer);
        Ok(answer.unwrap().map(|answer| answer.to_string().into()))
    }

    fn called(&self, call: &'static str) {
        self.calls.lock().unwrap().push(call);
        self.changed.notify_waiters();
    }

    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits until there were so many calls.
    async fn wait_for(&self, calls: usize) -> Vec<&'static str> {
        let enough = async {
            loop {
                let changed = self.changed.notified();
                if self.calls().len() >= calls {
                    return self.calls();
                }
                changed.await;
            }
        };
        timeout(PATIENCE, enough).await.unwrap_or_else(|_| panic!("{:?}", self.calls()))
    }

    fn invoke(&self) {
        let event = json!({
            "eventType": "INVOKE",
            "deadlineMs": 676_051,
            "requestId": "1",
            "invokedFunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
            "tracing": { "type": "X-Amzn-Trace-Id", "value": "" },
        });
        self.events.send(event).unwrap();
    }

    fn shut_down(&self) {
        let event =
            json!({ "eventType": "SHUTDOWN", "shutdownReason": "spindown", "deadlineMs": 676_051 });
        self.events.send(event).unwrap();
    }
}

fn parameters(request: &[u8]) -> Value {
    let request: Value = serde_json::from_slice(request).unwrap();
    let found = request["Names"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| json!({ "Name": name, "Type": "SecureString", "Value": SECRET }));
    json!({ "Parameters": found.collect::<Vec<_>>(), "InvalidParameters": [] })
}

fn parameter(request: &[u8]) -> Value {
    let request: Value = serde_json::from_slice(request).unwrap();
    let is_decrypted = request["WithDecryption"] == true;
    json!({ "Parameter": {
        "ARN": "arn:aws:ssm:us-east-1:000000000000:parameter/a",
        "DataType": "text",
        "LastModifiedDate": 1_670_369_342.045,
        "Name": request["Name"],
        "Type": "SecureString",
        "Value": if is_decrypted { SECRET } else { "AQICAHg=" },
        "Version": 7,
    } })
}

fn secret(request: &[u8]) -> Value {
    let request: Value = serde_json::from_slice(request).unwrap();
    json!({
        "ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s-AbCdEf",
        "CreatedDate": 1_670_369_342.045,
        "Name": request["SecretId"],
        "SecretString": SECRET,
        "VersionId": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE",
        "VersionStages": ["AWSCURRENT"],
    })
}

fn config(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path
}

fn command(aws: &Aws, config: PathBuf, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-extension"));
    command
        .env_clear()
        .env("AWS_LAMBDA_RUNTIME_API", aws.url.trim_start_matches("http://"))
        .env("AWS_ENDPOINT_URL", &aws.url)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_SESSION_TOKEN", TOKEN)
        .env("AWS_LAMBDA_LOG_LEVEL", "TRACE")
        .env("LOG_SENSITIVE_BODIES", "true")
        .env("CACHE_EXTENSION_CONFIG", config)
        .env("CACHE_EXTENSION_PORT", port.to_string())
        .env("CACHE_EXTENSION_TTL", "1s")
        // Any free one: tests run side by side.
        .env("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", (port ^ 1).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

async fn ended(extension: Child) -> Output {
    timeout(PATIENCE, extension.wait_with_output()).await.unwrap().unwrap()
}

/// The body of the answer, if that is good.
async fn get(port: u16, name: &str) -> Option<String> {
    get_target(port, &format!("/parameters?name={name}")).await
}

async fn get_target(port: u16, target: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         X-Aws-Parameters-Secrets-Token: {TOKEN}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

#[tokio::test]
async fn it_is_ready_before_the_first_invocation_and_ends_when_it_is_told_to() {
    let aws = Aws::start().await;
    let config = config("life.yaml", "parameters: [{region: us-east-1, names: [a, b]}]");
    let port = free_port().await;
    let extension = command(&aws, config, port).spawn().unwrap();
    assert_eq!(aws.wait_for(3).await, ["register", "GetParameters", "next"]);
    assert_eq!(get(port, "a").await.as_deref(), Some(SECRET));
    assert_eq!(get(port, "c").await, None);
    assert_eq!(aws.calls().len(), 3);
    aws.shut_down();
    let output = ended(extension).await;
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(log.contains("cache filled") && log.contains("spindown"), "{log}");
    assert!(!log.contains(SECRET) && !log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn values_are_loaded_again_while_an_invocation_runs_and_not_between_two() {
    let aws = Aws::start().await;
    let config = config("refresh.yaml", "parameters: [{region: us-east-1, names: [a]}]");
    let port = free_port().await;
    let _extension = command(&aws, config, port).spawn().unwrap();
    aws.wait_for(3).await;
    get(port, "a").await.unwrap();
    // The process has only real clocks.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(aws.calls().len(), 3);
    aws.invoke();
    assert_eq!(aws.wait_for(5).await[3..], ["GetParameters", "next"]);
}

#[tokio::test]
async fn a_service_that_does_not_answer_holds_no_invocation_up_for_long() {
    let aws = Aws::start().await;
    let config = config("hangs.yaml", "parameters: [{region: us-east-1, names: [a]}]");
    let port = free_port().await;
    let _extension = command(&aws, config, port).spawn().unwrap();
    aws.wait_for(3).await;
    get(port, "a").await.unwrap();
    aws.hangs.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    aws.invoke();
    let next = async {
        while aws.calls().iter().filter(|call| **call == "next").count() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, next).await.unwrap();
    assert_eq!(get(port, "a").await.as_deref(), Some(SECRET), "it is stale, and better than none");
}

/// As a function that has AWS's extension: no configuration, and its environment variables.
#[tokio::test]
async fn without_a_configuration_it_answers_as_awss_extension_does() {
    let aws = Aws::start().await;
    let (port, aws_port) = (free_port().await, free_port().await);
    let mut command = command(&aws, PathBuf::new(), port);
    command.env_remove("CACHE_EXTENSION_CONFIG").env_remove("CACHE_EXTENSION_TTL");
    command
        .env("PARAMETERS_SECRETS_EXTENSION_HTTP_PORT", aws_port.to_string())
        .env("PARAMETERS_SECRETS_EXTENSION_CACHE_ENABLED", "true")
        .env("PARAMETERS_SECRETS_EXTENSION_CACHE_SIZE", "500")
        .env("PARAMETERS_SECRETS_EXTENSION_LOG_LEVEL", "info")
        .env("PARAMETERS_SECRETS_EXTENSION_MAX_CONNECTIONS", "3")
        .env("SSM_PARAMETER_STORE_TTL", "100")
        .env("SSM_PARAMETER_STORE_TIMEOUT_MILLIS", "5000")
        .env("SECRETS_MANAGER_TTL", "300")
        .env("SECRETS_MANAGER_TIMEOUT_MILLIS", "0");
    let extension = command.spawn().unwrap();
    assert_eq!(aws.wait_for(2).await, ["register", "next"]);
    let json = async |target: &str| -> Value {
        serde_json::from_str(&get_target(aws_port, target).await.unwrap()).unwrap()
    };
    for _ in 0..2 {
        let target = "/systemsmanager/parameters/get?name=%2Fa&withDecryption=true";
        let expected = json!({
            "Parameter": {
                "ARN": "arn:aws:ssm:us-east-1:000000000000:parameter/a",
                "DataType": "text",
                "LastModifiedDate": "2022-12-06T23:29:02.045Z",
                "Name": "/a",
                "Selector": null,
                "SourceResult": null,
                "Type": "SecureString",
                "Value": SECRET,
                "Version": 7,
            },
            "ResultMetadata": {},
        });
        assert_eq!(json(target).await, expected);
        let encrypted = json("/systemsmanager/parameters/get/?name=/a").await;
        assert_eq!(encrypted["Parameter"]["Value"], "AQICAHg=");
        let expected = json!({
            "ARN": "arn:aws:secretsmanager:us-east-1:000000000000:secret:s-AbCdEf",
            "CreatedDate": "2022-12-06T23:29:02.045Z",
            "Name": "s",
            "SecretBinary": null,
            "SecretString": SECRET,
            "VersionId": "EXAMPLE1-90ab-cdef-fedc-ba987EXAMPLE",
            "VersionStages": ["AWSCURRENT"],
            "ResultMetadata": {},
        });
        assert_eq!(json("/secretsmanager/get?secretId=s").await, expected);
    }
    assert_eq!(aws.calls()[2..], ["GetParameter", "GetParameter", "GetSecretValue"]);
    aws.shut_down();
    let output = ended(extension).await;
    let log = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(!log.contains(SECRET) && !log.contains(TOKEN), "{log}");
}

#[tokio::test]
async fn it_does_not_start_with_a_mistake_and_says_where_that_is() {
    let aws = Aws::start().await;
    let good = || config("good.yaml", "parameters: []");
    let port = free_port().await;
    let wrong_file = command(&aws, config("wrong.yaml", "\nparameter: []"), port);
    let mut wrong_setting = command(&aws, good(), port);
    wrong_setting.env("CACHE_TIMEOUT_IN_MINUTES", "0").env_remove("CACHE_EXTENSION_TTL");
    let mut no_token = command(&aws, good(), port);
    no_token.env_remove("AWS_SESSION_TOKEN");
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
    let taken_port = command(&aws, good(), taken.local_addr().unwrap().port());
    for (mut command, expected) in [
        (wrong_file, "wrong.yaml:2: parameter: unknown field"),
        (wrong_setting, "CACHE_TIMEOUT_IN_MINUTES is \"0\": expected a number of minutes from 1"),
        (no_token, "CACHE_EXTENSION_REQUIRE_TOKEN=false"),
        (taken_port, "of 127.0.0.1 cannot be bound"),
    ] {
        let output = ended(command.spawn().unwrap()).await;
        let log = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!output.status.success());
        assert!(log.contains(expected), "{log}");
    }
    assert_eq!(aws.calls().len(), 0);
}
