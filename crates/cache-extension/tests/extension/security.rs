//! Who gets an answer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::fixture::{Fixture, TOKEN, get, request, send};

const TARGET: &str = "/parameters?name=a";
const HEADER: &str = "X-Aws-Parameters-Secrets-Token";

async fn status(port: u16, headers: &[(&str, &str)]) -> u16 {
    send(port, &request(TARGET, headers)).await.status
}

#[tokio::test]
async fn the_token_is_required() {
    let fixture = Fixture::one();
    let port = fixture.serve(Some(TOKEN)).await;
    assert_eq!(status(port, &[]).await, 401);
    for wrong in ["", "session-toke", "session-token2", "Session-token"] {
        assert_eq!(status(port, &[(HEADER, wrong)]).await, 403, "{wrong}");
    }
    assert!(fixture.service.requests().is_empty());
    assert_eq!(status(port, &[(HEADER, TOKEN)]).await, 200);
}

#[tokio::test]
async fn the_token_can_be_turned_off() {
    let fixture = Fixture::one();
    let port = fixture.serve(None).await;
    assert_eq!(status(port, &[]).await, 200);
    assert_eq!(status(port, &[("X-Forwarded-For", "10.0.0.1")]).await, 400);
}

#[tokio::test]
async fn forwarded_requests_are_refused() {
    let fixture = Fixture::one();
    let port = fixture.serve(Some(TOKEN)).await;
    for (name, value) in [
        ("X-Forwarded-For", "10.0.0.1"),
        ("x-forwarded-for", ""),
        ("X-Forwarded-Host", "example.com"),
        ("X-Real-IP", "10.0.0.1"),
        ("Via", "1.1 proxy"),
        ("Forwarded", "for=10.0.0.1"),
    ] {
        assert_eq!(status(port, &[(HEADER, TOKEN), (name, value)]).await, 400, "{name}");
    }
    assert!(fixture.service.requests().is_empty());
}

/// A page of another host whose name leads here, and a redirect.
#[tokio::test]
async fn requests_for_another_host_are_refused_with_or_without_a_token() {
    for token in [Some(TOKEN), None] {
        let fixture = Fixture::one();
        let port = fixture.serve(token).await;
        let to = |host: &str| {
            request(TARGET, &[(HEADER, TOKEN)]).replace("Host: localhost", &format!("Host: {host}"))
        };
        for host in ["example.com", "localhost.example.com", "169.254.169.254", "", "localhost:a"] {
            assert_eq!(send(port, &to(host)).await.status, 400, "{host}");
        }
        let absolute = to("localhost").replace("GET /", "GET http://example.com/");
        assert_eq!(send(port, &absolute).await.status, 400);
        assert!(fixture.service.requests().is_empty());
        for host in ["localhost", "LOCALHOST:3000", "127.0.0.1", "127.0.0.1:2773", "[::1]:3000"] {
            assert_eq!(send(port, &to(host)).await.status, 200, "{host}");
        }
    }
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let fixture = Fixture::one();
    let port = fixture.serve(Some(TOKEN)).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    let answer = tokio::time::timeout(std::time::Duration::from_secs(30), get(port, TARGET));
    assert_eq!(answer.await.unwrap().status, 200);
    // Those that were silent for longest were closed.
    assert_eq!(silent[0].read(&mut [0]).await.unwrap_or(0), 0);
    let mut last = silent.pop().unwrap();
    last.write_all(request(TARGET, &[(HEADER, TOKEN)]).as_bytes()).await.unwrap();
    let mut reply = String::new();
    last.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}

#[tokio::test]
async fn pings_need_no_token() {
    let port = Fixture::one().serve(Some(TOKEN)).await;
    let reply = send(port, &request("/ping", &[])).await;
    assert_eq!((reply.status, reply.body.as_str()), (200, "pong"));
}

#[tokio::test]
async fn there_is_only_get() {
    let port = Fixture::one().serve(Some(TOKEN)).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = request(TARGET, &[(HEADER, TOKEN)]).replacen("GET", method, 1);
        let reply = send(port, &request).await;
        assert_eq!((reply.status, reply.headers["allow"].as_str()), (405, "GET"), "{method}");
    }
}

#[tokio::test]
async fn requests_have_limits() {
    let fixture = Fixture::one();
    let port = fixture.serve(Some(TOKEN)).await;
    let many: Vec<_> = (0..100).map(|number| format!("H{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "value")).collect();
    assert_eq!(status(port, &many).await, 431);
    let large = request(TARGET, &[(HEADER, TOKEN), ("Large", &"x".repeat(256 * 1024))]);
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut answer = String::new();
    // The server ends the connection without having read everything, so that both may fail.
    let _ = stream.write_all(large.as_bytes()).await;
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert_eq!(status(port, &[(HEADER, TOKEN)]).await, 200);
}

#[tokio::test]
async fn only_this_machine_is_served() {
    let port = Fixture::one().serve(Some(TOKEN)).await;
    for address in [Ipv4Addr::new(127, 0, 0, 2).into(), Ipv6Addr::LOCALHOST.into()] {
        assert!(TcpStream::connect(SocketAddr::new(address, port)).await.is_err(), "{address}");
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let port = Fixture::one().serve(Some(TOKEN)).await;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = request(TARGET, &[(HEADER, TOKEN)]).replace("Connection: close\r\n", "");
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 512];
        let length = stream.read(&mut answer).await.unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_their_turn() {
    let fixture = Fixture::one();
    let port = fixture.serve(Some(TOKEN)).await;
    fixture.service.close();
    let mut busy = Vec::new();
    for _ in 0..256 {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        stream.write_all(request(TARGET, &[(HEADER, TOKEN)]).as_bytes()).await.unwrap();
        busy.push(stream);
    }
    let mut late = Box::pin(get(port, TARGET));
    let pause = std::time::Duration::from_millis(200);
    assert!(tokio::time::timeout(pause, &mut late).await.is_err());
    fixture.service.open();
    assert_eq!(late.await.status, 200);
    for mut stream in busy {
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "a busy one is not closed: {reply}");
    }
}

#[test]
fn nothing_shows_values_or_the_token() {
    let value =
        cache_extension::Value { kind: cache_extension::Kind::Secret, body: "marked".into() };
    let token = cache_extension::Token::new("marked").unwrap();
    let fixture = Fixture::one();
    let shown = format!("{value:?} {token:?} {:?}", fixture.cache);
    assert!(!shown.contains("marked"), "{shown}");
}
