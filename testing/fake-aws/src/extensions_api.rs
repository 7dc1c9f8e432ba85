//! The Lambda Extensions API: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html>

use std::sync::Mutex;

use hyper::header::HeaderValue;
use serde_json::json;
use tokio::sync::Notify;

use crate::answer::{Answer, json as json_answer, with_status};
use crate::{ACCOUNT, lock};

pub(crate) const PREFIX: &str = "/2020-01-01/extension/";

/// The invocations that one extension hears of.
#[derive(Debug, Default)]
pub struct ExtensionsApi {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Invocations that the extension has not been told of.
    waiting: u64,
    /// How often it asked for the next event.
    asked: u64,
}

impl ExtensionsApi {
    /// Invokes the function beside the extension.
    pub fn invoke(&self) {
        lock(&self.state).waiting += 1;
        self.changed.notify_waiters();
    }

    /// Comes back when the extension has asked for an event so often: once when it is ready, and once
    /// more after each invocation.
    pub async fn asked(&self, times: u64) {
        loop {
            let changed = self.changed.notified();
            if lock(&self.state).asked >= times {
                return;
            }
            changed.await;
        }
    }

    /// `path` is what follows [`PREFIX`].
    pub(crate) async fn answer(&self, path: &str) -> Answer {
        match path {
            "register" => identified(json_answer(&json!({
                "functionName": "fake", "functionVersion": "1", "handler": "bootstrap",
            }))),
            "event/next" => {
                lock(&self.state).asked += 1;
                self.changed.notify_waiters();
                self.next().await
            }
            _ => with_status(404, ""),
        }
    }

    /// Waits for an invocation.
    async fn next(&self) -> Answer {
        loop {
            let changed = self.changed.notified();
            if let Some(rest) = lock(&self.state).take() {
                return rest;
            }
            changed.await;
        }
    }
}

impl State {
    fn take(&mut self) -> Option<Answer> {
        self.waiting = self.waiting.checked_sub(1)?;
        Some(identified(json_answer(&json!({
            "eventType": "INVOKE",
            "deadlineMs": u64::from(u32::MAX) * 1000,
            "requestId": "00000000-0000-0000-0000-000000000000",
            "invokedFunctionArn": format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:fake"),
            "tracing": { "type": "X-Amzn-Trace-Id", "value": "" },
        }))))
    }
}

fn identified(mut answer: Answer) -> Answer {
    let id = HeaderValue::from_static("extension");
    answer.headers_mut().insert("lambda-extension-identifier", id);
    answer
}
