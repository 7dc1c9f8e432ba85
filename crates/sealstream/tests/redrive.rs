//! `sealstream redrive` against a quarantine and a function.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::collections::HashMap;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake_aws::{FakeAws, Fault, Operation, Rule};
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";
const BUCKET: &str = "quarantine-1a2b3c";
const FUNCTION: &str = "record-consumer";
const SHARD: &str = "records/shardId-000000000003";

/// What the function does with a record.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Report,
    QuarantineAgain,
}

/// The sequence numbers of an event, and its bytes.
type Event = (Vec<String>, usize);

struct Fixture {
    aws: Arc<FakeAws>,
    fates: Arc<Mutex<HashMap<String, Fate>>>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Fixture {
    async fn new() -> Self {
        let aws = Arc::new(FakeAws::start().await.unwrap());
        let fixture = Self { aws, fates: Arc::default(), events: Arc::default() };
        let (aws, fates) = (fixture.aws.clone(), fixture.fates.clone());
        let events = fixture.events.clone();
        fixture.function(BUCKET, move |event| {
            let records: Value = serde_json::from_slice(event).unwrap();
            let records = records["Records"].as_array().unwrap();
            let numbers: Vec<_> = records.iter().map(number_of).collect();
            let fates = fates.lock().unwrap();
            for number in numbers.iter().filter(|n| fates.get(*n) == Some(&Fate::QuarantineAgain)) {
                let document = stored(number, "still bad").to_string();
                aws.s3().put(REGION, BUCKET, &key(number), document.as_bytes());
            }
            let failed = numbers.iter().filter(|n| fates.get(*n) == Some(&Fate::Report));
            let failed: Vec<_> = failed.map(|n| json!({ "itemIdentifier": n })).collect();
            events.lock().unwrap().push((numbers.clone(), event.len()));
            Ok(json!({ "batchItemFailures": failed }).to_string().into_bytes())
        });
        fixture
    }

    fn function(
        &self,
        bucket: &str,
        handler: impl Fn(&[u8]) -> Result<Vec<u8>, Vec<u8>> + Send + Sync + 'static,
    ) {
        self.aws.lambda().create_function(FUNCTION, &[("QUARANTINE_BUCKET", bucket)], handler);
    }

    fn put(&self, key: &str, document: &str) {
        self.aws.s3().put(REGION, BUCKET, key, document.as_bytes());
    }

    fn store(&self, numbers: &[&str]) {
        for number in numbers {
            self.put(&key(number), &stored(number, "bad").to_string());
        }
    }

    fn keys(&self) -> Vec<String> {
        self.aws.s3().objects(REGION, BUCKET).into_keys().collect()
    }

    fn events(&self) -> Vec<Vec<String>> {
        self.events.lock().unwrap().iter().map(|(numbers, _)| numbers.clone()).collect()
    }

    /// Returns the exit code, standard output and standard error.
    async fn redrive(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealstream"));
        command
            .args(["redrive", "--region", REGION, "--bucket", BUCKET, "--function", FUNCTION])
            .args(arguments)
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.aws.url())
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        let run = tokio::task::spawn_blocking(move || command.output().unwrap());
        let run = tokio::time::timeout(Duration::from_secs(120), run).await;
        let Output { status, stdout, stderr } = run.expect("takes too long").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }
}

fn key(number: &str) -> String {
    format!("{SHARD}/{number}.json")
}

fn record(number: &str) -> Value {
    json!({
        "eventID": format!("shardId-000000000003:{number}"),
        "kinesis": { "data": "AQI=", "sequenceNumber": number },
    })
}

