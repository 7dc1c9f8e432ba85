//! The HTTP server: from a connection to the service that answers.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::{Answer, ServiceError, html_page};
use crate::call::{Call, access_key};
use crate::clock::Clock;
use crate::connections::{Connection, Connections};
use crate::credentials::{self, CredentialsIssuer};
use crate::dynamodb::DynamoDb;
use crate::extensions_api::{self, ExtensionsApi};
use crate::faults::{Fault, Faults};
use crate::kinesis::Kinesis;
use crate::kms;
use crate::lambda::Lambda;
use crate::operation::Operation;
use crate::runtime_api::{self, RuntimeApi};
use crate::s3::S3;
use crate::transmission::{self, AnswerBody};

/// A server on loopback, until it is dropped. Dropping it breaks its connections.
#[derive(Debug)]
pub struct FakeAws {
    url: String,
    services: Arc<Services>,
    server: JoinHandle<()>,
}

impl FakeAws {
    /// Starts a server on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If there is no free port.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0).await
    }

    /// Starts a server on this port of 127.0.0.1.
    ///
    /// # Errors
    /// If the port is taken.
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let services = Arc::new(Services::new());
        let server = tokio::spawn(accept(listener, Arc::clone(&services)));
        Ok(Self { url, services, server })
    }

    /// The endpoint of all services, such as `http://127.0.0.1:49152`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What fails, and how often what was called.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.services.faults
    }

    /// Sets the server's clock ahead of this machine's, or behind it if `seconds` is negative. Requests
    /// that were signed too far from the server's time are refused, as AWS does, and every answer has
    /// the server's time as its `Date`.
    pub fn skew_clock(&self, seconds: i64) {
        self.services.clock.skew(seconds);
    }

    /// Lets all open connections go silent: no call on them is answered any more, but they stay open. New
    /// connections work.
    pub fn silence_connections(&self) {
        self.services.connections.silence();
    }

    /// Resets all open connections. New ones work.
    pub fn break_connections(&self) {
        self.services.connections.break_all();
    }

    /// Returns the endpoint of temporary credentials, for `AWS_CONTAINER_CREDENTIALS_FULL_URI`.
    #[must_use]
    pub fn credentials_url(&self) -> String {
        format!("{}{}", self.url, credentials::PATH)
    }

    /// Ends all credentials that the endpoint has handed out. It hands out no more until
    /// [`renew_credentials`](Self::renew_credentials).
    pub fn expire_credentials(&self) {
        self.services.credentials.expire();
    }

    /// Lets the endpoint hand out credentials again.
    pub fn renew_credentials(&self) {
        self.services.credentials.renew();
    }

    /// The streams.
    #[must_use]
    pub fn kinesis(&self) -> &Kinesis {
        &self.services.kinesis
    }

    /// The tables.
    #[must_use]
    pub fn dynamodb(&self) -> &DynamoDb {
        &self.services.dynamodb
    }

    /// The objects.
    #[must_use]
    pub fn s3(&self) -> &S3 {
        &self.services.s3
    }

    /// The Lambda functions that can be invoked.
    #[must_use]
    pub fn lambda(&self) -> &Lambda {
        &self.services.lambda
    }

    /// The events for a Lambda function.
    #[must_use]
    pub fn runtime_api(&self) -> &RuntimeApi {
        &self.services.runtime_api
    }

    /// The invocations that a Lambda extension hears of.
    #[must_use]
    pub fn extensions_api(&self) -> &ExtensionsApi {
        &self.services.extensions_api
    }
}

