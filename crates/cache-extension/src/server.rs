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
use crate::connections::{Connection, Connections};

/// Concurrent connections. For another one, the one that is idle for longest is closed; while none is
/// idle, it waits.
const MAX_CONNECTIONS: usize = 256;
/// Most headers of a request.
const MAX_HEADERS: usize = 64;
/// Most bytes of a request's line and headers. The session token alone has more than 1,000.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Pause after a failed accept, for example because too many files are open.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// A server that has its port and answers no requests yet.
#[derive(Debug)]
pub struct Server(TcpListener);

impl Server {
    /// Binds a port of 127.0.0.1; 0 takes a free one.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub async fn bind(port: u16) -> io::Result<Self> {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map(Self)
    }

    /// Returns the port.
    ///
    /// # Errors
    /// The operating system does not tell it.
    pub fn port(&self) -> io::Result<u16> {
        self.0.local_addr().map(|address| address.port())
    }

    /// Answers requests until it is dropped.
    ///
    /// Connections have no time limit: after a freeze it would be over at once, and would close the
    /// function's connections just when it uses them again.
    pub async fn serve(self, api: impl Into<Arc<Api>>) {
        let api = api.into();
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let connections = Arc::new(Connections::default());
        loop {
            match self.0.accept().await {
                Ok((stream, _)) => {
                    if permits.available_permits() == 0 {
                        connections.close_idle();
                    }
                    let permit = Arc::clone(&permits).acquire_owned().await;
                    let connection = connections.open();
                    let api = Arc::clone(&api);
                    tokio::spawn(async move {
                        tokio::select! {
                            () = answer(stream, &api, &connection) => {}
                            () = connection.is_closed() => {}
                        }
                        drop((connection, permit));
                    });
                }
                Err(error) => {
                    warn!(%error, "connection not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn answer(stream: TcpStream, api: &Api, connection: &Connection) {
    // Small answers should not wait for the acknowledgement of the previous one.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| async move {
        let _busy = connection.begin();
        Ok::<_, Infallible>(api.answer(&request).await)
    });
    let mut http = http1::Builder::new();
    http.max_headers(MAX_HEADERS).max_buf_size(MAX_HEAD_BYTES);
    // Fails if the client is gone or does not send HTTP, which hyper has answered.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}