fn number_of(record: &Value) -> String {
    record["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned()
}

fn stored(number: &str, reason: &str) -> Value {
    json!({ "time": "2026-01-05T08:01:26Z", "reason": reason, "record": record(number) })
}

fn skipped(numbers: std::ops::Range<usize>, data: &str) -> Value {
    let record = |number: usize| {
        let mut record = record(&number.to_string());
        record["kinesis"]["data"] = json!(data);
        record
    };
    let event = json!({ "Records": numbers.map(record).collect::<Vec<_>>() });
    json!({
        "requestContext": { "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 3 },
        "timestamp": "2026-01-05T08:01:26.000Z",
        "KinesisBatchInfo": { "shardId": "shardId-000000000003" },
        "payload": event.to_string(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_written_records_are_deleted_and_the_others_stay() {
    let fixture = Fixture::new().await;
    fixture.store(&["7", "8", "9", "10"]);
    let fates = [("8", Fate::Report), ("9", Fate::QuarantineAgain)];
    fixture.fates.lock().unwrap().extend(fates.map(|(number, fate)| (number.to_owned(), fate)));
    let (code, list, summary) = fixture.redrive(&[]).await;
    let expected = [
        format!("{}: redriven\n", key("7")),
        format!("{}: it could not be written now; the function's log says why\n", key("8")),
        format!("{}: it is in the quarantine again: still bad\n", key("9")),
        format!("{}: redriven\n", key("10")),
    ];
    let mut lines: Vec<_> = list.split_inclusive('\n').collect();
    lines.sort_unstable();
    let mut expected: Vec<_> = expected.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert!(summary.contains("4 documents: 2 redriven, 2 left, 0 unreadable"), "{summary}");
    assert_eq!((code, fixture.keys()), (1, vec![key("8"), key("9")]));
    // In the order of the stream, in one event.
    assert_eq!(fixture.events(), [["7", "8", "9", "10"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_batch_goes_in_parts_without_spaces() {
    let fixture = Fixture::new().await;
    let key = "aws/lambda/uuid/shardId-000000000003/2026/01/05/skipped";
    fixture.put(key, &skipped(0..250, &"x".repeat(24_000)).to_string());
    let (code, list, _) = fixture.redrive(&["--prefix", "aws/lambda/"]).await;
    assert_eq!((code, list), (0, format!("{key}: redriven\n")));
    assert!(fixture.keys().is_empty());
    let events = fixture.events.lock().unwrap();
    assert!(events.len() > 2);
    for (numbers, bytes) in events.iter() {
        assert!(numbers.len() <= 100 && *bytes <= 1_100_000, "{} {bytes}", numbers.len());
    }
    let all: Vec<_> = events.iter().flat_map(|(numbers, _)| numbers.clone()).collect();
    assert_eq!(all, (0..250).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skipped_batch_stays_if_one_of_its_records_is_not_written() {
    let fixture = Fixture::new().await;
    fixture.put("aws/lambda/skipped", &skipped(0..150, "AQI=").to_string());
    fixture.fates.lock().unwrap().insert("120".to_owned(), Fate::Report);
    let (code, list, _) = fixture.redrive(&[]).await;
    assert_eq!(code, 1);
    assert!(list.contains("could not be written now"), "{list}");
    assert_eq!(fixture.keys(), ["aws/lambda/skipped"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_documents_are_named_and_skipped() {
    let fixture = Fixture::new().await;
    fixture.store(&["7"]);
    for (key, document) in [("a", "not JSON"), ("b", "{}"), ("c", "[1]"), ("d", "")] {
        fixture.put(key, document);
    }
    let (code, list, summary) = fixture.redrive(&[]).await;
    assert_eq!(list.matches("it is not a document of the quarantine").count(), 4, "{list}");
    assert!(list.contains(&format!("{}: redriven", key("7"))), "{list}");
    assert!(summary.contains("5 documents: 1 redriven, 0 left, 4 unreadable"), "{summary}");
    assert_eq!((code, fixture.keys().len()), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_cannot_be_read_does_not_end_the_run() {
    let fixture = Fixture::new().await;
    fixture.store(&["7", "8"]);
    // The AWS SDK tries three times.
    let outage = Rule::new(Fault::InternalError).operation(Operation::GetObject);
    fixture.aws.faults().inject(outage.times(6));
    let (code, list, _) = fixture.redrive(&[]).await;
    assert_eq!(list.matches("could not be read").count(), 2, "{list}");
    assert_eq!((code, fixture.keys().len()), (1, 2));
    assert_eq!(fixture.redrive(&[]).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_invocations_are_repeated() {
    let fixture = Fixture::new().await;
    fixture.store(&["7"]);
    let throttle = Rule::new(Fault::Throttle).operation(Operation::Invoke);
    fixture.aws.faults().inject(throttle.times(7));
    let (code, list, _) = fixture.redrive(&[]).await;
    assert_eq!((code, list), (0, format!("{}: redriven\n", key("7"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_with_another_quarantine_is_refused() {
    for bucket in ["another-bucket", ""] {
        let fixture = Fixture::new().await;
        fixture.store(&["7"]);
        fixture.function(bucket, |_| Ok(br#"{"batchItemFailures":[]}"#.to_vec()));
        let (code, list, error) = fixture.redrive(&[]).await;
        assert_eq!((code, list.as_str()), (2, ""));
        let found = if bucket.is_empty() { "none" } else { bucket };
        assert!(error.contains(&format!("is {found}, not {BUCKET}; nothing was done")), "{error}");
        assert_eq!(fixture.keys().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_of_another_form_deletes_nothing() {
    for (response, reason) in [
        (Ok("null"), "not that of record-consumer"),
        (Ok("{}"), "not that of record-consumer"),
        (Ok(""), "not that of record-consumer"),
        (Ok(r#"{"batchItemFailures":[{"itemIdentifier":"999"}]}"#), "not that of record-consumer"),
        (Ok(r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#), "not that of record-consumer"),
        (Err(r#"{"errorMessage":"crash"}"#), "the function failed"),
    ] {
        let fixture = Fixture::new().await;
        fixture.store(&["7"]);
        let bytes = |text: &str| text.as_bytes().to_vec();
        fixture.function(BUCKET, move |_| response.map(bytes).map_err(bytes));
        let (code, list, _) = fixture.redrive(&[]).await;
        assert!(list.contains(reason), "{list}");
        assert_eq!((code, fixture.keys().len()), (1, 1), "{response:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_an_operator_must_repair_end_the_command() {
    for operation in [
        Operation::GetFunctionConfiguration,
        Operation::ListObjectsV2,
        Operation::GetObject,
        Operation::Invoke,
        Operation::DeleteObject,
    ] {
        let fixture = Fixture::new().await;
        fixture.store(&["7"]);
        fixture.aws.faults().inject(Rule::new(Fault::AccessDenied).operation(operation));
        let (code, _, error) = fixture.redrive(&[]).await;
        assert_eq!((code, fixture.keys().len()), (3, 1), "{operation:?}: {error}");
        assert!(error.contains("access denied"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_does_not_exist_is_named() {
    let aws = Arc::new(FakeAws::start().await.unwrap());
    let fixture = Fixture { aws, fates: Arc::default(), events: Arc::default() };
    let (code, _, error) = fixture.redrive(&[]).await;
    assert_eq!(code, 3, "{error}");
    assert!(error.contains(&format!("cannot describe function {FUNCTION} in {REGION}")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_lists_the_documents() {
    let fixture = Fixture::new().await;
    fixture.store(&["9", "10"]);
    fixture.put("aws/lambda/skipped", &skipped(0..2, "AQI=").to_string());
    let (code, list, summary) = fixture.redrive(&["--dry-run"]).await;
    let expected = format!(
        "aws/lambda/skipped: 2026-01-05T08:01:26.000Z: skipped by Lambda: RetryAttemptsExhausted\n\
         {}: 2026-01-05T08:01:26Z: bad\n{}: 2026-01-05T08:01:26Z: bad\n",
        key("9"),
        key("10")
    );
    assert_eq!((code, list), (0, expected));
    assert!(summary.contains("3 documents: 0 redriven, 3 left, 0 unreadable"), "{summary}");
    assert!(fixture.events().is_empty());
    assert_eq!(fixture.keys().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_quarantine_is_done() {
    let fixture = Fixture::new().await;
    let (code, list, summary) = fixture.redrive(&[]).await;
    assert_eq!((code, list.as_str()), (0, ""));
    assert!(summary.contains("0 documents"), "{summary}");
}
