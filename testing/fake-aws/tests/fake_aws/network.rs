use std::io;
use std::time::{Duration, Instant};

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use fake_aws::{FakeAws, Fault, Operation, Rule};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{REGION, config, http};

const SOON: Duration = Duration::from_millis(100);
const PATH: &str = "/bucket/key";

async fn aws_with(fault: Fault) -> FakeAws {
    let aws = FakeAws::start().await.unwrap();
    aws.s3().put(REGION, "bucket", "key", b"0123456789");
    aws.faults().inject(Rule::new(fault).times(1));
    aws
}

async fn get(aws: &FakeAws) -> http::Answer {
    http::send(aws.url(), "GET", PATH, &[http::SIGNED], b"").await
}

/// A connection that is kept for several requests.
async fn connect(aws: &FakeAws) -> TcpStream {
    TcpStream::connect(aws.url().trim_start_matches("http://")).await.unwrap()
}

async fn ask(connection: &mut TcpStream) -> io::Result<usize> {
    let (name, value) = http::SIGNED;
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: localhost\r\n{name}: {value}\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    connection.read(&mut [0; 1024]).await
}

#[tokio::test]
async fn a_connection_answers_and_then_goes_silent() {
    let aws = aws_with(Fault::Silence).await;
    let mut connection = connect(&aws).await;
    assert!(ask(&mut connection).await.unwrap() > 0);
    assert!(timeout(SOON, ask(&mut connection)).await.is_err(), "it is open, without an answer");
    assert_eq!(get(&aws).await.body, "0123456789", "new connections work");
}

#[tokio::test]
async fn open_connections_go_silent_or_break_on_command() {
    let aws = FakeAws::start().await.unwrap();
    aws.s3().put(REGION, "bucket", "key", b"");
    let mut silent = connect(&aws).await;
    ask(&mut silent).await.unwrap();
    aws.silence_connections();
    assert!(timeout(SOON, ask(&mut silent)).await.is_err());
    let mut broken = connect(&aws).await;
    ask(&mut broken).await.unwrap();
    aws.break_connections();
    let error = ask(&mut broken).await.map_err(|error| error.kind());
    assert!(matches!(error, Err(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)));
    assert_eq!(get(&aws).await.status, 200);
}

#[tokio::test]
async fn an_answer_is_cut_in_its_middle() {
    let aws = aws_with(Fault::CutAnswer).await;
    let mut connection = connect(&aws).await;
    ask(&mut connection).await.unwrap();
    let mut rest = Vec::new();
    let end = connection.read_to_end(&mut rest).await.map_err(|error| error.kind());
    assert_eq!(end, Err(io::ErrorKind::ConnectionReset));
    assert_eq!(get(&aws).await.body, "0123456789");
}

#[tokio::test]
async fn an_answer_comes_slowly_and_whole() {
    let pause = Duration::from_millis(5);
    let aws = aws_with(Fault::SlowAnswer { pause }).await;
    let body = "0123456789".repeat(64);
    aws.s3().put(REGION, "bucket", "key", body.as_bytes());
    #[expect(clippy::disallowed_methods, reason = "the server runs in real time")]
    let started = Instant::now();
    let answer = get(&aws).await;
    assert_eq!((answer.status, answer.body), (200, body));
    assert!(started.elapsed() >= 10 * pause);
}

#[tokio::test]
async fn pages_of_html_are_those_of_proxies() {
    let aws = aws_with(Fault::HtmlPage { status: 502 }).await;
    let answer = get(&aws).await;
    assert_eq!((answer.status, answer.headers["content-type"].as_str()), (502, "text/html"));
    aws.faults().inject(Rule::new(Fault::TooLarge { limit: 3 }).operation(Operation::PutObject));
    for (body, status) in [("123", 200), ("1234", 413)] {
        let put = http::send(aws.url(), "PUT", PATH, &[http::SIGNED], body.as_bytes()).await;
        assert_eq!(put.status, status);
    }
}

#[tokio::test]
async fn credentials_expire_and_come_back() {
    let aws = FakeAws::start().await.unwrap();
    let token = || async {
        let answer = http::send(
            aws.url(),
            "GET",
            aws.credentials_url().trim_start_matches(aws.url()),
            &[],
            b"",
        )
        .await;
        let body: Option<serde_json::Value> = serde_json::from_str(&answer.body).ok();
        body.map(|body| body["Token"].as_str().unwrap().to_owned())
    };
    let code = |token: String| {
        let credentials = aws_sdk_kms::config::Credentials::new("id", "s", Some(token), None, "t");
        let credentials = aws_sdk_kms::config::SharedCredentialsProvider::new(credentials);
        let config = config(&aws, REGION).into_builder().credentials_provider(credentials).build();
        let key = aws_sdk_kms::Client::new(&config).describe_key().key_id("alias/records");
        async { key.send().await.err().map(SdkError::into_service_error) }
    };
    let first = token().await.unwrap();
    assert!(code(first.clone()).await.is_none());
    aws.expire_credentials();
    assert_eq!(code(first).await.unwrap().code(), Some("ExpiredTokenException"));
    assert_eq!(token().await, None);
    aws.renew_credentials();
    assert!(code(token().await.unwrap()).await.is_none());
}

#[tokio::test]
async fn an_extension_hears_of_each_invocation() {
    let aws = FakeAws::start().await.unwrap();
    let register = "/2020-01-01/extension/register";
    let answer = http::send(aws.url(), "POST", register, &[], b"{}").await;
    assert_eq!(answer.headers["lambda-extension-identifier"], "extension");
    let next = http::send(aws.url(), "GET", "/2020-01-01/extension/event/next", &[], b"");
    let (event, ()) = tokio::join!(next, async {
        aws.extensions_api().asked(1).await;
        aws.extensions_api().invoke();
    });
    assert!(event.body.contains("INVOKE"), "{}", event.body);
}
