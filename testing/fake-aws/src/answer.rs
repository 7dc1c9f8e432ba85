//! Answers and errors in the form of the services' protocols.

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::operation::Service;

pub(crate) type Answer = Response<Full<Bytes>>;

/// An error as a service reports it.
pub(crate) struct ServiceError {
    status: u16,
    code: &'static str,
    message: String,
}

impl ServiceError {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// The code that each service has for too many requests.
    pub(crate) fn throttled(service: Service) -> Self {
        let (status, code) = match service {
            Service::DynamoDb | Service::Kms => (400, "ThrottlingException"),
            Service::Kinesis => (400, "ProvisionedThroughputExceededException"),
            Service::Lambda => (429, "TooManyRequestsException"),
            Service::S3 => (503, "SlowDown"),
        };
        Self::new(status, code, "a fault was injected")
    }

    /// The code that each service has for its own failure.
    pub(crate) fn internal(service: Service) -> Self {
        let code = match service {
            Service::DynamoDb => "InternalServerError",
            Service::Kinesis => "InternalFailureException",
            Service::Kms => "KMSInternalException",
            Service::Lambda => "ServiceException",
            Service::S3 => "InternalError",
        };
        Self::new(500, code, "a fault was injected")
    }

    pub(crate) fn unavailable(service: Service) -> Self {
        let code = match service {
            Service::Kms => "DependencyTimeoutException",
            _ => "ServiceUnavailable",
        };
        Self::new(503, code, "a fault was injected")
    }

    pub(crate) fn access_denied(service: Service) -> Self {
        let (status, code) = match service {
            Service::S3 => (403, "AccessDenied"),
            _ => (400, "AccessDeniedException"),
        };
        Self::new(status, code, "a fault was injected")
    }

    pub(crate) fn expired_token(service: Service) -> Self {
        let (status, code) = match service {
            Service::S3 => (400, "ExpiredToken"),
            Service::Lambda => (403, "ExpiredTokenException"),
            _ => (400, "ExpiredTokenException"),
        };
        Self::new(status, code, "The security token included in the request is expired")
    }

    pub(crate) fn expired_iterator() -> Self {
        Self::new(400, "ExpiredIteratorException", "a fault was injected")
    }

    pub(crate) fn answer(&self, service: Service) -> Answer {
        match service {
            Service::S3 => self.xml(),
            _ => self.json(),
        }
    }

    /// AWS JSON 1.0 and 1.1 take the code from the header or from `__type`.
    pub(crate) fn json(&self) -> Answer {
        let body = serde_json::json!({ "__type": self.code, "message": self.message });
        let mut answer = with_status(self.status, body.to_string());
        let code = HeaderValue::from_static(self.code);
        answer.headers_mut().insert("x-amzn-errortype", code);
        answer
    }

    fn xml(&self) -> Answer {
        let (code, message) = (self.code, &self.message);
        let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        with_status(self.status, body)
    }
}

/// # Panics
/// If `status` is not an HTTP status.
pub(crate) fn with_status(status: u16, body: impl Into<Bytes>) -> Answer {
    let builder = Response::builder().status(status);
    builder.body(Full::new(body.into())).expect("the status is a literal of this crate")
}

/// The page of a load balancer or proxy, not of AWS.
pub(crate) fn html_page(status: u16) -> Answer {
    let page = format!("<html><head><title>{status}</title></head><body>{status}</body></html>");
    let mut answer = with_status(status, page);
    answer.headers_mut().insert("content-type", HeaderValue::from_static("text/html"));
    answer
}

pub(crate) fn json(value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).expect("answers have string keys and finite numbers");
    with_status(200, body)
}

pub(crate) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ServiceError> {
    serde_json::from_slice(body)
        .map_err(|error| ServiceError::new(400, "SerializationException", error.to_string()))
}
