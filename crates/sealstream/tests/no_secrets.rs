//! `sealstream push`, logging all they can, show nothing of what records
//! hold.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod programs;

use std::fs;
use std::path::Path;

use fake_aws::{Fault, Operation, Rule, Service};
use secrets::assert_hidden;

use programs::Fixture;

const NAME: &str = "markedName";
const VALUE: &str = "markedValue";

/// Runs `sealstream push` with a spool and metrics, and returns all that it leaves.
async fn push(fixture: &Fixture, input: &Path) -> String {
    let (spool, metrics) = (fixture.folder.join("spool.ndjson"), fixture.folder.join("metrics"));
    let mut command = fixture.command("push");
    command.arg("--spool").arg(&spool).arg("--metrics").arg(&metrics).arg(input);
    let output = fixture.run(command).await;
    let files = [fs::read(spool).unwrap_or_default(), fs::read(metrics).unwrap()];
    let all = [output.stdout, output.stderr, files.concat()].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn push_shows_nothing_of_a_line_whatever_becomes_of_it() {
    let fixture = Fixture::new("no_secrets_cli").await;
    // Not the file's name, which is shown.
    let input = fixture.folder.join("input");
    let large = "x".repeat(1 << 20);
    let lines = [
        record(1),
        format!("{VALUE} is not JSON"),
        format!(r#"["{VALUE}"]"#),
        format!(r#"{{"{NAME}":"{VALUE}{large}"}}"#),
        record(2),
    ];
    fs::write(&input, lines.join("\n")).unwrap();
    for (fault, expected) in [
        (None, "2 of 3 records"),
        (Some(Rule::new(Fault::Unavailable).service(Service::Kms)), "not encrypted"),
        (Some(Rule::new(Fault::Unavailable).operation(Operation::PutRecords)), "not delivered"),
    ] {
        let outage = fault.map(|rule| fixture.aws.faults().inject(rule));
        let shown = push(&fixture, &input).await;
        outage.into_iter().for_each(|outage| fixture.aws.faults().lift(outage));
        for expected in [expected, "RecordsIn"] {
            assert!(shown.contains(expected), "{expected}: {shown}");
        }
        expect_no_secrets(&shown);
    }
}

fn record(id: u32) -> String {
    format!(r#"{{"id":"{id}","{NAME}":"{VALUE}"}}"#)
}

fn expect_no_secrets(text: &str) {
    assert_hidden(text, NAME);
    assert_hidden(text, VALUE);
}
