//! The HTTP server: from a connection to the service that answers.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::{Answer, ServiceError};
use crate::call::Call;
use crate::clock::Clock;
use crate::dynamodb::DynamoDb;
use crate::faults::{Fault, Faults};
use crate::kinesis::Kinesis;
use crate::kms;
use crate::lambda::Lambda;
use crate::operation::Operation;
use crate::runtime_api::{self, RuntimeApi};
use crate::s3::S3;

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
    let service = service_fn(|request| services.answer(request));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if (&mut connection).await.is_err() {
        // Closing then sends a reset. It fails only if the connection is gone already.
        let _ = connection.into_parts().io.into_inner().set_zero_linger();
    }
}

#[derive(Debug)]
struct Services {
    clock: Clock,
    faults: Faults,
    kinesis: Kinesis,
    dynamodb: DynamoDb,
    s3: S3,
    lambda: Lambda,
    runtime_api: RuntimeApi,
}

impl Services {
    fn new() -> Self {
        Self {
            clock: Clock::default(),
            faults: Faults::default(),
            kinesis: Kinesis::default(),
            dynamodb: DynamoDb::default(),
            s3: S3::default(),
            lambda: Lambda::default(),
            runtime_api: RuntimeApi::new(),
        }
    }

    /// An error resets the connection.
    async fn answer(&self, request: Request<Incoming>) -> Result<Answer, io::Error> {
        let mut answer = self.answer_undated(request).await?;
        answer.headers_mut().insert(hyper::header::DATE, self.clock.date());
        Ok(answer)
    }

    async fn answer_undated(&self, request: Request<Incoming>) -> Result<Answer, io::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        if let Some(path) = head.uri.path().strip_prefix(runtime_api::PREFIX) {
            return Ok(self.runtime_api.answer(&head.method, path, &body).await);
        }
        match Call::of(&head) {
            Ok(call) => self.answer_call(&call, &head, &body).await,
            Err(error) => Ok(error.json()),
        }
    }

    async fn answer_call(
        &self,
        call: &Call,
        head: &Parts,
        body: &Bytes,
    ) -> Result<Answer, io::Error> {
        let service = call.operation.service();
        if let Err(error) = self.clock.check(head, service) {
            return Ok(error.answer(service));
        }
        match self.faults.befall(call) {
            None => Ok(self.perform(call, head, body, 0)),
            Some(Fault::Partial { every }) => Ok(self.perform(call, head, body, every)),
            Some(Fault::Throttle) => Ok(ServiceError::throttled(service).answer(service)),
            Some(Fault::InternalError) => Ok(ServiceError::internal(service).answer(service)),
            Some(Fault::Unavailable) => Ok(ServiceError::unavailable(service).answer(service)),
            Some(Fault::AccessDenied) => Ok(ServiceError::access_denied(service).answer(service)),
            Some(Fault::ExpiredIterator) => Ok(ServiceError::expired_iterator().answer(service)),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            Some(Fault::AnswerLost) => {
                self.perform(call, head, body, 0);
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
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
