//! The Lambda runtime API: <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::Method;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

use crate::answer::{Answer, with_status};
use crate::{ACCOUNT, lock};

pub(crate) const PREFIX: &str = "/2018-06-01/runtime/";

/// What a function has for an invocation, by the deadline that it is told: Lambda's longest.
const TIMEOUT: Duration = Duration::from_mins(15);

/// What a function did with an event.
#[derive(Clone)]
#[non_exhaustive]
pub struct Invocation {
    /// From when the event was handed out to when the answer was there.
    pub latency: Duration,
    /// The function's response, or its error.
    pub outcome: Result<Vec<u8>, Vec<u8>>,
}

impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("latency", &self.latency)
            .field("failed", &self.outcome.is_err())
            .finish_non_exhaustive()
    }
}

/// All invocations in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// Invocations that were answered, with an error or without.
    pub invocations: usize,
    /// Invocations that were answered with an error.
    pub errors: usize,
    /// The records that responses reported as failed, in `batchItemFailures`.
    pub batch_item_failures: usize,
    /// Whether the function failed before its first invocation.
    pub init_failed: bool,
    /// From the fake's start to the first request for an event, in microseconds.
    pub first_next_us: Option<u128>,
    /// The median of the invocations' latencies, in microseconds.
    pub p50_us: Option<u128>,
    /// The 99th percentile of the invocations' latencies, in microseconds.
    pub p99_us: Option<u128>,
}

/// Events for one function, and what it did with them.
pub struct RuntimeApi {
    started: Instant,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Bytes>,
    served: Vec<Served>,
    first_next: Option<Duration>,
    init_failed: bool,
}

struct Served {
    at: Instant,
    invocation: Option<Invocation>,
}

impl RuntimeApi {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), state: Mutex::default(), changed: Notify::new() }
    }

    /// Adds events in JSON for the function: the whole list, `repeat` times.
    pub fn push(&self, events: Vec<Vec<u8>>, repeat: usize) {
        let events: Vec<_> = events.into_iter().map(Bytes::from).collect();
        let all = std::iter::repeat_n(events, repeat).flatten();
        lock(&self.state).waiting.extend(all);
        self.changed.notify_waiters();
    }

    /// Comes back when all events have been answered, or when the function has said that it
    /// cannot start.
    pub async fn done(&self) {
        loop {
            let changed = self.changed.notified();
            if lock(&self.state).is_done() {
                return;
            }
            changed.await;
        }
    }

    /// The invocations that were answered, in the order in which the events were handed out.
    #[must_use]
    pub fn invocations(&self) -> Vec<Invocation> {
        let state = lock(&self.state);
        state.served.iter().filter_map(|served| served.invocation.clone()).collect()
    }

    /// The invocations that were answered, in figures.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let state = lock(&self.state);
        let answered = || state.served.iter().filter_map(|served| served.invocation.as_ref());
        let mut latencies: Vec<_> = answered().map(|invocation| invocation.latency).collect();
        latencies.sort_unstable();
        Summary {
            invocations: latencies.len(),
            errors: answered().filter(|invocation| invocation.outcome.is_err()).count(),
            batch_item_failures: answered().map(batch_item_failures).sum(),
            init_failed: state.init_failed,
            first_next_us: state.first_next.map(|first| first.as_micros()),
            p50_us: percentile(&latencies, 50),
            p99_us: percentile(&latencies, 99),
        }
    }

    /// `path` is what follows [`PREFIX`].
    pub(crate) async fn answer(&self, method: &Method, path: &str, body: &Bytes) -> Answer {
        let path: Vec<_> = path.split('/').collect();
        match (method, path.as_slice()) {
            (&Method::GET, ["invocation", "next"]) => self.next().await,
            (&Method::POST, ["invocation", id, "response"]) => self.record(id, Ok(body.to_vec())),
            (&Method::POST, ["invocation", id, "error"]) => self.record(id, Err(body.to_vec())),
            (&Method::POST, ["init", "error"]) => self.record_init_error(),
            _ => with_status(404, ""),
        }
    }

    /// Waits until there is an event.
    async fn next(&self) -> Answer {
        loop {
            let changed = self.changed.notified();
            if let Some(event) = lock(&self.state).hand_out(self.started) {
                return event;
            }
            changed.await;
        }
    }

    fn record(&self, id: &str, outcome: Result<Vec<u8>, Vec<u8>>) -> Answer {
        let known = lock(&self.state).record(id, outcome);
        self.changed.notify_waiters();
        if known.is_some() { accepted() } else { with_status(400, "") }
    }

    fn record_init_error(&self) -> Answer {
        lock(&self.state).init_failed = true;
        self.changed.notify_waiters();
        accepted()
    }
}

impl fmt::Debug for RuntimeApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeApi").finish_non_exhaustive()
    }
}

impl State {
    fn hand_out(&mut self, started: Instant) -> Option<Answer> {
        self.first_next.get_or_insert_with(|| started.elapsed());
        let answer = invocation(self.served.len(), self.waiting.pop_front()?);
        self.served.push(Served { at: Instant::now(), invocation: None });
        Some(answer)
    }

    /// Nothing if there is no such invocation, or if it has been answered.
    fn record(&mut self, id: &str, outcome: Result<Vec<u8>, Vec<u8>>) -> Option<()> {
        let index = usize::try_from(id.parse::<Uuid>().ok()?.as_u128()).ok()?;
        let served = self.served.get_mut(index).filter(|served| served.invocation.is_none())?;
        served.invocation = Some(Invocation { latency: served.at.elapsed(), outcome });
        Some(())
    }

    fn is_done(&self) -> bool {
        let all_answered = self.served.iter().all(|served| served.invocation.is_some());
        self.init_failed || (self.waiting.is_empty() && all_answered)
    }
}

/// The index is the request id, in a UUID's form.
fn invocation(index: usize, event: Bytes) -> Answer {
    #[expect(clippy::disallowed_methods, reason = "Lambda gives the deadline in wall-clock time")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", Uuid::from_u128(index as u128).to_string()),
        ("lambda-runtime-deadline-ms", (now + TIMEOUT).as_millis().to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            format!("arn:aws:lambda:us-east-1:{ACCOUNT}:function:fake"),
        ),
        (
            "lambda-runtime-trace-id",
            format!("Root=1-67891233-{index:024x};Parent=53995c3f42cd8ad8;Sampled=0"),
        ),
    ];
    let mut answer = with_status(200, event);
    for (name, value) in headers {
        let value = HeaderValue::try_from(value).expect("the values are printable ASCII");
        answer.headers_mut().insert(name, value);
    }
    answer
}

fn accepted() -> Answer {
    with_status(202, r#"{"status":"OK"}"#)
}

fn batch_item_failures(invocation: &Invocation) -> usize {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct BatchResponse {
        batch_item_failures: Vec<serde::de::IgnoredAny>,
    }

    let response = invocation.outcome.as_deref().unwrap_or_default();
    serde_json::from_slice(response)
        .map_or(0, |BatchResponse { batch_item_failures }| batch_item_failures.len())
}

/// By nearest rank, in microseconds.
fn percentile(sorted: &[Duration], percent: usize) -> Option<u128> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.checked_sub(1)?).map(Duration::as_micros)
}
