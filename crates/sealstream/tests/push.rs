//! `sealstream push` against an endpoint that fails on command: what does not get through, and
//! what becomes of it.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use fake_aws::{FakeAws, Fault, Operation, Rule, RuleId, Service, StreamSettings};
use serde_json::Value;

const HERE: &str = "us-east-1";
const THERE: &str = "eu-west-1";

struct Fixture {
    aws: FakeAws,
    folder: PathBuf,
}

impl Fixture {
    async fn new(test: &str) -> Self {
        let aws = FakeAws::start().await.unwrap();
        for region in [HERE, THERE] {
            aws.kinesis().create_stream(region, "records", StreamSettings::default());
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { aws, folder }
    }

    fn spool(&self) -> PathBuf {
        self.folder.join("spool.ndjson")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealstream"));
        command
            .args(arguments)
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.aws.url())
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `sealstream push` with a spool, and a second for delivery.
    fn push(&self) -> Command {
        self.push_with("1")
    }

    fn push_with(&self, delivery_timeout_seconds: &str) -> Command {
        let spool = self.spool();
        let mut command = self.command(&["push", "--suite", "unsigned", "--output", "json"]);
        command
            .args(["--regions", "us-east-1,eu-west-1", "--kms-key", "alias/records"])
            .args(["--stream", "records"])
            .args(["--delivery-timeout-seconds", delivery_timeout_seconds])
            .args([Path::new("--spool"), &spool]);
        command
    }

    fn resume(&self) -> Command {
        let spool = self.spool();
        let mut command = self.command(&["resume", "--delivery-timeout-seconds", "1"]);
        command.args([Path::new("--spool"), &spool]);
        command
    }

    fn outage(&self, region: &str) -> RuleId {
        let rule = Rule::new(Fault::Unavailable).service(Service::Kinesis).region(region);
        self.aws.faults().inject(rule)
    }

    fn count(&self, region: &str) -> usize {
        self.aws.kinesis().records(region, "records").len()
    }

    fn spooled(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.spool()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Runs a program with an input to its end, off the threads that serve it.
async fn run(mut command: Command, input: String) -> Output {
    let run = move || {
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Waits until something is so, on whatever time the programs take.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it takes too long");
}

fn lines(count: usize) -> String {
    (0..count).map(|id| format!("{{\"id\":{id},\"secret\":\"marker\"}}\n")).collect()
}

fn summary(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_region_does_not_take_is_spooled_and_resumed() {
    let fixture = Fixture::new("spooled").await;
    let outage = fixture.outage(THERE);
    let output = run(fixture.push(), lines(5)).await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(summary(&output)["regions"][THERE]["undelivered"], 5);
    assert_eq!((fixture.count(HERE), fixture.count(THERE)), (5, 0));
    let spooled = fixture.spooled();
    assert_eq!(spooled.len(), 5);
    for message in &spooled {
        assert_eq!((&message["region"], &message["stream"]), (&THERE.into(), &"records".into()));
        assert!(message["attempts"].as_u64().unwrap() > 0);
    }

    // Still out: everything stays, with more attempts.
    assert_eq!(run(fixture.resume(), String::new()).await.status.code(), Some(1));
    let attempts =
        |messages: &[Value]| messages.iter().map(|m| m["attempts"].as_u64().unwrap()).sum::<u64>();
    assert!(attempts(&fixture.spooled()) > attempts(&spooled));
    assert_eq!(fixture.spooled().len(), 5);

    fixture.aws.faults().lift(outage);
    assert_eq!(run(fixture.resume(), String::new()).await.status.code(), Some(0));
    assert!(!fixture.spool().exists());
    let data = |region| {
        let mut data: Vec<_> = fixture
            .aws
            .kinesis()
            .records(region, "records")
            .into_iter()
            .map(|r| (r.partition_key, r.data))
            .collect();
        data.sort();
        data
    };
    assert_eq!(data(HERE), data(THERE), "the same ciphertexts under the same keys");
    assert_eq!(
        run(fixture.resume(), String::new()).await.status.code(),
        Some(2),
        "there is no file"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_shows_no_plaintext_and_collects_what_several_runs_leave() {
    let fixture = Fixture::new("collects").await;
    fixture.outage(THERE);
    for _ in 0..2 {
        run(fixture.push(), lines(2)).await;
    }
    assert_eq!(fixture.spooled().len(), 4);
    assert!(!fs::read_to_string(fixture.spool()).unwrap().contains("marker"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_was_cut_off_loses_one_message_and_says_so() {
    let fixture = Fixture::new("cut_off").await;
    let outage = fixture.outage(THERE);
    run(fixture.push(), lines(3)).await;
    let whole = fs::read(fixture.spool()).unwrap();
    fs::write(fixture.spool(), &whole[..whole.len() - 50]).unwrap();
    // What is appended later is not spoiled by the line that has no end.
    run(fixture.push(), lines(1)).await;
    fixture.aws.faults().lift(outage);

    let output = run(fixture.resume(), String::new()).await;
    assert_eq!(output.status.code(), Some(1));
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(messages.contains("spool.ndjson:3: cut off after "), "{messages}");
    assert!(messages.contains("3 delivered, 0 left, 1 unreadable"), "{messages}");
    assert_eq!(fixture.count(THERE), 3);
    assert!(!fixture.spool().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_that_is_killed_leaves_the_spool_as_it_was() {
    let fixture = Fixture::new("killed").await;
    let outage = fixture.outage(THERE);
    run(fixture.push(), lines(3)).await;
    let before = fs::read(fixture.spool()).unwrap();
    fixture.aws.faults().lift(outage);
    fixture.aws.faults().inject(Rule::new(Fault::Hang).operation(Operation::PutRecords).times(1));
    let faults = || fixture.aws.faults().calls(THERE, Operation::PutRecords).faults;
    let faults_before = faults();
    let mut killed = fixture.resume().spawn().unwrap();
    until(|| faults() > faults_before).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(fs::read(fixture.spool()).unwrap(), before);
    assert_eq!(run(fixture.resume(), String::new()).await.status.code(), Some(0));
    assert_eq!(fixture.count(THERE), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_has_one_user_at_a_time() {
    let fixture = Fixture::new("one_user").await;
    let mut first = fixture.push().spawn().unwrap();
    until(|| fixture.spool().exists()).await;
    let second = run(fixture.push(), lines(1)).await;
    assert_eq!(second.status.code(), Some(2));
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains("spool.ndjson is in use by another program"), "{message}");
    drop(first.stdin.take());
    assert!(tokio::task::spawn_blocking(move || first.wait()).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_reading_and_what_was_read_is_sent() {
    let fixture = Fixture::new("drained").await;
    let mut child = fixture.push().spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(20).as_bytes()).unwrap();
    until(|| fixture.count(HERE) == 20).await;
    terminate(&child);
    let output =
        tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    drop(input);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let summary = summary(&output);
    assert_eq!((&summary["delivered"], &summary["interrupted"]), (&20.into(), &true.into()));
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(
        messages.contains("<stdin>:20: stopped: the input after this line was not pushed"),
        "{messages}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_in_time_after_a_signal_is_spooled() {
    let fixture = Fixture::new("not_drained").await;
    fixture.aws.faults().inject(Rule::new(Fault::Hang).service(Service::Kinesis).region(THERE));
    let mut command = fixture.push_with("60");
    command.args(["--drain-seconds", "0"]);
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines(3).as_bytes()).unwrap();
    until(|| fixture.count(HERE) == 3).await;
    terminate(&child);
    let output =
        tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    drop(input);
    assert_eq!(output.status.code(), Some(1));
    let messages = String::from_utf8(output.stderr).unwrap();
    assert!(messages.contains("<stdin>:1: not delivered to eu-west-1: Stopped"), "{messages}");
    assert_eq!(fixture.spooled().len(), 3);
}

/// Sends SIGTERM.
fn terminate(child: &std::process::Child) {
    let kill = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_cannot_be_written_fails_the_run_but_not_the_pushing() {
    let fixture = Fixture::new("full").await;
    fixture.outage(THERE);
    std::os::unix::fs::symlink("/dev/full", fixture.spool()).unwrap();
    let output = run(fixture.push(), lines(3)).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(summary(&output)["spool_failed"], true);
    assert_eq!(fixture.count(HERE), 3);
}
