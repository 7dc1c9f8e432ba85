use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_outcome::{Failure, Service};
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Credentials;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub(crate) fn config() -> ConfigLoader {
    let timeouts =
        TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(1500)).build();
    aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
}

/// How a request to `endpoint` with good credentials fails.
pub(crate) async fn failure_of(endpoint: &str) -> Failure {
    let credentials = Credentials::new("AKID", "SECRET", None, None, "test");
    failure(config().credentials_provider(credentials).endpoint_url(endpoint)).await
}

pub(crate) async fn failure(config: ConfigLoader) -> Failure {
    let client = Client::new(&config.load().await);
    let error = client.list_streams().send().await.expect_err("the request must fail");
    Failure::new(Service::Kinesis, &error)
}

/// Answers `answer` to every request on an address of its own, and then closes the connection.
pub(crate) async fn serve(answer: impl Into<Vec<u8>>) -> String {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback works");
    let address = listener.local_addr().expect("a bound listener has an address");
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.expect("loopback works");
            let mut request = [0; 4096];
            // Requests of these tests fit into one segment on loopback.
            if connection.read(&mut request).await.is_ok() {
                let _ = connection.write_all(&answer).await;
            }
        }
    });
    format!("http://{address}")
}

/// An answer of a service with AWS's JSON protocol.
pub(crate) fn json_error(status: u16, code: &str, message: &str, headers: &str) -> String {
    let body = format!(r#"{{"__type":"com.amazonaws.kinesis#{code}","message":"{message}"}}"#);
    answer(status, "application/x-amz-json-1.1", headers, &body)
}

pub(crate) fn answer(status: u16, content_type: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\
         connection: close\r\n{headers}\r\n{body}"
    )
}
