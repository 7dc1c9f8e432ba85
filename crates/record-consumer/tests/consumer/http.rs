//! Requests that DynamoDB, or something in front of it, refuses as a whole, seen by a real HTTP client.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use record_cipher::RecordCipher;
use record_consumer::DynamoDbTable;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::fixture::{FakeQuarantine, builder, cipher, deliver, event};

const STREAM: &str = "records";

/// What is answered to a request that is refused.
#[derive(Debug, Clone, Copy)]
enum Refusal {
    /// Status, type and body.
    Answer(&'static str, &'static str, &'static str),
    /// The answer is sent before the request has been read, and the connection is closed.
    Early(&'static str),
    /// The connection is reset while the request is being sent.
    Reset,
}
use Refusal::{Answer, Early, Reset};

/// Whether a request is refused.
#[derive(Debug, Clone, Copy)]
enum Refused {
    /// It has this text.
    With(&'static str),
    /// It is longer.
    Above(usize),
}

/// A DynamoDB that refuses some requests and takes all others.
#[derive(Clone)]
struct Server {
    refused: Refused,
    refusal: Refusal,
    /// The `id` of each item that it took.
    taken: Arc<Mutex<BTreeSet<String>>>,
}

impl Server {
    /// Returns the URL.
    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = self.clone();
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let server = server.clone();
                // A client that closes its connection ends this, too.
                tokio::spawn(async move { server.serve(connection).await });
            }
        });
        url
    }

    async fn serve(self, connection: TcpStream) -> io::Result<()> {
        let mut connection = BufStream::new(connection);
        loop {
            let length = content_length(&mut connection).await?;
            if let (Refused::Above(limit), Early(_) | Reset) = (self.refused, self.refusal)
                && length > limit
            {
                if let Early(status) = self.refusal {
                    respond(&mut connection, status, "text/plain", "").await?;
                }
                // Closing with unread data makes the kernel send a reset.
                return Ok(());
            }
            let mut body = vec![0; length];
            connection.read_exact(&mut body).await?;
            let body = String::from_utf8(body).unwrap();
            let is_refused = match self.refused {
                Refused::With(text) => body.contains(text),
                Refused::Above(limit) => length > limit,
            };
            match self.refusal {
                Answer(status, kind, text) if is_refused => {
                    respond(&mut connection, status, kind, text).await?;
                }
                _ if is_refused => return Ok(()),
                _ => {
                    self.taken.lock().unwrap().extend(ids(&body));
                    respond(&mut connection, "200 OK", "application/x-amz-json-1.0", "{}").await?;
                }
            }
        }
    }
}

async fn content_length(connection: &mut BufStream<TcpStream>) -> io::Result<usize> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if connection.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap(),
            None if line.trim().is_empty() => return Ok(length),
            _ => {}
        }
    }
}

async fn respond(
    connection: &mut BufStream<TcpStream>,
    status: &str,
    kind: &str,
    body: &str,
) -> io::Result<()> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n");
    connection.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    connection.flush().await
}

/// The ids of the items in a `BatchWriteItem` or a `PutItem`.
fn ids(body: &str) -> Vec<String> {
    let request: Value = serde_json::from_str(body).unwrap();
    let items = match request["RequestItems"]["items"].as_array() {
        Some(requests) => requests.iter().map(|put| &put["PutRequest"]["Item"]).collect(),
        None => vec![&request["Item"]],
    };
    items.into_iter().map(|item| item["id"]["S"].as_str().unwrap().to_owned()).collect()
}

/// What became of the records.
#[derive(Debug, PartialEq)]
struct Outcome {
    taken: Vec<String>,
    reported: Vec<String>,
    /// Sequence numbers and reasons.
    quarantined: Vec<(String, String)>,
}

