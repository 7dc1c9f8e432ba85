//! The function writes what it did in CloudWatch's embedded metric format, and says in its logs which
//! invocation and which records they are about.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod function;

use fake_aws::{FakeAws, Fault, KeyType, Operation, Rule};
use serde_json::{Value, json};

use function::{REGION, event, messages, serve};

/// Ten items in nine messages, of which two have one key, and a message that is none.
async fn aws_with_events() -> (FakeAws, u64) {
    let aws = FakeAws::start().await.unwrap();
    aws.dynamodb().create_table(REGION, "items", &[("id", KeyType::Text)]);
    let item = |id: usize| ("records", format!(r#"{{"id":"{}"}}"#, id % 7));
    let list = ("records", r#"[{"id":"a"},{"id":"b"}]"#.to_owned());
    let plaintexts = (0..8).map(item).chain([list, ("records", "text".to_owned())]);
    let messages = messages(&aws, plaintexts).await;
    let event = event(&messages);
    aws.runtime_api().push(vec![event], 2);
    (aws, messages.iter().map(|message| message.len() as u64).sum())
}

fn json_lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_writes_what_each_invocation_did() {
    let (aws, bytes) = aws_with_events().await;
    let throttle = Rule::new(Fault::Throttle).operation(Operation::Decrypt);
    aws.faults().inject(throttle.times(1));
    let log = serve(&aws, "metrics", &[("AWS_LAMBDA_LOG_FORMAT", "JSON")]).await;
    let metrics: Vec<_> =
        json_lines(&log).into_iter().filter(|line| !line["_aws"].is_null()).collect();
    let [first, kms, second] = metrics.try_into().unwrap();
    let expected = |hits: u64, misses: u64, cold: u64| {
        json!({
            "DataKeyCacheHits": hits, "DataKeyCacheMisses": misses, "DataKeyCacheEvictions": 0,
            "RecordsIn": 10, "BytesIn": bytes, "ItemsWritten": 9, "RecordsFailed": 0,
            "RecordsQuarantined": 1, "BatchesStalled": 0, "ColdStarts": cold,
        })
    };
    assert_eq!(counts(&first), expected(9, 1, 1));
    assert_eq!(counts(&second), expected(10, 0, 0));
    assert_eq!(
        (&kms["Region"], counts(&kms)),
        (&json!(REGION), json!({ "KmsCalls": 2, "KmsErrors": 1 }))
    );
    assert_eq!(kms["KmsLatency"].as_array().unwrap().len(), 2);
    assert_eq!(first["requestId"], kms["requestId"]);
    assert!(first["requestId"].is_string() && first["requestId"] != second["requestId"]);
    for line in [first, second] {
        assert_eq!(line["Service"], "record-consumer");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Service"]]));
        assert!(line["BatchLatency"][0].as_f64().unwrap() > 0.0);
    }
}

/// The values of a line's metrics, without latencies.
fn counts(line: &Value) -> Value {
    let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    let names = metrics.iter().map(|metric| metric["Name"].as_str().unwrap());
    names
        .filter(|name| !name.ends_with("Latency"))
        .map(|name| (name.to_owned(), line[name].clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_log_of_a_batch_names_invocation_shard_and_sequence_numbers() {
    for level in ["INFO", "WARN"] {
        let (aws, _) = aws_with_events().await;
        let name = format!("logs.{level}");
        let settings = [("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("AWS_LAMBDA_LOG_LEVEL", level)];
        let log = serve(&aws, &name, &settings).await;
        let batches: Vec<_> = json_lines(&log)
            .into_iter()
            .filter(|line| {
                let message = line["fields"]["message"].as_str().unwrap_or_default();
                message == "batch done" || message == "record quarantined"
            })
            .collect();
        assert_eq!(batches.len(), if level == "INFO" { 4 } else { 2 }, "{log}");
        for line in batches {
            let field = |name: &str| {
                let spans = line["spans"].as_array().unwrap();
                spans.iter().find_map(|span| span.get(name)).cloned().unwrap_or_default()
            };
            assert!(field("requestId").is_string(), "{line}");
            // Lambda filters by level only lines with a valid timestamp.
            assert!(line["level"].is_string(), "{line}");
            let timestamp = line["timestamp"].as_str().unwrap();
            assert!(humantime::parse_rfc3339(timestamp).is_ok(), "{line}");
            assert_eq!(field("shard"), "shardId-000000000000");
            assert_eq!(
                (field("first_sequence_number"), field("last_sequence_number")),
                (json!("0"), json!("9"))
            );
            assert_eq!(field("records"), 10);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_traces_of_a_batch_are_logged_with_their_records() {
    const TRACE: &str = "67891233abcdef012345678912345678";
    let aws = FakeAws::start().await.unwrap();
    aws.dynamodb().create_table(REGION, "items", &[("id", KeyType::Text)]);
    let item = |id: u32, text: &str| format!(r#"{{"id":"{id}","traceparent":"{text}"}}"#);
    let of_span = |id, span: &str| item(id, &format!("00-{TRACE}-{span}-01"));
    let other = item(4, "00-0af7651916cd43dd8448eb211c80319c-53995c3f42cd8ad8-00");
    let plaintexts = [
        of_span(0, "53995c3f42cd8ad8"),
        item(1, "not a trace"),
        format!("[{},{other}]", of_span(2, "0000000000000001")),
        r#"{"id":"3"}"#.to_owned(),
    ];
    let messages = messages(&aws, plaintexts.map(|plaintext| ("records", plaintext))).await;
    aws.runtime_api().push(vec![event(&messages)], 1);
    let settings = [("AWS_LAMBDA_LOG_FORMAT", "JSON"), ("TRACE_ATTRIBUTE", "traceparent")];
    let log = serve(&aws, "traces", &settings).await;
    assert!(!log.contains("not a trace"), "{log}");
    let traces: Vec<_> = json_lines(&log)
        .into_iter()
        .filter(|line| line["fields"]["message"] == "trace")
        .map(|line| {
            ["trace_id", "xray_trace_id", "sequence_numbers"].map(|f| line["fields"][f].clone())
        })
        .collect();
    let expected = [
        ["0af7651916cd43dd8448eb211c80319c", "1-0af76519-16cd43dd8448eb211c80319c", "2"],
        [TRACE, "1-67891233-abcdef012345678912345678", "0,2"],
    ];
    assert_eq!(traces, expected.map(|trace| trace.map(Value::from)));
    assert_eq!(aws.dynamodb().items(REGION, "items").len(), 5);
}
