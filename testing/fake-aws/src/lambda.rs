//! Lambda: functions that a test makes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::answer::{Answer, ServiceError, json as json_answer, with_status};
use crate::lock;
use crate::operation::Operation;

/// Maximum bytes of an event.
const MAX_EVENT_BYTES: usize = 6 << 20;

type Handler = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, Vec<u8>> + Send + Sync>;

/// The functions of all Regions, by name.
#[derive(Default)]
pub struct Lambda(Mutex<BTreeMap<String, Function>>);

#[derive(Clone)]
struct Function {
    variables: BTreeMap<String, String>,
    handler: Handler,
}

impl Lambda {
    /// Makes a function with these environment variables. `handler` gets an event, and returns the
    /// response or the error of the function.
    pub fn create_function(
        &self,
        name: &str,
        variables: &[(&str, &str)],
        handler: impl Fn(&[u8]) -> Result<Vec<u8>, Vec<u8>> + Send + Sync + 'static,
    ) {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let function = Function { variables: variables.collect(), handler: Arc::new(handler) };
        lock(&self.0).insert(name.to_owned(), function);
    }

    pub(crate) fn answer(
        &self,
        operation: Operation,
        head: &Parts,
        body: &Bytes,
    ) -> Result<Answer, ServiceError> {
        let name = head.uri.path().split('/').nth(3).unwrap_or_default();
        let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        let function = lock(&self.0).get(&name).cloned().ok_or_else(|| {
            ServiceError::new(404, "ResourceNotFoundException", "the function does not exist")
        })?;
        if operation == Operation::GetFunctionConfiguration {
            let variables = json!({ "Variables": function.variables });
            return Ok(json_answer(&json!({ "FunctionName": name, "Environment": variables })));
        }
        if body.len() > MAX_EVENT_BYTES {
            return Err(ServiceError::new(
                413,
                "RequestTooLargeException",
                "the event is too large",
            ));
        }
        Ok(match (function.handler)(body) {
            Ok(response) => with_status(200, response),
            Err(error) => {
                let mut answer = with_status(200, error);
                let kind = HeaderValue::from_static("Unhandled");
                answer.headers_mut().insert("x-amz-function-error", kind);
                answer
            }
        })
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lambda").finish_non_exhaustive()
    }
}
