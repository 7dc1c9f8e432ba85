//! The program beside the stream that it reads.

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_kinesis::primitives::Blob;
use fake_aws::{FakeAws, Operation, StreamSettings, kms_key_arn};
use record_cipher::{Keys, RecordCipher, Suite};
use serde_json::Value;

pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ALIAS: &str = "alias/records";
pub(crate) const STREAM: &str = "records";
pub(crate) const FIRST: &str = "shardId-000000000000";
/// In every plaintext, and so to be found only where that is printed.
pub(crate) const MARKER: &str = "markedValue";
pub(crate) const ALL: [&str; 3] = ["--since", "trim-horizon", "--no-follow"];

/// Whoever runs the tests may ignore signals, which programs would inherit.
const DEFAULT_SIGNALS: &[&str] =
    if cfg!(target_os = "linux") { &["/usr/bin/env", "--default-signal"] } else { &[] };

pub(crate) struct Fixture {
    pub(crate) aws: FakeAws,
    pub(crate) kinesis: aws_sdk_kinesis::Client,
    pub(crate) cipher: RecordCipher,
}

impl Fixture {
    pub(crate) async fn new(shards: u64) -> Self {
        let aws = FakeAws::start().await.unwrap();
        let settings = StreamSettings { shards, ..StreamSettings::default() };
        aws.kinesis().create_stream(REGION, STREAM, settings);
        let credentials = Credentials::new("id", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .region(Region::new(REGION))
            .endpoint_url(aws.url())
            .build();
        let keys =
            Keys::Encrypt { key: ALIAS.parse().unwrap(), regions: vec![REGION.parse().unwrap()] };
        let cipher = RecordCipher::builder(keys, &config).suite(Suite::Unsigned);
        let cipher = cipher.build().await.unwrap();
        Self { aws, kinesis: aws_sdk_kinesis::Client::new(&config), cipher }
    }

    /// Puts a record, encrypted for a stream, and returns its sequence number.
    pub(crate) async fn put_for(&self, stream: &str, plaintext: &str) -> String {
        let stream = stream.parse().unwrap();
        let encrypted = self.cipher.encrypt(&stream, plaintext.as_bytes().to_vec()).await;
        self.put_data(encrypted.unwrap().message, "key").await
    }

    pub(crate) async fn put(&self, plaintext: &str) -> String {
        self.put_for(STREAM, plaintext).await
    }

    pub(crate) async fn put_data(&self, data: Vec<u8>, partition_key: &str) -> String {
        let entry = aws_sdk_kinesis::types::PutRecordsRequestEntry::builder();
        let entry = entry.partition_key(partition_key).data(Blob::new(data)).build().unwrap();
        let request = self.kinesis.put_records().stream_name(STREAM).records(entry);
        let output = request.send().await.unwrap();
        output.records[0].sequence_number.clone().unwrap()
    }

    /// Puts records with these ids.
    pub(crate) async fn put_ids(&self, ids: std::ops::Range<u32>) {
        for id in ids {
            self.put(&record(id)).await;
        }
    }

    /// Puts records with these ids under many partition keys.
    pub(crate) async fn scatter(&self, ids: std::ops::Range<u32>) {
        let stream = STREAM.parse().unwrap();
        for id in ids {
            let encrypted = self.cipher.encrypt(&stream, record(id).into_bytes()).await;
            self.put_data(encrypted.unwrap().message, &id.to_string()).await;
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut words = DEFAULT_SIGNALS.iter().chain([&env!("CARGO_BIN_EXE_sealstream"), &"tail"]);
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .args(arguments)
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.aws.url())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("SEALSTREAM_KMS_KEY", kms_key_arn(REGION, ALIAS))
            .env("SEALSTREAM_STREAM", STREAM)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub(crate) async fn tail(&self, arguments: &[&str]) -> Tailed {
        Tailed::of(self.command(arguments).spawn().unwrap()).await
    }

    /// Starts the program and waits until it has a place in so many shards, and has made so many
    /// reads.
    pub(crate) async fn follow(&self, arguments: &[&str], shards: u64, reads: u64) -> Child {
        let child = self.command(arguments).spawn().unwrap();
        until(|| self.calls(Operation::GetShardIterator) >= shards).await;
        until(|| self.calls(Operation::GetRecords) >= reads).await;
        child
    }

    pub(crate) fn calls(&self, operation: Operation) -> u64 {
        self.aws.faults().calls(REGION, operation).calls
    }
}

/// What a run has left.
#[derive(Debug)]
pub(crate) struct Tailed {
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<String>,
    pub(crate) messages: String,
}

impl Tailed {
    pub(crate) async fn of(child: Child) -> Self {
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
        let ended = tokio::time::timeout(Duration::from_secs(60), ended);
        let Output { status, stdout, stderr } =
            ended.await.expect("it takes too long").unwrap().unwrap();
        let lines = String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect();
        Self { code: status.code(), lines, messages: String::from_utf8(stderr).unwrap() }
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        let id =
            |line: &String| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap();
        self.lines.iter().map(id).collect()
    }
}

pub(crate) fn record(id: u32) -> String {
    format!(r#"{{"id":{id},"secret":"{MARKER}"}}"#)
}

/// Waits until something is so, on whatever time the program takes.
pub(crate) async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it takes too long");
}

/// Sends SIGTERM.
pub(crate) fn terminate(child: &Child) {
    let kill = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
}
