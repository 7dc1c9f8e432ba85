use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use fake_aws::{FakeAws, KeyType, StreamSettings, kms_key_arn};

use crate::process::Process;

/// Region of everything.
pub const REGION: &str = "eu-west-1";
/// Name of the stream.
pub const STREAM: &str = "records";
/// Name of the table. Its key is `id`.
pub const TABLE: &str = "items";
/// Alias of the KMS key.
pub(crate) const ALIAS: &str = "alias/records";

/// Servers for a program, and a folder of its own.
#[derive(Debug)]
pub struct Fixture {
    /// The services of AWS, behind the network that misbehaves.
    pub aws: FakeAws,
    /// Lambda's APIs inside an execution environment. A source of messages too: it has the same KMS keys.
    pub lambda: FakeAws,
    /// Working directory of the program, empty at first.
    pub folder: PathBuf,
}

impl Fixture {
    /// Starts servers with the stream and the table.
    pub async fn new(test: &str) -> Self {
        let (aws, lambda) = (FakeAws::start().await.unwrap(), FakeAws::start().await.unwrap());
        aws.kinesis().create_stream(REGION, STREAM, StreamSettings::default());
        aws.dynamodb().create_table(REGION, TABLE, &[("id", KeyType::Text)]);
        let folder = target().join("program-tests").join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self { aws, lambda, folder }
    }

    /// Returns a program with the settings that all share. Its credentials come from the services'
    /// endpoint of temporary ones.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let path = target().join(program);
        assert!(path.exists(), "build the programs first: cargo build --workspace --bins");
        let runtime_api = self.lambda.url().trim_start_matches("http://");
        let mut command = Command::new(path);
        command
            .current_dir(&self.folder)
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.aws.url())
            .env("AWS_REGION", REGION)
            .env("AWS_CONTAINER_CREDENTIALS_FULL_URI", self.aws.credentials_url())
            .env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "token")
            .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
            .env("AWS_LAMBDA_FUNCTION_NAME", program)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256");
        command
    }

    /// Returns `sealstream` with the settings of push, resume and tail.
    #[must_use]
    pub fn sealstream(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("sealstream");
        command
            .args(arguments)
            .env("SEALSTREAM_REGIONS", REGION)
            .env("SEALSTREAM_KMS_KEY", ALIAS)
            .env("SEALSTREAM_STREAM", STREAM)
            .env("SEALSTREAM_SUITE", "unsigned");
        command
    }

    /// Returns the function `record-pusher`.
    #[must_use]
    pub fn pusher(&self) -> Command {
        let mut command = self.command("record-pusher");
        command
            .env("REGIONS", REGION)
            .env("KMS_KEY", ALIAS)
            .env("STREAM", STREAM)
            .env("SUITE", "unsigned");
        command
    }

    /// Returns the function `record-consumer`.
    #[must_use]
    pub fn consumer(&self) -> Command {
        let mut command = self.command("record-consumer");
        command
            .env("TABLE_NAME", TABLE)
            .env("CMK_ARN", kms_key_arn(REGION, ALIAS))
            .env("QUARANTINE_BUCKET", "quarantine");
        command
    }

    /// Starts a program in the folder.
    #[must_use]
    pub fn start(&self, command: Command) -> Process {
        Process::start(command, &self.folder)
    }

    /// Invokes the function with an event, and returns its response.
    pub async fn invoke(&self, event: Vec<u8>) -> Result<String, String> {
        let api = self.lambda.runtime_api();
        api.push(vec![event], 1);
        tokio::time::timeout(crate::LIMIT, api.done()).await.expect("the function answers");
        let last = api.invocations().pop().expect("the function has started");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        last.outcome.map(text).map_err(text)
    }

    /// Returns the configuration of a client of the services, for the test itself.
    #[must_use]
    pub fn config(&self) -> SdkConfig {
        config(&self.aws)
    }
}

/// A client's configuration. Its credentials never expire.
pub(crate) fn config(aws: &FakeAws) -> SdkConfig {
    let credentials = Credentials::new("id", "secret", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new(REGION))
        .endpoint_url(aws.url())
        .build()
}

/// Returns the directory of the programs: the parent of the one that the running test is in.
fn target() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).map(Path::to_owned).unwrap()
}