async fn handle(
    cipher: &RecordCipher,
    (refused, refusal): (Refused, Refusal),
    has_versions: bool,
    plaintexts: &[String],
    timeout: Duration,
) -> Outcome {
    let server = Server { refused, refusal, taken: Arc::default() };
    let credentials = Credentials::new("id", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(server.start().await)
        .build();
    let quarantine = FakeQuarantine::default();
    let table = DynamoDbTable::new(&config, "items").unwrap();
    let builder = builder(cipher, table).quarantine(quarantine.clone());
    let builder = if has_versions { builder.version_attribute("v") } else { builder };
    let stream = STREAM.parse().unwrap();
    let mut records = Vec::new();
    for (at, plaintext) in plaintexts.iter().enumerate() {
        let message = cipher.encrypt(&stream, plaintext.clone().into_bytes()).await.unwrap();
        records.push((at + 1, message.message));
    }
    let deadline = Instant::now() + timeout;
    let reported = deliver(&builder.build().unwrap(), event(records), deadline).await;
    let taken = server.taken.lock().unwrap().iter().cloned().collect();
    let numbers = quarantine.sequence_numbers().into_iter();
    Outcome { taken, reported, quarantined: numbers.zip(quarantine.reasons()).collect() }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Five records. The third one has the text `culprit`.
fn five() -> Vec<String> {
    let record = |id: char| match id {
        'c' => r#"{"id":"c","v":3,"text":"culprit"}"#.to_owned(),
        id => format!(r#"{{"id":"{id}","v":1}}"#),
    };
    ('a'..='e').map(record).collect()
}

const PAGE: &str = "<!DOCTYPE html><html><body>no</body></html>";
const JSON: &str = "application/x-amz-json-1.0";

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_is_refused_by_itself_is_quarantined_and_the_others_are_written() {
    let cipher = cipher();
    let too_large = "DynamoDB rejects the item: the request is too large (HTTP 413)";
    for (refusal, reason) in [
        (Answer("413 Content Too Large", "text/plain", ""), too_large),
        (Answer("413 Content Too Large", "text/html", PAGE), too_large),
        (Answer("413 Content Too Large", JSON, "{}"), too_large),
        (
            Answer("400 Bad Request", JSON, r#"{"__type":"com.amazon.coral#ValidationException"}"#),
            "DynamoDB rejects the item: the request is not valid (ValidationException)",
        ),
    ] {
        for has_versions in [false, true] {
            let refused = (Refused::With("culprit"), refusal);
            let timeout = Duration::from_secs(60);
            let outcome = handle(&cipher, refused, has_versions, &five(), timeout).await;
            let expected = Outcome {
                taken: texts(&["a", "b", "d", "e"]),
                reported: Vec::new(),
                quarantined: vec![("3".to_owned(), reason.to_owned())],
            };
            assert_eq!(outcome, expected, "{refusal:?}, versions {has_versions}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_too_large_is_sent_in_parts() {
    let cipher = cipher();
    let text = "x".repeat(40_000);
    let records: Vec<_> =
        (10..40).map(|id| format!(r#"{{"id":"{id}","v":1,"text":"{text}"}}"#)).collect();
    for refusal in
        [Answer("413 Content Too Large", "text/html", PAGE), Early("413 Content Too Large"), Reset]
    {
        let refused = (Refused::Above(200_000), refusal);
        let outcome = handle(&cipher, refused, false, &records, Duration::from_secs(60)).await;
        let taken = (10..40).map(|id| id.to_string()).collect();
        let expected = Outcome { taken, reported: Vec::new(), quarantined: Vec::new() };
        assert_eq!(outcome, expected, "{refusal:?}");
    }
}

/// The connection and a proxy say nothing about an item, so it is not quarantined.
#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_only_the_network_refuses_is_reported() {
    let cipher = cipher();
    for refusal in [Reset, Answer("403 Forbidden", "text/html", PAGE)] {
        let refused = (Refused::With("culprit"), refusal);
        let outcome = handle(&cipher, refused, true, &five(), Duration::from_secs(4)).await;
        assert_eq!(outcome.reported.first().map(String::as_str), Some("3"), "{refusal:?}");
        assert!(outcome.taken.starts_with(&texts(&["a", "b"])), "{refusal:?}");
        assert!(outcome.quarantined.is_empty(), "{refusal:?}");
    }
}
