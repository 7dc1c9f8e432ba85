//! The programs push-records and record-pusher, logging all they can, show nothing of what records
//! hold.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fake_aws::{FakeAws, Fault, Operation, Rule, Service, StreamSettings};

const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
const NAME: &str = "markedName";
const VALUE: &str = "markedValue";

struct Fixture {
    aws: FakeAws,
    folder: PathBuf,
}

impl Fixture {
    async fn new(test: &str) -> Self {
        let aws = FakeAws::start().await.unwrap();
        for region in REGIONS {
            aws.kinesis().create_stream(region, "records", StreamSettings::default());
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { aws, folder }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("RUST_LOG", "trace")
            // The AWS SDK would log data keys too.
            .env("LOG_SENSITIVE_BODIES", "true")
            .env("AWS_ENDPOINT_URL", self.aws.url())
            .env("AWS_REGION", REGIONS[0])
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("REGIONS", REGIONS.join(","))
            .env("KMS_KEY", "alias/records")
            .env("STREAM", "records")
            .env("SUITE", "unsigned")
            .env("DELIVERY_TIMEOUT_SECONDS", "1");
        command
    }

    /// Runs push-records with a spool, and returns all that it leaves.
    async fn push(&self, input: &Path) -> String {
        let spool = self.folder.join("spool.ndjson");
        let mut command = self.command(env!("CARGO_BIN_EXE_push-records"));
        command.arg("--spool").arg(&spool).arg(input).stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let spooled = fs::read(spool).unwrap_or_default();
        let all = [output.stdout, output.stderr, spooled].concat();
        String::from_utf8_lossy(&all).into_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn push_records_shows_nothing_of_a_line_whatever_becomes_of_it() {
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
        (Some(Rule::new(Fault::Unavailable).service(Service::Kms)), "is unavailable"),
        (Some(Rule::new(Fault::Unavailable).operation(Operation::PutRecords)), "handed back"),
    ] {
        let outage = fault.map(|rule| fixture.aws.faults().inject(rule));
        let shown = fixture.push(&input).await;
        outage.into_iter().for_each(|outage| fixture.aws.faults().lift(outage));
        assert!(shown.contains(expected), "{expected}: {shown}");
        expect_no_secrets(&shown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn record_pusher_shows_nothing_of_an_event() {
    let fixture = Fixture::new("no_secrets_function").await;
    let aws = &fixture.aws;
    let events = [
        record(1),
        format!(r#"{{"records":[{},{}]}}"#, record(2), record(3)),
        format!(r#"{{"records":["{VALUE}"]}}"#),
        format!(r#""{VALUE}""#),
    ];
    aws.runtime_api().push(events.map(String::into_bytes).to_vec(), 1);
    let log = fixture.folder.join("log");
    let file = File::create(&log).unwrap();
    let mut function = fixture
        .command(env!("CARGO_BIN_EXE_record-pusher"))
        .env("AWS_LAMBDA_RUNTIME_API", aws.url().trim_start_matches("http://"))
        .env("AWS_LAMBDA_FUNCTION_NAME", "record-pusher")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .spawn()
        .unwrap();
    let done = tokio::time::timeout(Duration::from_secs(30), aws.runtime_api().done()).await;
    function.kill().unwrap();
    function.wait().unwrap();
    let log = fs::read_to_string(log).unwrap();
    done.unwrap_or_else(|_| panic!("it takes too long: {log}"));
    assert!(log.contains("ERROR"), "{log}");
    expect_no_secrets(&log);
    let invocations = aws.runtime_api().invocations();
    assert_eq!(invocations.iter().filter(|invocation| invocation.outcome.is_err()).count(), 2);
    for invocation in invocations {
        let (Ok(answer) | Err(answer)) = invocation.outcome;
        expect_no_secrets(&String::from_utf8_lossy(&answer));
    }
}

fn record(id: u32) -> String {
    format!(r#"{{"id":"{id}","{NAME}":"{VALUE}"}}"#)
}

fn expect_no_secrets(text: &str) {
    let line = text.lines().find(|line| line.contains(NAME) || line.contains(VALUE));
    assert_eq!(line, None);
}
