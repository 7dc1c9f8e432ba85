//! Delivery of encrypted records to the stream of one Region.

use std::fmt;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::put_records::PutRecordsError;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, PutRecordsResultEntry};
use aws_smithy_types::Blob;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::BoxFuture;
use record_cipher::{ErrorKind, RegionName, StreamName};

use crate::outcome::{Delivery, DeliveryError};

/// Kinesis's limit on the records of one request.
const MAX_ENTRIES: usize = 500;

/// Bytes of one request, keys counted. Kinesis has raised its limit to 10 MiB; older
/// implementations of its API still have this one.
const MAX_REQUEST_BYTES: usize = 5 << 20;

/// An encrypted record.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) partition_key: String,
    pub(crate) data: Vec<u8>,
}

impl Entry {
    /// The size that Kinesis's limits are about.
    pub(crate) fn size(&self) -> usize {
        self.partition_key.len() + self.data.len()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("size", &self.size()).finish_non_exhaustive()
    }
}

/// What became of one entry in one try.
pub(crate) type TryResult = Result<Delivery, TryError>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TryError {
    pub(crate) code: String,
    pub(crate) message: Option<String>,
    pub(crate) kind: ErrorKind,
}

/// The one call that delivery makes: at most [`MAX_ENTRIES`] entries in, a result for each out.
pub(crate) trait StreamApi: Send + Sync + fmt::Debug {
    fn put_records(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<Vec<TryResult>, TryError>>;
}

/// Sends the entries, those that fail for a passing reason again, and returns a result for each
/// in their order.
pub(crate) async fn deliver(
    api: &dyn StreamApi,
    entries: &[Entry],
) -> Vec<Result<Delivery, DeliveryError>> {
    let mut results = vec![Err(unsent()); entries.len()];
    let mut pending: Vec<usize> = (0..entries.len()).collect();
    let mut delays = back_off();
    for tries in 1.. {
        for request in requests(entries, &pending) {
            send(api, entries, request, tries, &mut results).await;
        }
        pending.retain(|&at| {
            results[at].as_ref().is_err_and(|error| error.kind == ErrorKind::Transient)
        });
        match delays.next() {
            Some(delay) if !pending.is_empty() => tokio::time::sleep(delay).await,
            _ => break,
        }
    }
    results
}

/// About six seconds of waiting in five retries. The SDK's own retries of a whole request that
/// failed come on top.
fn back_off() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_max_times(5)
        .with_jitter()
        .build()
}

fn unsent() -> DeliveryError {
    DeliveryError { code: "Unsent".into(), message: None, tries: 0, kind: ErrorKind::Transient }
}

/// The pending entries in as few requests as Kinesis's limits allow.
fn requests<'a>(entries: &[Entry], pending: &'a [usize]) -> Vec<&'a [usize]> {
    let mut requests = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (end, &at) in pending.iter().enumerate() {
        let size = entries[at].size();
        if end > start && (end - start == MAX_ENTRIES || bytes + size > MAX_REQUEST_BYTES) {
            requests.push(&pending[start..end]);
            (start, bytes) = (end, 0);
        }
        bytes += size;
    }
    requests.push(&pending[start..]);
    requests.retain(|request| !request.is_empty());
    requests
}

async fn send(
    api: &dyn StreamApi,
    entries: &[Entry],
    request: &[usize],
    tries: u32,
    results: &mut [Result<Delivery, DeliveryError>],
) {
    let answers =
        match api.put_records(request.iter().map(|&at| entries[at].clone()).collect()).await {
            Ok(answers) if answers.len() == request.len() => answers,
            Ok(_) => vec![Err(no_answer()); request.len()],
            Err(error) => vec![Err(error); request.len()],
        };
    for (&at, answer) in request.iter().zip(answers) {
        results[at] = answer.map_err(|TryError { code, message, kind }| {
            tracing::debug!(code, tries, "record not acknowledged");
            DeliveryError { code, message, tries, kind }
        });
    }
}

fn no_answer() -> TryError {
    TryError { code: "NoAnswer".into(), message: None, kind: ErrorKind::Transient }
}

/// The real stream.
#[derive(Debug)]
pub(crate) struct Kinesis {
    client: aws_sdk_kinesis::Client,
    stream: StreamName,
}

impl Kinesis {
    pub(crate) fn new(config: &SdkConfig, region: &RegionName, stream: StreamName) -> Self {
        let config = aws_sdk_kinesis::config::Builder::from(config)
            .region(Region::new(region.to_string()))
            .build();
        Self { client: aws_sdk_kinesis::Client::from_conf(config), stream }
    }
}

impl StreamApi for Kinesis {
    fn put_records(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<Vec<TryResult>, TryError>> {
        Box::pin(async {
            let entries = entries.into_iter().map(request_entry).collect();
            let request = self.client.put_records().stream_name(self.stream.as_str());
            let output = request.set_records(Some(entries)).send().await;
            let output = output.map_err(|error| request_error(&error))?;
            Ok(output.records.into_iter().map(result_entry).collect())
        })
    }
}

fn request_entry(entry: Entry) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(entry.partition_key)
        .data(Blob::new(entry.data))
        .build()
        .expect("an entry with a partition key and data is complete")
}

