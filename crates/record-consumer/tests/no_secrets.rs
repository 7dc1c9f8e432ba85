//! The function `record-consumer`, logging all it can, shows nothing of what records hold.

mod function;

use fake_aws::{FakeAws, Fault, KeyType, Operation, Rule};
use secrets::assert_hidden;

use function::{REGION, event, messages, serve};

const NAME: &str = "markedName";
const VALUE: &str = "markedValue";

#[tokio::test(flavor = "multi_thread")]
async fn no_log_of_the_function_shows_what_records_hold() {
    let aws = FakeAws::start().await.unwrap();
    aws.dynamodb().create_table(REGION, "items", &[("id", KeyType::Text)]);
    let event = event(&messages(&aws, plaintexts()).await);
    for (format, level) in [("Text", "RUST_LOG"), ("JSON", "AWS_LAMBDA_LOG_LEVEL")] {
        // The AWS SDK would log the items that come back.
        let operation = Operation::BatchWriteItem;
        aws.faults().inject(Rule::new(Fault::Partial { every: 2 }).operation(operation).times(1));
        aws.runtime_api().push(vec![event.clone(), b"{\"Records\":7}".to_vec()], 1);
        let name = format!("no_secrets.{format}");
        // The AWS SDK would log data keys too.
        let bodies = ("LOG_SENSITIVE_BODIES", "true");
        // What is no trace context is not logged either.
        let trace = ("TRACE_ATTRIBUTE", NAME);
        let settings = [(level, "TRACE"), bodies, ("AWS_LAMBDA_LOG_FORMAT", format), trace];
        let log = serve(&aws, &name, &settings).await;
        for expected in ["batch done", "record quarantined", "ItemsWritten"] {
            assert!(log.contains(expected), "{log}");
        }
        assert_eq!(log.lines().all(|line| line.starts_with('{')), format == "JSON", "{log}");
        expect_no_secrets(&log);
    }
    for document in aws.s3().objects(REGION, "quarantine").values() {
        expect_no_secrets(&String::from_utf8_lossy(document));
    }
    for invocation in aws.runtime_api().invocations() {
        let (Ok(answer) | Err(answer)) = invocation.outcome;
        expect_no_secrets(&String::from_utf8_lossy(&answer));
    }
    assert_eq!(aws.dynamodb().items(REGION, "items").len(), 3);
}

fn expect_no_secrets(text: &str) {
    assert_hidden(text, NAME);
    assert_hidden(text, VALUE);
}

/// Three items, and what can never be written.
fn plaintexts() -> [(&'static str, String); 5] {
    [
        ("records", format!(r#"{{"id":"1","{NAME}":"{VALUE}"}}"#)),
        ("records", format!(r#"[{{"id":"2","{NAME}":"{VALUE}"}},{{"id":"{VALUE}"}}]"#)),
        ("records", format!(r#"{{"{NAME}":"{VALUE}"}}"#)),
        ("records", format!("{VALUE}, which is not JSON")),
        ("another", format!(r#"{{"id":"3","{NAME}":"{VALUE}"}}"#)),
    ]
}
