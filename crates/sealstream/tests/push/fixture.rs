//! The program beside the services of AWS that it needs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, Fault, Rule, RuleId, Service, StreamSettings, kms_key_arn};
use record_cipher::{Keys, RecordCipher};
use serde_json::Value;

pub(crate) const HERE: &str = "us-east-1";
pub(crate) const THERE: &str = "eu-west-1";

/// Time for a program, on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Fixture {
    pub(crate) aws: FakeAws,
    pub(crate) folder: PathBuf,
    /// The command under which the program runs.
    pub(crate) wrapper: &'static [&'static str],
}

/// Whoever runs the tests may ignore signals, which programs would inherit.
const DEFAULT_SIGNALS: &[&str] =
    if cfg!(target_os = "linux") { &["/usr/bin/env", "--default-signal"] } else { &[] };

impl Fixture {
    pub(crate) async fn new(test: &str) -> Self {
        let aws = FakeAws::start().await.unwrap();
        for region in [HERE, THERE] {
            aws.kinesis().create_stream(region, "records", StreamSettings::default());
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("push").join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { aws, folder, wrapper: DEFAULT_SIGNALS }
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.folder.join("spool.ndjson")
    }

    /// Writes a file of the folder.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut words = self.wrapper.iter().chain([&env!("CARGO_BIN_EXE_sealstream")]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(arguments)
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.aws.url())
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `sealstream push` to both Regions, with a JSON summary.
    pub(crate) fn push(&self, arguments: &[&str]) -> Command {
        self.push_to("records", arguments)
    }

    pub(crate) fn push_to(&self, stream: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(&["push", "--suite", "unsigned", "--output", "json"]);
        command
            .args(["--regions", "us-east-1,eu-west-1", "--kms-key", "alias/records"])
            .args(["--stream", stream])
            .env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "20")
            .args(arguments);
        command
    }

    /// The same with a spool, and two seconds for delivery.
    pub(crate) fn push_with_spool(&self, arguments: &[&str]) -> Command {
        let mut command = self.push(arguments);
        command.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "2");
        command.arg("--spool").arg(self.spool());
        command
    }

    pub(crate) fn resume(&self) -> Command {
        let mut command = self.command(&["resume", "--output", "json"]);
        command.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "20").arg("--spool").arg(self.spool());
        command
    }

    pub(crate) fn inject(&self, rule: Rule) -> RuleId {
        self.aws.faults().inject(rule)
    }

    pub(crate) fn outage(&self, region: &str) -> RuleId {
        self.inject(Rule::new(Fault::Unavailable).service(Service::Kinesis).region(region))
    }

    pub(crate) fn count(&self, region: &str) -> usize {
        self.aws.kinesis().records(region, "records").len()
    }

    /// The messages in the spool.
    pub(crate) fn spooled(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.spool()).unwrap_or_default();
        text.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The numbers `id` of the records in a Region's stream, sorted, those of aggregates too.
    pub(crate) async fn ids(&self, region: &str) -> Vec<u64> {
        self.aws.faults().lift_all();
        let credentials = Credentials::new("id", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(self.aws.url())
            .build();
        let arn = kms_key_arn(region, "alias/records").parse().unwrap();
        let cipher =
            RecordCipher::builder(Keys::Decrypt(vec![arn]), &config).build().await.unwrap();
        let mut ids = Vec::new();
        for record in self.aws.kinesis().records(region, "records") {
            let plaintext = cipher.decrypt(&"records".parse().unwrap(), record.data).await.unwrap();
            let records = match serde_json::from_slice(&plaintext).unwrap() {
                Value::Array(records) => records,
                record => vec![record],
            };
            ids.extend(records.iter().map(|record| record["id"].as_u64().unwrap()));
        }
        ids.sort_unstable();
        ids
    }
}

/// Runs a program with an input to its end.
pub(crate) async fn run(mut command: Command, input: impl Into<Vec<u8>>) -> Output {
    let input = input.into();
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that ends early does not read it all.
    std::thread::spawn(move || stdin.write_all(&input));
    ended(child).await
}

/// Waits until a program has ended.
pub(crate) async fn ended(child: Child) -> Output {
    let pid = child.id();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    match tokio::time::timeout(PATIENCE, output).await {
        Ok(output) => output.unwrap(),
        Err(_) => {
            signal_pid("KILL", pid);
            panic!("the program does not end");
        }
    }
}

/// Waits until something is so.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it takes too long");
}

/// Sends a signal such as "TERM".
pub(crate) fn signal(name: &str, child: &Child) {
    signal_pid(name, child.id());
}

fn signal_pid(name: &str, pid: u32) {
    let signal = format!("-{name}");
    assert!(Command::new("kill").args([&signal, &pid.to_string()]).status().unwrap().success());
}

/// Lines of records with the ids 0, 1, and so on.
pub(crate) fn lines(count: usize) -> String {
    (0..count).map(|id| format!("{{\"id\":{id},\"secret\":\"marker\"}}\n")).collect()
}

pub(crate) fn summary(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
