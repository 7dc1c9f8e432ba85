//! `sealstream push` write what they did in CloudWatch's embedded metric
//! format.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod programs;

use std::fs;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, Fault, Operation, Rule, kms_key_arn};
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

#[tokio::test(flavor = "multi_thread")]
async fn push_appends_what_it_did_to_a_file() {
    let fixture = Fixture::new("metrics_cli").await;
    let file = fixture.folder.join("metrics.ndjson");
    let input = fixture.folder.join("input");
    let large = format!(r#"{{"id":"{}"}}"#, "x".repeat(1 << 20));
    fs::write(&input, ["{}", &large, "no record", "{}"].join("\n")).unwrap();
    let throttle = Rule::new(Fault::Throttle).operation(Operation::PutRecords);
    fixture.aws.faults().inject(throttle.region("us-east-1").times(1));
    let down = Rule::new(Fault::InternalError).operation(Operation::PutRecords);
    fixture.aws.faults().inject(down.region("eu-west-1"));
    let mut command = fixture.command("push");
    command.arg("--metrics").arg(&file).arg(&input);
    fixture.run(command).await;

    let written = fs::read_to_string(&file).unwrap();
    let [service, there, here] = lines(&written).try_into().unwrap();
    assert_eq!(service["Service"], "sealstream");
    let bytes = 4 + large.len();
    let expected = json!({
        "DataKeyCacheHits": 2, "DataKeyCacheMisses": 1, "DataKeyCacheEvictions": 0,
        "RecordsIn": 3, "BytesIn": bytes, "RecordsRefused": 1,
    });
    assert_eq!(counts(&service), expected);
    let (here, there) = (counts(&here), counts(&there));
    let some = |line: &Value, name: &str| line[name].as_u64().unwrap();
    assert_eq!((some(&here, "MessagesDelivered"), some(&here, "MessagesUndelivered")), (2, 0));
    assert!(some(&here, "ThrottledAttempts") > 0 && some(&here, "FailedAttempts") == 0, "{here}");
    assert_eq!((some(&there, "MessagesDelivered"), some(&there, "MessagesUndelivered")), (0, 2));
    assert!(
        some(&there, "FailedAttempts") > 0 && some(&there, "ThrottledAttempts") == 0,
        "{there}"
    );
    assert_eq!((some(&there, "BytesDelivered"), some(&there, "KmsCalls")), (0, 1));

    // What nothing happens in is not there, and what was there stays.
    let mut again = fixture.command("push");
    again.env("SEALSTREAM_METRICS", &file);
    fixture.run(again).await;
    assert_eq!(fs::read_to_string(&file).unwrap(), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_metrics_that_cannot_be_written_is_found_before_anything_is_pushed() {
    let fixture = Fixture::new("metrics_no_file").await;
    let input = fixture.folder.join("input");
    fs::write(&input, "{}").unwrap();
    let mut command = fixture.command("push");
    command.arg("--metrics").arg(fixture.folder.join("missing/metrics")).arg(&input);
    let output = fixture.run(command).await;
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("missing/metrics"), "{errors}");
    assert!(fixture.aws.kinesis().records("us-east-1", "records").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_given_the_trace_context_that_they_lack() {
    const TRACEPARENT: &str = "00-67891233abcdef012345678912345678-53995c3f42cd8ad8-01";
    let fixture = Fixture::new("trace_cli").await;
    let input = fixture.folder.join("input");
    fs::write(&input, r#"{"id":"1"}"#.to_owned() + "\n" + r#"{"trace":"own"}"#).unwrap();
    let push = async |settings: &[(&str, &str)]| {
        let mut command = fixture.command("push");
        command
            .envs(settings.iter().copied())
            .env("SEALSTREAM_AGGREGATE_BYTES", "1000")
            .arg(&input);
        let output = fixture.run(command).await;
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), errors, plaintexts(&fixture.aws).await.pop())
    };
    let expected = format!(r#"[{{"trace":"{TRACEPARENT}","id":"1"}},{{"trace":"own"}}]"#);
    let trace = ("SEALSTREAM_TRACE_ATTRIBUTE", "trace");
    let (code, errors, pushed) = push(&[trace, ("TRACEPARENT", TRACEPARENT)]).await;
    assert_eq!((code, pushed), (Some(0), Some(expected)), "{errors}");
    let unchanged = Some(r#"[{"id":"1"},{"trace":"own"}]"#.to_owned());
    for off in [[trace, trace], [("SEALSTREAM_TRACE_ATTRIBUTE", ""), ("TRACEPARENT", TRACEPARENT)]]
    {
        let (code, errors, pushed) = push(&off).await;
        assert_eq!((code, pushed), (Some(0), unchanged.clone()), "{errors}");
    }
    let (code, errors, _) = push(&[trace, ("TRACEPARENT", "00-1-2-01")]).await;
    assert!(code == Some(2) && errors.contains("--traceparent"), "{errors}");
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
