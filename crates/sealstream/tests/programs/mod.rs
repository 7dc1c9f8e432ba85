//! The program, beside the services of AWS that they need.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
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

    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealstream"));
        command
            .arg(subcommand)
            .env_clear()
            .env("RUST_LOG", "trace")
            // The AWS SDK would log data keys too.
            .env("LOG_SENSITIVE_BODIES", "true")
            .env("AWS_ENDPOINT_URL", self.aws.url())
            .env("AWS_REGION", REGIONS[0])
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("SEALSTREAM_REGIONS", REGIONS.join(","))
            .env("SEALSTREAM_KMS_KEY", "alias/records")
            .env("SEALSTREAM_STREAM", "records")
            .env("SEALSTREAM_SUITE", "unsigned")
            .env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs a program to its end.
    pub(crate) async fn run(&self, mut command: Command) -> Output {
        let run = tokio::task::spawn_blocking(move || command.output().unwrap());
        tokio::time::timeout(Duration::from_secs(30), run).await.expect("takes too long").unwrap()
    }
}
