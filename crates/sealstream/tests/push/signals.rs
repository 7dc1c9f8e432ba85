//! A signal ends the reading; what was read is delivered, spooled or listed, whatever stands in the way.

use std::collections::BTreeSet;
use std::io::{PipeReader, Read, Write, pipe};
use std::process::{Child, Command};
use std::time::Duration;

use fake_aws::{Fault, Operation, Rule, Service};
use serde_json::Value;
use tokio::time::Instant;

use crate::fixture::{Fixture, HERE, THERE, ended, errors, lines, run, signal, summary, until};

/// What keeps records from being delivered.
#[derive(Debug, Clone, Copy)]
enum Obstacle {
    Linger,
    KmsHangs,
    KmsThrottles,
    KmsDenies,
    KinesisHangs,
    KinesisThrottles,
    RegionHangs,
    RegionIsDown,
    PredecessorHangs,
}

const OBSTACLES: [Obstacle; 9] = [
    Obstacle::Linger,
    Obstacle::KmsHangs,
    Obstacle::KmsThrottles,
    Obstacle::KmsDenies,
    Obstacle::KinesisHangs,
    Obstacle::KinesisThrottles,
    Obstacle::RegionHangs,
    Obstacle::RegionIsDown,
    Obstacle::PredecessorHangs,
];

impl Obstacle {
    fn inject(self, fixture: &Fixture) {
        let rule = match self {
            Self::Linger => return,
            Self::KmsHangs => Rule::new(Fault::Hang).service(Service::Kms),
            Self::KmsThrottles => Rule::new(Fault::Throttle).service(Service::Kms),
            Self::KmsDenies => Rule::new(Fault::AccessDenied).service(Service::Kms).region(THERE),
            Self::KinesisHangs | Self::PredecessorHangs => {
                Rule::new(Fault::Hang).service(Service::Kinesis)
            }
            Self::KinesisThrottles => Rule::new(Fault::Throttle).service(Service::Kinesis),
            Self::RegionHangs => Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE),
            Self::RegionIsDown => {
                Rule::new(Fault::Unavailable).service(Service::Kinesis).region(THERE)
            }
        };
        fixture.inject(rule);
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Linger => &["--aggregate-bytes", "100000", "--linger-ms", "60000"],
            Self::PredecessorHangs => &["--partition-key-field", "secret"],
            _ => &[],
        }
    }
}

/// Time for the end after a signal: the drain time, the time for encryption, and a busy machine.
const END: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_push_in_time_and_no_record_is_unaccounted_for() {
    for (index, obstacle) in OBSTACLES.into_iter().enumerate() {
        let name = ["TERM", "INT", "HUP"][index % 3];
        let fixture = Fixture::new(&format!("signal_{obstacle:?}")).await;
        obstacle.inject(&fixture);
        let mut push = fixture.push_with_spool(obstacle.arguments());
        push.args(["--drain-seconds", "1", "--delivery-timeout-seconds", "60"]);
        let mut child = push.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(lines(300).as_bytes()).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        signal(name, &child);
        let signalled = Instant::now();
        let output = ended(child).await;
        assert!(signalled.elapsed() < END, "{obstacle:?}: {:?}", signalled.elapsed());
        drop(input);
        let context = format!("{obstacle:?} {}", errors(&output));
        // KMS that denies access ends the run by itself.
        let expected = if matches!(obstacle, Obstacle::KmsDenies) { 3 } else { 1 };
        assert_eq!(output.status.code(), Some(expected), "{context}");
        accounted_for(&fixture, &summary(&output), 300, &context).await;
    }
}

