//! Nobody has to read what a push says.

use std::fs::OpenOptions;
use std::io::Read;
use std::process::{Command, Stdio};

use fake_aws::{Fault, Rule, Service};

use crate::fixture::{Fixture, HERE, THERE, ended, errors, lines, run, summary};

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

/// A pipe that nobody reads.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_or_full_output_changes_nothing() {
    type Redirect = fn(&mut Command);
    let redirections: [(&str, Redirect); 5] = [
        ("full stderr", |command| {
            command.stderr(full());
        }),
        ("full stdout", |command| {
            command.stdout(full());
        }),
        ("closed stderr", |command| {
            command.stderr(closed());
        }),
        ("closed stdout", |command| {
            command.stdout(closed());
        }),
        ("both", |command| {
            command.stdout(closed()).stderr(full());
        }),
    ];
    // Good lines, bad lines, and a Region that is out.
    let bad: String = (0..300)
        .map(|id| if id % 10 == 0 { "oops\n".to_owned() } else { format!("{{\"id\":{id}}}\n") })
        .collect();
    for (name, redirect) in redirections {
        for (case, input, good, code) in
            [("good", lines(100), 100, 0), ("bad", bad.clone(), 270, 1), ("out", lines(50), 50, 1)]
        {
            let fixture = Fixture::new(&format!("{case}_{name}").replace(' ', "_")).await;
            if case == "out" {
                fixture.outage(THERE);
            }
            let mut push = fixture.push_with_spool(&[]);
            redirect(&mut push);
            let output = run(push, input).await;
            assert_eq!(output.status.code(), Some(code), "{case} {name}");
            assert_eq!(fixture.count(HERE), good, "{case} {name}");
            if case == "out" {
                assert_eq!(fixture.spooled().len(), good, "{case} {name}");
                fixture.aws.faults().lift_all();
                let mut resume = fixture.resume();
                redirect(&mut resume);
                assert_eq!(run(resume, "").await.status.code(), Some(0), "{case} {name}");
            }
            assert_eq!(fixture.count(THERE), good, "{case} {name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_in_between_does_not_end_the_push() {
    let fixture = Fixture::new("leaves").await;
    let mut push = fixture.push(&[]);
    let bad = "oops\n".to_owned() + &lines(2000);
    let path = fixture.file("input", bad);
    let mut child = push.arg(path).stdin(Stdio::null()).spawn().unwrap();
    let mut first = [0];
    // The first byte of the output, and no more.
    let _ = child.stderr.take().unwrap().read(&mut first);
    assert_eq!(ended(child).await.status.code(), Some(1));
    assert_eq!(fixture.count(HERE), 2000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_failure_is_said_once() {
    let fixture = Fixture::new("folded").await;
    fixture.inject(Rule::new(Fault::Unavailable).service(Service::Kinesis));
    let path = fixture.file("big.ndjson", lines(3000));
    let mut push = fixture.push(&[]);
    push.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "2");
    let output = run(
        {
            push.arg(path);
            push
        },
        "",
    )
    .await;
    assert_eq!(output.status.code(), Some(1));
    let errors = errors(&output);
    let lines: Vec<_> = errors.lines().filter(|line| line.contains("not delivered to")).collect();
    assert!(lines.len() <= 8, "{errors}");
    assert!(errors.contains("big.ndjson:1-"), "{errors}");
    assert_eq!(summary(&output)["undelivered"], 3000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_has_stable_keys() {
    let fixture = Fixture::new("keys").await;
    let keys = |output: &std::process::Output| {
        let summary = summary(output);
        summary.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    let good = run(fixture.push(&[]), lines(1)).await;
    let bad = run(fixture.push(&[]), "oops").await;
    fixture.outage(HERE);
    let mut push = fixture.push(&[]);
    push.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "1");
    let out = run(push, lines(1)).await;
    let expected = [
        "records",
        "delivered",
        "undelivered",
        "rejected_lines",
        "interrupted",
        "spool_failed",
        "plaintext_bytes",
        "elapsed_seconds",
        "continue_from",
        "regions",
        "cache",
        "exit_code",
    ];
    let mut expected: Vec<_> = expected.map(str::to_owned).to_vec();
    expected.sort();
    for output in [good, bad, out] {
        let mut keys = keys(&output);
        keys.sort();
        assert_eq!(keys, expected);
        let code = summary(&output)["exit_code"].as_i64();
        assert_eq!(code, output.status.code().map(i64::from));
    }
}