fn result_entry(entry: PutRecordsResultEntry) -> TryResult {
    match entry {
        PutRecordsResultEntry {
            shard_id: Some(shard_id),
            sequence_number: Some(sequence_number),
            error_code: None,
            ..
        } => Ok(Delivery { shard_id, sequence_number }),
        // Kinesis fails single entries for throughput and internal trouble only.
        PutRecordsResultEntry { error_code: Some(code), error_message: message, .. } => {
            Err(TryError { code, message, kind: ErrorKind::Transient })
        }
        _ => Err(no_answer()),
    }
}

/// Of a request that failed as a whole. The SDK has tried it several times already.
fn request_error(error: &SdkError<PutRecordsError>) -> TryError {
    let code = match error {
        SdkError::TimeoutError(_) => "Timeout",
        SdkError::DispatchFailure(_) => "Unreachable",
        SdkError::ServiceError(error) => error.err().code().unwrap_or("NoAnswer"),
        _ => "NoAnswer",
    };
    let kind = match error {
        SdkError::ServiceError(error) if error.raw().status().is_client_error() => {
            match error.err().is_provisioned_throughput_exceeded_exception() || is_throttling(code)
            {
                true => ErrorKind::Transient,
                false => ErrorKind::Permanent,
            }
        }
        _ => ErrorKind::Transient,
    };
    TryError { code: code.to_owned(), message: error.message().map(str::to_owned), kind }
}

fn is_throttling(code: &str) -> bool {
    code.contains("Throttl") || code == "LimitExceededException"
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    type Answer = Result<Vec<TryResult>, TryError>;

    /// Gives the answers in turn and keeps the requests.
    #[derive(Debug, Default)]
    struct Script {
        answers: Mutex<VecDeque<Answer>>,
        requests: Mutex<Vec<Vec<Entry>>>,
    }

    impl StreamApi for Script {
        fn put_records(&self, entries: Vec<Entry>) -> BoxFuture<'_, Answer> {
            let answer = self.answers.lock().unwrap().pop_front();
            let answer = answer.unwrap_or_else(|| Ok(vec![Ok(delivery()); entries.len()]));
            self.requests.lock().unwrap().push(entries);
            Box::pin(async { answer })
        }
    }

    impl Script {
        fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
            Self { answers: Mutex::new(answers.into_iter().collect()), ..Self::default() }
        }

        fn request_sizes(&self) -> Vec<usize> {
            self.requests.lock().unwrap().iter().map(Vec::len).collect()
        }
    }

    fn delivery() -> Delivery {
        Delivery { shard_id: "shardId-0".into(), sequence_number: "1".into() }
    }

    fn throttled() -> TryError {
        TryError {
            code: "ProvisionedThroughputExceededException".into(),
            message: None,
            kind: ErrorKind::Transient,
        }
    }

    fn entries(count: usize, size: usize) -> Vec<Entry> {
        let data = vec![0; size];
        (0..count).map(|n| Entry { partition_key: n.to_string(), data: data.clone() }).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_to_the_limits_of_kinesis() {
        let script = Script::default();
        assert!(deliver(&script, &entries(1001, 10)).await.iter().all(Result::is_ok));
        assert_eq!(script.request_sizes(), [500, 500, 1]);

        let script = Script::default();
        deliver(&script, &entries(12, (1 << 20) - 2)).await;
        assert_eq!(script.request_sizes(), [5, 5, 2]);

        let script = Script::default();
        assert!(deliver(&script, &[]).await.is_empty());
        assert!(script.request_sizes().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_failed_entries_are_sent_again() {
        let script = Script::new([
            Ok(vec![Ok(delivery()), Err(throttled()), Ok(delivery()), Err(throttled())]),
            Ok(vec![Err(throttled()), Ok(delivery())]),
        ]);
        let entries = entries(4, 1);
        let results = deliver(&script, &entries).await;
        assert!(results.iter().all(Result::is_ok));
        let requests = script.requests.lock().unwrap();
        assert_eq!(requests[1], [entries[1].clone(), entries[3].clone()]);
        assert_eq!(requests[2], [entries[1].clone()]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_keeps_failing_is_handed_back_in_order() {
        let script = Script::new((0..6).map(|n| match n {
            0 => Ok(vec![Ok(delivery()), Err(throttled())]),
            _ => Ok(vec![Err(throttled())]),
        }));
        let results = deliver(&script, &entries(2, 1)).await;
        assert_eq!(results[0], Ok(delivery()));
        let error = results[1].clone().unwrap_err();
        assert_eq!(error.to_string(), "ProvisionedThroughputExceededException (tries: 6)");
        assert_eq!(script.request_sizes(), [2, 1, 1, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permanent_failure_is_not_repeated() {
        let refused = TryError {
            code: "ResourceNotFoundException".into(),
            message: Some("Stream records not found".into()),
            kind: ErrorKind::Permanent,
        };
        let script = Script::new([Err(refused)]);
        let results = deliver(&script, &entries(2, 1)).await;
        assert_eq!(script.request_sizes(), [2]);
        assert_eq!(
            results[1].clone().unwrap_err().to_string(),
            "ResourceNotFoundException: Stream records not found (tries: 1)"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_the_wrong_length_acknowledges_nothing() {
        let short = || Ok(vec![Ok(delivery())]);
        let script = Script::new((0..6).map(|_| short()));
        let results = deliver(&script, &entries(2, 1)).await;
        assert!(results.iter().all(|result| result.as_ref().unwrap_err().code == "NoAnswer"));
    }
}
