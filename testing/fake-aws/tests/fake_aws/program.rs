use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::http::send;

#[tokio::test]
async fn the_program_serves_events_and_reports_at_the_end() {
    let directory = env!("CARGO_TARGET_TMPDIR");
    let events = format!("{directory}/events.jsonl");
    std::fs::write(&events, "{\"a\":1}\n\n{\"a\":2}\n").unwrap();
    let (mut program, mut lines) =
        start(&["--stream", "records", "--table", "messages:id", "--events", &events]);
    let url = lines.next_line().await.unwrap().unwrap();

    for expected in ["{\"a\":1}", "{\"a\":2}"] {
        let event = send(&url, "GET", "/2018-06-01/runtime/invocation/next", &[], b"").await;
        assert_eq!(event.body, expected);
        let id = &event.headers["lambda-runtime-aws-request-id"];
        let path = format!("/2018-06-01/runtime/invocation/{id}/response");
        send(&url, "POST", &path, &[], b"null").await;
    }
    let summary: serde_json::Value =
        serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!((&summary["invocations"], &summary["errors"]), (&2.into(), &0.into()));

    let id = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    let report: serde_json::Value =
        serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(report["streams"][0]["records"], 0);
    assert!(program.wait().await.unwrap().success());
}

#[tokio::test]
async fn the_program_throttles_the_share_of_puts_that_it_is_told() {
    let put = [
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/kinesis/aws4_request",
        ),
        ("x-amz-target", "Kinesis_20131202.PutRecords"),
    ];
    let body = br#"{"StreamName":"records","Records":[{"Data":"","PartitionKey":"a"}]}"#;
    for (share, status) in [("0", 200), ("1", 400)] {
        let (_program, mut lines) = start(&["--stream", "records", "--throttle", share]);
        let url = lines.next_line().await.unwrap().unwrap();
        assert_eq!(send(&url, "POST", "/", &put, body).await.status, status, "{share}");
    }
}

/// The program, until it is dropped, and what it prints.
fn start(args: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fake-aws"))
        .args(args)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(program.stdout.take().unwrap()).lines();
    (program, lines)
}
