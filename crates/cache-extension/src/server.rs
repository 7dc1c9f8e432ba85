//! The HTTP server, on loopback.

use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::api::Api;

/// Connections at a time. More wait until one ends.
const MAX_CONNECTIONS: usize = 256;
/// Headers of a request.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's line and headers. The session token alone has more than a thousand.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// A listener that fails, as when the process has too many open files, is tried again after this.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// A server that has its port, and answers nobody yet.
#[derive(Debug)]
pub struct Server(TcpListener);

impl Server {
    /// Takes a port of 127.0.0.1, or with 0 a free one.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map(Self)
    }

    /// The port.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub fn port(&self) -> io::Result<u16> {
        self.0.local_addr().map(|address| address.port())
    }

    /// Answers requests until it is dropped.
    ///
    /// There is no time limit on a connection: after a freeze it would be over at once, and end
    /// the connections that the function keeps, just when it uses them again.
    pub async fn serve(self, api: Api) {
        let api = Arc::new(api);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            match self.0.accept().await {
                Ok((stream, _)) => {
                    let api = Arc::clone(&api);
                    tokio::spawn(async move {
                        answer(stream, &api).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn answer(stream: TcpStream, api: &Api) {
    // A small answer is not to wait for the client's acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(api.answer(&request).await) });
    let mut http = http1::Builder::new();
    http.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
    // It fails if the client is gone, or sends what is not HTTP, which hyper has answered.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}