/// Per Region: what was read is delivered, spooled or returned, and the numbers in the summary are
/// true.
async fn accounted_for(fixture: &Fixture, summary: &Value, written: u64, context: &str) {
    let read = summary["records"].as_u64().unwrap();
    assert!(read <= written, "{context}");
    for region in [HERE, THERE] {
        let of_region = &summary["regions"][region];
        let count = |name: &str| of_region[name].as_u64().unwrap();
        assert_eq!(count("delivered") + count("undelivered"), read, "{context}");
        let arrived: BTreeSet<_> = fixture.ids(region).await.into_iter().collect();
        assert!(arrived.len() as u64 >= count("delivered"), "{context}");
    }
    fixture.aws.faults().lift_all();
    if fixture.spool().exists() {
        let resumed = run(fixture.resume(), "").await;
        assert_eq!(resumed.status.code(), Some(0), "{context} {}", errors(&resumed));
    }
    for region in [HERE, THERE] {
        let of_region = &summary["regions"][region];
        let count = |name: &str| of_region[name].as_u64().unwrap();
        let returned = count("undelivered") - count("spooled");
        let arrived: BTreeSet<_> = fixture.ids(region).await.into_iter().collect();
        assert!(arrived.len() as u64 + returned >= read, "{context}");
        if returned == 0 && read == written {
            assert_eq!(arrived.len() as u64, written, "{context}");
        }
    }
    // From the line that the summary names on, the input can be pushed again, and nothing is missing.
    if let Some(line) = summary["continue_from"]["line"].as_u64() {
        let again = run(fixture.push(&["--from-line", &line.to_string()]), lines(300)).await;
        assert_eq!(again.status.code(), Some(0), "{context} {}", errors(&again));
        for region in [HERE, THERE] {
            let arrived: BTreeSet<_> = fixture.ids(region).await.into_iter().collect();
            assert_eq!(arrived.len() as u64, written, "{context}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_push_delivers_all_that_it_took_out_of_a_pipe() {
    let fixture = Fixture::new("pipe").await;
    let (reader, mut writer) = pipe().unwrap();
    let rest = reader.try_clone().unwrap();
    let mut push = fixture.push(&[]);
    let child = push.stdin(reader).spawn().unwrap();
    drop(push);
    let text = lines(200_000);
    let writing = std::thread::spawn(move || writer.write_all(text.as_bytes()).is_ok());
    until(|| fixture.count(HERE) > 1000).await;
    signal("TERM", &child);
    let output = ended(child).await;
    let mut unread = Vec::new();
    read_available(rest, &mut unread);
    writing.join().unwrap();
    let summary = summary(&output);
    let read = summary["records"].as_u64().unwrap() + summary["rejected_lines"].as_u64().unwrap();
    let unread = String::from_utf8(unread).unwrap();
    let first_unread = unread.lines().nth(1).unwrap();
    let id = serde_json::from_str::<Value>(first_unread).unwrap()["id"].as_u64().unwrap();
    // At most one line was cut in two.
    assert!(id - read <= 1, "{read} lines were read, and {id} was left in the pipe");
    assert_eq!(summary["delivered"], summary["records"]);
    // A line that was cut in two is to be pushed again.
    assert_eq!(
        summary["continue_from"]["line"].as_u64(),
        summary["records"].as_u64().map(|n| n + 1)
    );
    assert_eq!((output.status.code(), fixture.count(THERE) as u64), (Some(1), read));
}

fn read_available(mut rest: PipeReader, unread: &mut Vec<u8>) {
    rest.read_to_end(unread).unwrap();
}

/// Starts a push that hangs, and waits until it does.
async fn hanging(fixture: &Fixture) -> (Child, std::process::ChildStdin) {
    fixture.inject(Rule::new(Fault::Hang).operation(Operation::PutRecords));
    let mut push = fixture.push_with_spool(&["--drain-seconds", "60"]);
    let mut child = push.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "60").spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(3).as_bytes()).unwrap();
    until(|| fixture.aws.faults().calls(HERE, Operation::PutRecords).faults > 0).await;
    (child, input)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_program_at_once() {
    for (first, second, code) in
        [("INT", "INT", 130), ("TERM", "TERM", 143), ("TERM", "INT", 130), ("HUP", "TERM", 143)]
    {
        let fixture = Fixture::new(&format!("second_{first}_{second}")).await;
        let (child, input) = hanging(&fixture).await;
        signal(first, &child);
        tokio::time::sleep(Duration::from_millis(300)).await;
        signal(second, &child);
        let signalled = Instant::now();
        assert_eq!(ended(child).await.status.code(), Some(code), "{first} {second}");
        assert!(signalled.elapsed() < END);
        drop(input);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_signal_twice_at_once_counts_once() {
    let fixture = Fixture::new("twice").await;
    let (child, input) = hanging(&fixture).await;
    fixture.aws.faults().lift_all();
    signal("TERM", &child);
    signal("TERM", &child);
    let output = ended(child).await;
    drop(input);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    assert_eq!(summary(&output)["records"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_input_makes_lingering_records_leave() {
    let fixture = Fixture::new("linger").await;
    let before = Instant::now();
    let arguments = ["--aggregate-bytes", "100000", "--linger-ms", "60000"];
    let output = run(fixture.push(&arguments), lines(10)).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert!(before.elapsed() < Duration::from_secs(20));
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_random_schedule_of_faults_and_signals_loses_a_record() {
    const RECORDS: u64 = 3000;
    for seed in 0..6 {
        let mut random = fastrand::Rng::with_seed(seed);
        let fixture = Fixture::new(&format!("schedule_{seed}")).await;
        let fault = [Fault::Throttle, Fault::InternalError, Fault::Reset, Fault::AnswerLost]
            [random.usize(..4)];
        let service = [Service::Kinesis, Service::Kms][random.usize(..2)];
        let share = random.f64() / 2.0;
        fixture.inject(Rule::new(fault).service(service).chance(share, seed));
        fixture.inject(Rule::new(Fault::Partial { every: 3 }).chance(0.5, seed));
        let aggregate = [0, 1000][random.usize(..2)].to_string();
        let linger = [5, 2000][random.usize(..2)].to_string();
        let mut push = fixture.push_with_spool(&["--drain-seconds", "1"]);
        push.args(["--aggregate-bytes", &aggregate, "--linger-ms", &linger]);
        let mut child = push.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || input.write_all(lines(3000).as_bytes()).is_ok());
        tokio::time::sleep(Duration::from_millis(random.u64(200..2500))).await;
        // It may have ended.
        let name = ["TERM", "INT", "HUP"][random.usize(..3)];
        let _ = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
        let output = ended(child).await;
        writing.join().unwrap();
        let context = format!("seed {seed}: {}", errors(&output));
        let code = output.status.code();
        if code == Some(0) {
            let summary = summary(&output);
            assert_eq!(summary["delivered"].as_u64(), Some(RECORDS), "{context}");
            continue;
        }
        // Killed before it handled signals: nothing was read.
        let Some(1) = code else { continue };
        let summary = summary(&output);
        fixture.aws.faults().lift_all();
        if fixture.spool().exists() {
            assert_eq!(run(fixture.resume(), "").await.status.code(), Some(0), "{context}");
        }
        if let Some(line) = summary["continue_from"]["line"].as_u64() {
            let line = line.to_string();
            let again = run(fixture.push(&["--from-line", &line]), lines(3000)).await;
            assert_eq!(again.status.code(), Some(0), "{context}");
        }
        for region in [HERE, THERE] {
            let arrived: BTreeSet<_> = fixture.ids(region).await.into_iter().collect();
            assert_eq!(arrived.len() as u64, RECORDS, "{context}");
        }
    }
}