impl Drop for FakeAws {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, services: Arc<Services>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            // A connection that is gone before it is accepted is the client's affair.
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                connections.spawn(serve(stream, Arc::clone(&services)));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, services: Arc<Services>) {
    // A small answer is not to wait for the client's acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let client = services.connections.open();
    let service = service_fn(|request| services.answer(request, &client));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let is_broken = tokio::select! {
        served = &mut connection => served.is_err(),
        () = client.broken() => true,
    };
    if is_broken {
        // Closing then sends a reset. It fails only if the connection is gone already.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

#[derive(Debug)]
struct Services {
    clock: Clock,
    connections: Connections,
    credentials: CredentialsIssuer,
    faults: Faults,
    kinesis: Kinesis,
    dynamodb: DynamoDb,
    s3: S3,
    lambda: Lambda,
    runtime_api: RuntimeApi,
    extensions_api: ExtensionsApi,
}

impl Services {
    fn new() -> Self {
        Self {
            clock: Clock::default(),
            connections: Connections::default(),
            credentials: CredentialsIssuer::default(),
            faults: Faults::default(),
            kinesis: Kinesis::default(),
            dynamodb: DynamoDb::default(),
            s3: S3::default(),
            lambda: Lambda::default(),
            runtime_api: RuntimeApi::new(),
            extensions_api: ExtensionsApi::default(),
        }
    }

    /// An error resets the connection.
    async fn answer(
        &self,
        request: Request<Incoming>,
        client: &Connection,
    ) -> Result<Response<AnswerBody>, io::Error> {
        let mut answer = self.answer_undated(request, client).await?;
        answer.headers_mut().insert(hyper::header::DATE, self.clock.date());
        Ok(answer)
    }

    async fn answer_undated(
        &self,
        request: Request<Incoming>,
        client: &Connection,
    ) -> Result<Response<AnswerBody>, io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if client.is_silent() {
            std::future::pending::<()>().await;
        }
        let path = head.uri.path();
        if let Some(path) = path.strip_prefix(runtime_api::PREFIX) {
            let answer = self.runtime_api.answer(&head.method, path, &body).await;
            return Ok(transmission::whole(answer));
        }
        if let Some(path) = path.strip_prefix(extensions_api::PREFIX) {
            return Ok(transmission::whole(self.extensions_api.answer(path).await));
        }
        if path == credentials::PATH {
            return Ok(transmission::whole(self.credentials.answer()));
        }
        match Call::of(&head) {
            Ok(call) => self.answer_call(&call, &head, &body, client).await,
            Err(error) => Ok(transmission::whole(error.json())),
        }
    }

    async fn answer_call(
        &self,
        call: &Call,
        head: &Parts,
        body: &Bytes,
        client: &Connection,
    ) -> Result<Response<AnswerBody>, io::Error> {
        let service = call.operation.service();
        let perform = || self.perform(call, head, body, 0);
        let refused = self.clock.check(head, service).and(self.credentials.check(head, service));
        if let Err(error) = refused {
            return Ok(transmission::whole(error.answer(service)));
        }
        Ok(transmission::whole(match self.faults.befall(call, access_key(head), body.len()) {
            None => perform(),
            Some(Fault::Partial { every }) => self.perform(call, head, body, every),
            Some(Fault::Throttle) => ServiceError::throttled(service).answer(service),
            Some(Fault::InternalError) => ServiceError::internal(service).answer(service),
            Some(Fault::Unavailable) => ServiceError::unavailable(service).answer(service),
            Some(Fault::AccessDenied) => ServiceError::access_denied(service).answer(service),
            Some(Fault::ExpiredToken) => ServiceError::expired_token(service).answer(service),
            Some(Fault::ExpiredIterator) => ServiceError::expired_iterator().answer(service),
            Some(Fault::HtmlPage { status }) => html_page(status),
            Some(Fault::TooLarge { .. }) => html_page(413),
            Some(Fault::CutAnswer) => return Ok(transmission::cut(perform())),
            Some(Fault::SlowAnswer { pause }) => return Ok(transmission::slow(perform(), pause)),
            Some(Fault::Silence) => {
                client.go_silent();
                perform()
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
            Some(Fault::AnswerLost) => {
                perform();
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }))
    }

    /// `fail_every` is [`Fault::Partial`]'s.
    fn perform(&self, call: &Call, head: &Parts, body: &Bytes, fail_every: usize) -> Answer {
        let region = &call.region;
        let answer = match call.operation {
            Operation::BatchGetItem => self.dynamodb.batch_get_item(region, body, fail_every),
            Operation::BatchWriteItem => self.dynamodb.batch_write_item(region, body, fail_every),
            Operation::DeleteItem => self.dynamodb.delete_item(region, body),
            Operation::DescribeTable => self.dynamodb.describe_table(region, body),
            Operation::GetItem => self.dynamodb.get_item(region, body),
            Operation::PutItem => self.dynamodb.put_item(region, body),
            Operation::DescribeStreamSummary => self.kinesis.describe_stream_summary(region, body),
            Operation::GetRecords => self.kinesis.get_records(region, body),
            Operation::GetShardIterator => self.kinesis.get_shard_iterator(region, body),
            Operation::ListShards => self.kinesis.list_shards(region, body),
            Operation::PutRecords => self.kinesis.put_records(region, body, fail_every),
            Operation::Decrypt => kms::decrypt(region, body),
            Operation::Encrypt => kms::encrypt(region, body),
            Operation::DescribeKey => kms::describe_key(region, body),
            Operation::GenerateDataKey => kms::generate_data_key(region, body),
            Operation::GetFunctionConfiguration | Operation::Invoke => {
                self.lambda.answer(call.operation, head, body)
            }
            Operation::DeleteObject
            | Operation::GetObject
            | Operation::ListObjectsV2
            | Operation::PutObject => self.s3.answer(region, call.operation, head, body),
        };
        answer.unwrap_or_else(|error| error.answer(call.operation.service()))
    }
}
