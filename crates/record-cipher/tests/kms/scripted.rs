//! A KMS that answers what a test says, and remembers what it was asked.

use std::future::Future;
use std::sync::{Arc, Mutex};

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kms::config::{Credentials, SharedCredentialsProvider};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request to KMS.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) operation: String,
    pub(crate) region: String,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn key_id(&self) -> &str {
        self.body["KeyId"].as_str().unwrap()
    }
}

/// Status and JSON of an answer.
pub(crate) type Answer = (u16, Value);

pub(crate) struct ScriptedKms {
    endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl ScriptedKms {
    pub(crate) async fn start<F>(answer: impl Fn(Request) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<Request>>>::default();
        let (seen, answer) = (requests.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (seen, answer) = (seen.clone(), answer.clone());
                tokio::spawn(async move {
                    let mut connection = BufReader::new(connection);
                    let request = read(&mut connection).await;
                    seen.lock().unwrap().push(request.clone());
                    let answer = answer(request).await;
                    write(&mut connection, answer).await;
                });
            }
        });
        Self { endpoint, requests }
    }

    pub(crate) async fn answering(
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |request| std::future::ready(answer(&request))).await
    }

    /// A KMS that answers every request with this error code.
    pub(crate) async fn failing(code: &'static str) -> Self {
        Self::answering(move |_| error(code)).await
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn config(&self) -> SdkConfig {
        config(&self.endpoint)
    }
}

pub(crate) fn config(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("id", "secret", None, None, "tests");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("eu-west-1"))
        .retry_config(RetryConfig::disabled())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

pub(crate) fn error(code: &str) -> Answer {
    let status = if code.contains("Internal") { 500 } else { 400 };
    (status, json!({ "__type": code, "message": "marker-of-the-body" }))
}

pub(crate) fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

async fn read(connection: &mut BufReader<TcpStream>) -> Request {
    let (mut operation, mut region, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await.unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "x-amz-target" => operation = value.trim_start_matches("TrentService.").to_owned(),
            "authorization" => region = value.split('/').nth(2).unwrap().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.unwrap();
    Request { operation, region, body: serde_json::from_slice(&body).unwrap() }
}

async fn write(connection: &mut BufReader<TcpStream>, (status, body): Answer) {
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} Answer\r\ncontent-type: application/x-amz-json-1.1\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // A caller that gave up has closed its end.
    let _ = connection.write_all(format!("{head}{body}").as_bytes()).await;
}
