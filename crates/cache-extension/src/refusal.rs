//! Answers to requests that get no value.

use std::borrow::Cow;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::json;

use crate::slot::RETRY_PAUSE;
use crate::upstream::LoadError;

/// Why a request gets no value.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    text: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn reply(self) -> Response<Full<Bytes>> {
        let mut reply = Response::new(json!({ "error": self.text }).to_string().into());
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, RETRY_PAUSE.as_secs().into());
            }
            _ => {}
        }
        reply
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        let status = match error {
            LoadError::NotFound(_) => StatusCode::NOT_FOUND,
            LoadError::Refused(_) | LoadError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}
