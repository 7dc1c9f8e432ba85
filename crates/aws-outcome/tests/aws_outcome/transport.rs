use aws_config::{BehaviorVersion, SdkConfig};
use aws_outcome::{Cause, Class, CredentialsProblem, Failure, Service};
use aws_sdk_kinesis::Client;
use aws_types::os_shim_internal::{Env, Fs};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::harness::{config, failure, failure_of, serve};

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let failure = failure_of("http://kinesis.invalid").await;
    assert_eq!((failure.cause(), failure.class()), (Cause::Dns, Class::Retryable));
    assert_eq!(failure.to_string(), "the endpoint's host name does not resolve");
}

#[tokio::test]
async fn a_port_where_nothing_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback works");
    let address = listener.local_addr().expect("a bound listener has an address");
    drop(listener);
    let failure = failure_of(&format!("http://{address}")).await;
    assert_eq!((failure.cause(), failure.class()), (Cause::Refused, Class::Retryable));
    assert_eq!(failure.to_string(), "connection refused");
}

#[tokio::test]
async fn a_server_that_closes_the_connection() {
    let failure = failure_of(&serve("").await).await;
    assert_eq!((failure.cause(), failure.class()), (Cause::Connection, Class::Retryable));
}

#[tokio::test]
async fn a_connection_that_is_reset() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback works");
    let endpoint =
        format!("http://{}", listener.local_addr().expect("a bound listener has an address"));
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.expect("loopback works");
            // Closing with unread data makes the kernel send a reset.
            connection.read_u8().await.expect("loopback works");
        }
    });
    let failure = failure_of(&endpoint).await;
    assert_eq!(failure.cause(), Cause::Connection);
    assert_eq!(failure.to_string(), "connection reset");
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback works");
    let failure = failure_of(&format!(
        "http://{}",
        listener.local_addr().expect("a bound listener has an address")
    ))
    .await;
    assert_eq!((failure.cause(), failure.class()), (Cause::Timeout, Class::Retryable));
    assert_eq!(failure.to_string(), "timed out after 1.5s");
}

#[tokio::test]
async fn a_server_without_tls() {
    let endpoint = serve("HTTP/1.1 200 OK\r\n\r\n").await.replace("http:", "https:");
    let failure = failure_of(&endpoint).await;
    assert_eq!((failure.cause(), failure.class()), (Cause::Tls, Class::Operator));
    assert_eq!(failure.to_string(), "the TLS handshake failed");
}

#[tokio::test]
async fn an_endpoint_that_is_no_url() {
    let failure = failure_of("SECRET").await;
    assert_eq!((failure.cause(), failure.class()), (Cause::Configuration, Class::Operator));
    assert_eq!(failure.to_string(), "the endpoint URL is not valid");
}

#[tokio::test]
async fn a_missing_region() {
    let region = None::<aws_config::Region>;
    let no_environment = Env::from_slice(&[("AWS_EC2_METADATA_DISABLED", "true")]);
    let config = config().region(region).env(no_environment).fs(Fs::from_slice(&[]));
    let failure = failure(config.test_credentials()).await;
    assert_eq!((failure.cause(), failure.class()), (Cause::Configuration, Class::Operator));
    assert_eq!(failure.to_string(), "no Region is set");
}

#[tokio::test]
async fn a_client_without_a_credentials_provider() {
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(aws_config::Region::new("us-east-1"));
    let error = Client::new(&config.build()).list_streams().send().await.unwrap_err();
    let failure = Failure::new(Service::Kinesis, &error);
    assert_eq!(failure.cause(), Cause::Credentials(CredentialsProblem::NotFound));
}
