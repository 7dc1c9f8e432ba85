//! Signals that were ignored when the program started stay ignored.
#![cfg(target_os = "linux")]

use std::io::Write;

use crate::fixture::{Fixture, HERE, THERE, ended, errors, lines, signal, summary, until};

/// How a program is started, the signal that it then ignores, and one that still drains it.
const STARTS: [(&[&str], &str, &str); 5] = [
    (&["/usr/bin/nohup"], "HUP", "TERM"),
    (&["/bin/sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""], "HUP", "INT"),
    // As a shell without job control starts a job in the background.
    (&["/bin/sh", "-c", "trap '' INT; exec \"$0\" \"$@\""], "INT", "HUP"),
    (&["/bin/sh", "-c", "trap '' INT QUIT HUP; exec \"$0\" \"$@\""], "HUP", "TERM"),
    (&["/usr/bin/env", "--default-signal", "--ignore-signal=TERM"], "TERM", "INT"),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_signal_does_not_drain_and_another_one_does() {
    for (index, (wrapper, ignored, drains)) in STARTS.into_iter().enumerate() {
        let mut fixture = Fixture::new(&format!("ignored_{index}")).await;
        fixture.wrapper = wrapper;
        let mut child = fixture.push(&[]).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(lines(10).as_bytes()).unwrap();
        until(|| fixture.count(HERE) == 10 && fixture.count(THERE) == 10).await;
        signal(ignored, &child);
        input.write_all(lines(10).as_bytes()).unwrap();
        until(|| fixture.count(HERE) == 20 && fixture.count(THERE) == 20).await;
        signal(drains, &child);
        let output = ended(child).await;
        assert_eq!(output.status.code(), Some(1), "{wrapper:?} {}", errors(&output));
        assert_eq!(summary(&output)["delivered"], 20, "{wrapper:?}");
        drop(input);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ignores_every_signal_runs_to_the_end_of_its_input() {
    let mut fixture = Fixture::new("ignored_all").await;
    fixture.wrapper = &["/usr/bin/env", "--ignore-signal"];
    let mut child = fixture.push(&[]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(10).as_bytes()).unwrap();
    until(|| fixture.count(HERE) == 10).await;
    for name in ["HUP", "INT", "TERM"] {
        signal(name, &child);
    }
    input.write_all(lines(10).as_bytes()).unwrap();
    drop(input);
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (20, 20));
}
