//! Memory stays bounded, whatever waits.

use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::Duration;

use fake_aws::{Fault, Operation, Rule, Service, StreamSettings};

use crate::fixture::{Fixture, HERE, THERE, ended, errors, signal, until};

const MAX_KIB: u64 = 100 << 10;

/// Returns the maximum of the memory that a process has had, in KiB.
fn peak_kib(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn drop_records(fixture: &Fixture, max_record_kib: usize) {
    let settings = StreamSettings { keep: false, max_record_kib, ..StreamSettings::default() };
    for region in [HERE, THERE] {
        fixture.aws.kinesis().create_stream(region, "records", settings);
    }
}

/// Lines of a kibibyte, each with a key of its own.
fn large_lines(count: usize) -> String {
    let text = "x".repeat(1000);
    (0..count).map(|id| format!("{{\"id\":\"{id}\",\"text\":\"{text}\"}}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_holds_little_for_any_linger_aggregation_and_backlog() {
    let cases: [(&str, &[&str], Option<Rule>); 4] = [
        ("plain", &[], None),
        (
            "linger",
            &["--partition-key-field", "id", "--aggregate-bytes", "24000", "--linger-ms", "60000"],
            None,
        ),
        ("backlog", &[], Some(Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE))),
        ("kms", &[], Some(Rule::new(Fault::Hang).service(Service::Kms))),
    ];
    for (name, arguments, fault) in cases {
        let fixture = Fixture::new(&format!("memory_{name}")).await;
        drop_records(&fixture, 1024);
        fault.map(|rule| fixture.inject(rule));
        let mut push = fixture.push(arguments);
        push.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "60").args(["--drain-seconds", "0"]);
        let mut child = push.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        // More than the memory that is allowed, as far as it is read.
        let writing = std::thread::spawn(move || {
            let block = large_lines(1000);
            (0..120).all(|_| input.write_all(block.as_bytes()).is_ok())
        });
        let mut peak = 0;
        for _ in 0..40 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            peak = peak.max(peak_kib(&child).unwrap_or_default());
        }
        if child.try_wait().unwrap().is_none() {
            signal("TERM", &child);
        }
        let output = ended(child).await;
        writing.join().unwrap();
        eprintln!("{name}: {} MiB at most", peak >> 10);
        assert!(peak < MAX_KIB, "{name}: {peak} KiB {}", errors(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_holds_little_for_any_size_of_message() {
    let fixture = Fixture::new("memory_resume").await;
    drop_records(&fixture, 1024);
    let data = "A".repeat(1_200_000);
    let message = |number: u32| {
        format!(
            "{{\"region\":\"{THERE}\",\"stream\":\"records\",\"partition_key\":\"{number}\",\
             \"attempts\":1,\"data\":\"{data}\"}}\n"
        )
    };
    let messages: String = (0..60).map(message).collect();
    fs::write(fixture.spool(), "{\"sealstream_spool\":1}\n".to_owned() + &messages).unwrap();
    fixture.inject(Rule::new(Fault::Hang).operation(Operation::PutRecords).times(4));
    let mut resume = fixture.resume();
    let child = resume.stdin(Stdio::null()).spawn().unwrap();
    until(|| fixture.aws.faults().calls(THERE, Operation::PutRecords).calls > 4).await;
    let mut peak = 0;
    while let Some(kib) = peak_kib(&child) {
        peak = peak.max(kib);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let output = ended(child).await;
    eprintln!("resume: {} MiB at most", peak >> 10);
    assert!(peak < MAX_KIB, "{peak} KiB {}", errors(&output));
}
