use fake_aws::FakeAws;

use crate::http::{Answer, send};

async fn next(aws: &FakeAws) -> Answer {
    send(aws.url(), "GET", "/2018-06-01/runtime/invocation/next", &[], b"").await
}

async fn post(aws: &FakeAws, path: &str, body: &[u8]) -> u16 {
    send(aws.url(), "POST", &format!("/2018-06-01/runtime/{path}"), &[], body).await.status
}

async fn respond(aws: &FakeAws, event: &Answer, kind: &str, body: &[u8]) -> u16 {
    let id = &event.headers["lambda-runtime-aws-request-id"];
    post(aws, &format!("invocation/{id}/{kind}"), body).await
}

#[tokio::test]
async fn events_are_served_with_what_a_runtime_needs() {
    let aws = FakeAws::start().await.unwrap();
    aws.runtime_api().push(vec![b"1".to_vec(), b"2".to_vec()], 2);
    for expected in ["1", "2", "1", "2"] {
        let event = next(&aws).await;
        assert_eq!(event.body, expected);
        assert!(event.headers["lambda-runtime-deadline-ms"].parse::<u64>().is_ok());
        assert!(
            event.headers["lambda-runtime-invoked-function-arn"].starts_with("arn:aws:lambda:")
        );
        assert!(event.headers["lambda-runtime-trace-id"].starts_with("Root="));
        assert_eq!(respond(&aws, &event, "response", b"{}").await, 202);
        assert_eq!(respond(&aws, &event, "response", b"{}").await, 400, "answered twice");
    }
    aws.runtime_api().done().await;
}

#[tokio::test]
async fn the_summary_counts_errors_and_failed_records() {
    let aws = FakeAws::start().await.unwrap();
    aws.runtime_api().push(vec![b"{}".to_vec()], 2);
    let failures = br#"{"batchItemFailures":[{"itemIdentifier":"1"},{"itemIdentifier":"2"}]}"#;
    let event = next(&aws).await;
    respond(&aws, &event, "response", failures).await;
    let event = next(&aws).await;
    respond(&aws, &event, "error", b"{}").await;

    let summary = aws.runtime_api().summary();
    assert_eq!((summary.invocations, summary.errors, summary.batch_item_failures), (2, 1, 2));
    assert!(summary.first_next_us.is_some() && summary.p50_us <= summary.p99_us);
    assert_eq!(aws.runtime_api().invocations()[0].outcome.as_deref(), Ok(&failures[..]));
}

#[tokio::test]
async fn without_events_a_runtime_waits_for_one() {
    let aws = FakeAws::start().await.unwrap();
    let (event, ()) = tokio::join!(next(&aws), async {
        while aws.runtime_api().summary().first_next_us.is_none() {
            tokio::task::yield_now().await;
        }
        aws.runtime_api().push(vec![b"late".to_vec()], 1);
    });
    assert_eq!(event.body, "late");
}

#[tokio::test]
async fn a_function_that_cannot_start_is_done() {
    let aws = FakeAws::start().await.unwrap();
    aws.runtime_api().push(vec![b"{}".to_vec()], 1);
    assert_eq!(post(&aws, "init/error", b"{}").await, 202);
    aws.runtime_api().done().await;
    assert!(aws.runtime_api().summary().init_failed);
}
