//! The function record-pusher writes what it did in CloudWatch's embedded metric
//! format.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod programs;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, kms_key_arn};
use record_cipher::{Keys, RecordCipher};
use serde_json::{Value, json};

use programs::Fixture;

/// The metrics lines of a text.
fn lines(text: &str) -> Vec<Value> {
    let lines = text.lines().filter(|line| line.contains(r#""_aws":"#));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The values of a line's metrics, each of which its directive names, without those of latencies.
fn counts(line: &Value) -> Value {
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "Sealstream");
    for dimension in directive["Dimensions"][0].as_array().unwrap() {
        assert!(line[dimension.as_str().unwrap()].is_string(), "{line}");
    }
    let names = directive["Metrics"].as_array().unwrap().iter();
    let names = names.map(|metric| metric["Name"].as_str().unwrap().to_owned());
    names
        .filter(|name| !name.ends_with("Latency"))
        .map(|name| (name.clone(), line[&name].clone()))
        .collect()
}

fn latencies(line: &Value, name: &str) -> Vec<f64> {
    let values = line[name].as_array().unwrap_or(const { &Vec::new() }).iter();
    values.map(|value| value.as_f64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_writes_what_each_invocation_did() {
    let fixture = Fixture::new("metrics_function").await;
    let record = json!({ "id": "1234" });
    let many = json!({ "records": vec![&record; 100] });
    let log = fixture
        .serve(&[many.to_string(), record.to_string()], &[("CACHE_MAX_MESSAGES", "1000")])
        .await;
    let lines = lines(&log);
    let ids: Vec<_> = lines.iter().map(|line| line["requestId"].as_str().unwrap()).collect();
    assert!(lines.len() == 6 && ids[0] == ids[2] && ids[2] != ids[3] && ids[3] == ids[5], "{log}");
    for (at, (service, regions)) in [
        (
            json!({
                "DataKeyCacheHits": 99, "DataKeyCacheMisses": 1, "DataKeyCacheEvictions": 0,
                "RecordsIn": 100, "BytesIn": 1300, "RecordsRefused": 0, "ColdStarts": 1,
            }),
            (1, 100),
        ),
        (
            json!({
                "DataKeyCacheHits": 1, "DataKeyCacheMisses": 0, "DataKeyCacheEvictions": 0,
                "RecordsIn": 1, "BytesIn": 13, "RecordsRefused": 0, "ColdStarts": 0,
            }),
            (0, 1),
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let (calls, messages) = regions;
        let of_invocation = &lines[3 * at..][..3];
        assert_eq!(counts(&of_invocation[0]), service);
        assert_eq!(of_invocation[0]["Service"], "record-pusher");
        assert!(latencies(&of_invocation[0], "BatchLatency")[0] > 0.0);
        for (line, region) in of_invocation[1..].iter().zip(["eu-west-1", "us-east-1"]) {
            assert_eq!(line["Region"], region);
            let found = counts(line);
            let bytes = found["BytesDelivered"].as_u64().unwrap();
            assert!(bytes > messages * 100, "{found}");
            let requests = found["PutRecordsRequests"].as_u64().unwrap();
            assert!((1..=messages).contains(&requests), "{found}");
            let expected = json!({
                "KmsCalls": calls, "KmsErrors": 0, "MessagesDelivered": messages,
                "BytesDelivered": bytes, "MessagesUndelivered": 0, "PutRecordsRequests": requests,
                "FailedAttempts": 0, "ThrottledAttempts": 0,
            });
            assert_eq!(found, expected);
            assert_eq!(latencies(line, "KmsLatency").len(), calls);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_gives_records_the_trace_context_of_its_invocation() {
    let fixture = Fixture::new("trace_function").await;
    fixture.serve(&["{}".to_owned()], &[("TRACE_ATTRIBUTE", "trace")]).await;
    let traceparent = format!("00-67891233{:024x}-53995c3f42cd8ad8-00", 0);
    assert_eq!(plaintexts(&fixture.aws).await, [format!(r#"{{"trace":"{traceparent}"}}"#)]);
}

async fn plaintexts(aws: &FakeAws) -> Vec<String> {
    let credentials = Credentials::new("id", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(aws.url())
        .build();
    let keys = Keys::Decrypt(vec![kms_key_arn("eu-west-1", "alias/records").parse().unwrap()]);
    let cipher = RecordCipher::builder(keys, &config).build().await.unwrap();
    let mut plaintexts = Vec::new();
    for record in aws.kinesis().records("eu-west-1", "records") {
        let plaintext = cipher.decrypt(&"records".parse().unwrap(), record.data).await.unwrap();
        plaintexts.push(String::from_utf8(plaintext).unwrap());
    }
    plaintexts
}
