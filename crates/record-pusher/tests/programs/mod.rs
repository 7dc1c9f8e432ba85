//! The programs, beside the services of AWS that they need.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use fake_aws::{FakeAws, StreamSettings};

const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

pub(crate) struct Fixture {
    pub(crate) aws: FakeAws,
    /// Empty at first.
    pub(crate) folder: PathBuf,
}

impl Fixture {
    pub(crate) async fn new(test: &str) -> Self {
        let aws = FakeAws::start().await.unwrap();
        for region in REGIONS {
            aws.kinesis().create_stream(region, "records", StreamSettings::default());
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { aws, folder }
    }

    pub(crate) fn command(&self, program: &str) -> Command {
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
            .env("DELIVERY_TIMEOUT_SECONDS", "1")
            .stdin(Stdio::null());
        command
    }

    /// Has the function record-pusher answer events, and returns what it has written.
    pub(crate) async fn serve(&self, events: &[String], settings: &[(&str, &str)]) -> String {
        let events = events.iter().map(|event| event.clone().into_bytes()).collect();
        self.aws.runtime_api().push(events, 1);
        let log = self.folder.join("log");
        let file = File::create(&log).unwrap();
        let mut function = self
            .command(env!("CARGO_BIN_EXE_record-pusher"))
            .env("AWS_LAMBDA_RUNTIME_API", self.aws.url().trim_start_matches("http://"))
            .env("AWS_LAMBDA_FUNCTION_NAME", "record-pusher")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .envs(settings.iter().copied())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let done =
            tokio::time::timeout(Duration::from_secs(30), self.aws.runtime_api().done()).await;
        function.kill().unwrap();
        function.wait().unwrap();
        let log = fs::read_to_string(log).unwrap();
        done.unwrap_or_else(|_| panic!("it takes too long: {log}"));
        log
    }
}
