//! `sealstream tail` against an endpoint that fails, splits shards and denies access on
//! command.
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_kinesis::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_kinesis::primitives::Blob;
use fake_aws::{FakeAws, Fault, Operation, Rule, Service, StreamSettings, kms_key_arn};
use record_cipher::{Keys, RecordCipher, Suite};
use serde_json::Value;

const REGION: &str = "eu-west-1";
const ALIAS: &str = "alias/records";
const STREAM: &str = "records";
const FIRST: &str = "shardId-000000000000";
/// In every plaintext, and so to be found only where that is printed.
const MARKER: &str = "markedValue";
const ALL: [&str; 3] = ["--since", "trim-horizon", "--no-follow"];

struct Fixture {
    aws: FakeAws,
    kinesis: aws_sdk_kinesis::Client,
    cipher: RecordCipher,
}

impl Fixture {
    async fn new(shards: u64) -> Self {
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
    async fn put_for(&self, stream: &str, plaintext: &str) -> String {
        let stream = stream.parse().unwrap();
        let encrypted = self.cipher.encrypt(&stream, plaintext.as_bytes().to_vec()).await;
        self.put_data(encrypted.unwrap().message, "key").await
    }

    async fn put(&self, plaintext: &str) -> String {
        self.put_for(STREAM, plaintext).await
    }

    async fn put_data(&self, data: Vec<u8>, partition_key: &str) -> String {
        let entry = aws_sdk_kinesis::types::PutRecordsRequestEntry::builder();
        let entry = entry.partition_key(partition_key).data(Blob::new(data)).build().unwrap();
        let request = self.kinesis.put_records().stream_name(STREAM).records(entry);
        let output = request.send().await.unwrap();
        output.records[0].sequence_number.clone().unwrap()
    }

    /// Puts records with these ids.
    async fn put_ids(&self, ids: std::ops::Range<u32>) {
        for id in ids {
            self.put(&record(id)).await;
        }
    }

    /// Puts records with these ids under many partition keys.
    async fn scatter(&self, ids: std::ops::Range<u32>) {
        let stream = STREAM.parse().unwrap();
        for id in ids {
            let encrypted = self.cipher.encrypt(&stream, record(id).into_bytes()).await;
            self.put_data(encrypted.unwrap().message, &id.to_string()).await;
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealstream"));
        command
            .arg("tail")
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
    async fn tail(&self, arguments: &[&str]) -> Tailed {
        Tailed::of(self.command(arguments).spawn().unwrap()).await
    }

    /// Starts the program and waits until it has a place in so many shards, and has made so many
    /// reads.
    async fn follow(&self, arguments: &[&str], shards: u64, reads: u64) -> Child {
        let child = self.command(arguments).spawn().unwrap();
        until(|| self.calls(Operation::GetShardIterator) >= shards).await;
        until(|| self.calls(Operation::GetRecords) >= reads).await;
        child
    }

    fn calls(&self, operation: Operation) -> u64 {
        self.aws.faults().calls(REGION, operation).calls
    }
}

/// What a run has left.
#[derive(Debug)]
struct Tailed {
    code: Option<i32>,
    lines: Vec<String>,
    messages: String,
}

impl Tailed {
    async fn of(child: Child) -> Self {
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output());
        let ended = tokio::time::timeout(Duration::from_secs(60), ended);
        let Output { status, stdout, stderr } =
            ended.await.expect("it takes too long").unwrap().unwrap();
        let lines = String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect();
        Self { code: status.code(), lines, messages: String::from_utf8(stderr).unwrap() }
    }

    fn ids(&self) -> Vec<u64> {
        let id =
            |line: &String| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap();
        self.lines.iter().map(id).collect()
    }
}

fn record(id: u32) -> String {
    format!(r#"{{"id":{id},"secret":"{MARKER}"}}"#)
}

/// Waits until something is so, on whatever time the program takes.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it takes too long");
}

/// Sends SIGTERM.
fn terminate(child: &Child) {
    let kill = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(kill.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_printed_as_they_were_pushed_and_lists_unfolded() {
    let fixture = Fixture::new(1).await;
    let exact = r#"{"z":1.10,"a":12345678901234567890}"#;
    fixture.put(exact).await;
    fixture.put("[{\"id\":1},\n {\"id\":2}]").await;
    let tailed = fixture.tail(&ALL).await;
    assert_eq!(tailed.lines, [exact, "{\"id\":1}", "{\"id\":2}"]);
    assert_eq!(tailed.code, Some(0));
    let summary =
        "3 records printed from 1 shard\n  data keys: 1 KMS call, 1 cache hits (50.0 %)\n";
    assert_eq!(tailed.messages, summary);
    assert_eq!(fixture.calls(Operation::Decrypt), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_says_where_a_record_is() {
    let fixture = Fixture::new(1).await;
    let number = fixture.put(&record(7)).await;
    let tailed = fixture.tail(&[&ALL[..], &["--with-metadata"]].concat()).await;
    let line: Value = serde_json::from_str(&tailed.lines[0]).unwrap();
    let arrival = line["approximateArrivalTime"].as_str().unwrap();
    assert!(arrival.starts_with("20") && arrival.ends_with('Z'), "{arrival}");
    let expected = format!(
        r#"{{"shardId":"{FIRST}","sequenceNumber":"{number}","approximateArrivalTime":"{arrival}","partitionKey":"key","record":{}}}"#,
        record(7)
    );
    assert_eq!(tailed.lines, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_later_is_followed_until_a_signal() {
    let fixture = Fixture::new(2).await;
    fixture.scatter(0..4).await;
    let child = fixture.follow(&[], 2, 2).await;
    fixture.scatter(10..14).await;
    let reads = fixture.calls(Operation::GetRecords);
    until(|| fixture.calls(Operation::GetRecords) >= reads + 4).await;
    terminate(&child);
    let tailed = Tailed::of(child).await;
    assert_eq!(BTreeSet::from_iter(tailed.ids()), BTreeSet::from_iter(10..14));
    assert_eq!(tailed.code, Some(0), "{tailed:?}");
    assert!(tailed.messages.starts_with("4 records printed from 2 shards"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_where_reading_begins() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..3).await;
    assert_eq!(fixture.tail(&["--since", "1h", "--no-follow"]).await.ids(), [0, 1, 2]);
    assert!(fixture.tail(&["--no-follow"]).await.lines.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_are_followed_through_a_split_and_a_merge() {
    let fixture = Fixture::new(1).await;
    fixture.scatter(0..5).await;
    let child = fixture.follow(&["--since", "trim-horizon", "--count", "20"], 1, 1).await;
    let reshard =
        |parents: &[&str], shards| fixture.aws.kinesis().reshard(REGION, STREAM, parents, shards);
    let split = reshard(&[FIRST], 2);
    fixture.scatter(5..15).await;
    reshard(&[&split[0], &split[1]], 1);
    fixture.scatter(15..20).await;
    let tailed = Tailed::of(child).await;
    let ids = tailed.ids();
    let generation = |ids: &[u64]| BTreeSet::from_iter(ids.iter().copied());
    assert_eq!(ids[..5], [0, 1, 2, 3, 4]);
    assert_eq!(generation(&ids[5..15]), BTreeSet::from_iter(5..15));
    assert_eq!(ids[15..], [15, 16, 17, 18, 19]);
    assert!(tailed.messages.starts_with("20 records printed from 4 shards"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_that_were_closed_before_are_read_in_the_same_order() {
    let fixture = Fixture::new(2).await;
    fixture.scatter(0..10).await;
    let parents = ["shardId-000000000000", "shardId-000000000001"];
    fixture.aws.kinesis().reshard(REGION, STREAM, &parents, 1);
    fixture.scatter(10..15).await;
    let ids = fixture.tail(&ALL).await.ids();
    assert_eq!(ids[10..], [10, 11, 12, 13, 14]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_shard_is_read_to_its_end_alone() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..2).await;
    let children = fixture.aws.kinesis().reshard(REGION, STREAM, &[FIRST], 2);
    fixture.put_ids(2..4).await;
    let tailed = fixture.tail(&["--since", "trim-horizon", "--shard", FIRST]).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 1], Some(0)));
    let notice = format!("{FIRST}: closed; its records continue in {}\n", children.join(", "));
    assert!(tailed.messages.starts_with(&notice), "{tailed:?}");

    let tailed = fixture.tail(&["--shard", FIRST]).await;
    assert_eq!(tailed.code, Some(2));
    let expected = format!(
        "error: stream records in eu-west-1 has no shard {FIRST} with records since latest\n  \
         choose --shard from {}\n",
        children.join(", ")
    );
    assert_eq!(tailed.messages, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_and_expired_iterators_lose_and_repeat_nothing() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..3).await;
    let faults = fixture.aws.faults();
    faults.inject(Rule::new(Fault::ExpiredIterator).times(1));
    // One try more than the client makes by itself.
    faults.inject(Rule::new(Fault::Throttle).operation(Operation::GetRecords).times(4));
    let child = fixture.follow(&["--since", "trim-horizon", "--count", "5"], 1, 6).await;
    faults.inject(Rule::new(Fault::ExpiredIterator).times(1));
    fixture.put_ids(3..5).await;
    let tailed = Tailed::of(child).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 1, 2, 3, 4], Some(0)));
    let told = tailed.messages.matches("retrying").count();
    assert_eq!(told, 1, "{tailed:?}");
    assert!(tailed.messages.contains("ProvisionedThroughputExceededException"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kms_is_asked_again_when_it_fails() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..2).await;
    let rule = Rule::new(Fault::Throttle).operation(Operation::Decrypt);
    fixture.aws.faults().inject(rule.times(4));
    let tailed = fixture.tail(&ALL).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 1], Some(0)));
    assert!(tailed.messages.contains("throttled (ThrottlingException); retrying"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_decryption_ends_the_command_with_one_error() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..5).await;
    fixture.aws.faults().inject(Rule::new(Fault::AccessDenied).service(Service::Kms));
    let tailed = fixture.tail(&ALL).await;
    assert_eq!((tailed.lines.len(), tailed.code), (0, Some(3)));
    let error = "error: cannot decrypt the records of stream records in eu-west-1: AWS KMS";
    assert!(tailed.messages.starts_with(error), "{tailed:?}");
    let next_step = format!(
        "\n  check that the caller is allowed kms:Decrypt on {}, with the encryption context \
         stream=records\n",
        kms_key_arn(REGION, ALIAS)
    );
    assert!(tailed.messages.ends_with(&next_step), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_about_credentials_names_the_profile() {
    let fixture = Fixture::new(1).await;
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tail_profile");
    fs::write(&config, "[profile dev]\ncredential_process = false\n").unwrap();
    let mut command = fixture.command(&ALL);
    command.env("SEALSTREAM_KMS_KEY", ALIAS).env_remove("AWS_ACCESS_KEY_ID");
    command.env("AWS_CONFIG_FILE", config).env("AWS_PROFILE", "dev");
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    let expected = "error: AWS KMS in eu-west-1: DescribeKey with alias/records failed: the \
                    credential process of profile \"dev\" failed\n";
    assert!(tailed.messages.starts_with(expected), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_ends_the_command_and_the_right_one_is_named() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..500).await;
    let mut command = fixture.command(&ALL);
    command.env("SEALSTREAM_KMS_KEY", kms_key_arn(REGION, "alias/other"));
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    assert_eq!((tailed.lines.len(), tailed.code), (0, Some(3)));
    let expected = format!(
        "error: cannot decrypt the records of stream records in eu-west-1: they are encrypted under \
         {}\n  check --kms-key\n",
        kms_key_arn(REGION, ALIAS)
    );
    assert_eq!(tailed.messages, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_cannot_be_resolved_ends_the_command_with_a_next_step() {
    let fixture = Fixture::new(1).await;
    let denied = Rule::new(Fault::AccessDenied).operation(Operation::DescribeKey);
    for (fault, expected) in [
        (Some(denied), "\n  allow the caller kms:DescribeKey on the key, or give the key's ARN\n"),
        (
            None,
            "\n  set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, as for the AWS CLI\n",
        ),
    ] {
        let mut command = fixture.command(&ALL);
        command.env("SEALSTREAM_KMS_KEY", ALIAS);
        let outage = match fault {
            Some(fault) => Some(fixture.aws.faults().inject(fault)),
            None => {
                command.env_remove("AWS_ACCESS_KEY_ID").env("AWS_EC2_METADATA_DISABLED", "true");
                None
            }
        };
        let tailed = Tailed::of(command.spawn().unwrap()).await;
        outage.into_iter().for_each(|outage| fixture.aws.faults().lift(outage));
        assert_eq!((tailed.lines.len(), tailed.code), (0, Some(3)), "{tailed:?}");
        assert!(
            tailed.messages.starts_with("error: AWS KMS in eu-west-1: DescribeKey"),
            "{tailed:?}"
        );
        assert!(tailed.messages.ends_with(expected), "{tailed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_is_resolved() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..2).await;
    let mut command = fixture.command(&ALL);
    command.env("SEALSTREAM_KMS_KEY", ALIAS);
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 1], Some(0)), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_gone_ends_that_shard_only() {
    let fixture = Fixture::new(2).await;
    let second = "shardId-000000000001";
    fixture.scatter(0..20).await;
    fixture.aws.kinesis().reshard(REGION, STREAM, &[FIRST], 2);
    let child = fixture.follow(&["--since", "trim-horizon"], 4, 8).await;
    fixture.aws.kinesis().delete_shard(REGION, STREAM, second);
    let reads = fixture.calls(Operation::GetRecords);
    until(|| fixture.calls(Operation::GetRecords) >= reads + 6).await;
    fixture.scatter(20..40).await;
    let reads = fixture.calls(Operation::GetRecords);
    until(|| fixture.calls(Operation::GetRecords) >= reads + 6).await;
    terminate(&child);
    let tailed = Tailed::of(child).await;
    let gone = format!("{second}: no longer exists; its unread records have expired\n");
    assert_eq!(tailed.messages.matches(&gone).count(), 1, "{tailed:?}");
    assert!(tailed.ids().iter().any(|id| *id >= 20), "{tailed:?}");
    assert_eq!(tailed.code, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decrypted_is_named_and_the_rest_printed() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..1).await;
    let elsewhere = fixture.put_for("another", &record(1)).await;
    let plain = fixture.put_data(record(2).into_bytes(), "key").await;
    let text = fixture.put(&format!("\"{MARKER}\"")).await;
    fixture.put_ids(3..4).await;
    let tailed = fixture.tail(&ALL).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![0, 3], Some(1)));
    for (number, reason) in [
        (elsewhere, "the record was encrypted for stream another, not for stream records"),
        (plain, "the message was refused: "),
        (text, "the plaintext is neither a JSON object nor an array of JSON objects"),
    ] {
        let notice = format!("{FIRST}:{number}: not printed: {reason}");
        assert!(tailed.messages.contains(&notice), "{notice}: {tailed:?}");
    }
    assert!(
        tailed.messages.contains("2 records printed from 1 shard; 3 messages could not be read\n")
    );
    assert!(!tailed.messages.contains(MARKER));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_is_kept_to_the_record() {
    let fixture = Fixture::new(1).await;
    fixture.put("[{\"id\":1},{\"id\":2},{\"id\":3}]").await;
    let tailed = fixture.tail(&["--since", "trim-horizon", "--count", "2"]).await;
    assert_eq!((tailed.ids(), tailed.code), (vec![1, 2], Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_in_silence_when_nobody_reads_its_output_any_more() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..1).await;
    let mut child = fixture.command(&["--since", "trim-horizon"]).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let read = move || output.read_line(&mut String::new()).map(|_| drop(output));
    tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    fixture.put_ids(1..2).await;
    let tailed = Tailed::of(child).await;
    assert_eq!((tailed.code, tailed.messages.as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_nobody_reads_does_not_hold_up_a_signal() {
    let fixture = Fixture::new(1).await;
    // More than a pipe holds.
    fixture.put(&format!("{{\"text\":\"{}\"}}", "x".repeat(900_000))).await;
    let mut child = fixture.command(&["--since", "trim-horizon"]).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let read = move || output.read_exact(&mut [0]).map(|()| output);
    let output = tokio::task::spawn_blocking(read).await.unwrap().unwrap();
    terminate(&child);
    let tailed = Tailed::of(child).await;
    drop(output);
    assert_eq!(tailed.code, Some(0));
    assert!(tailed.messages.starts_with("0 records printed from 1 shard"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_stream_is_named_with_the_next_step() {
    let fixture = Fixture::new(1).await;
    let tailed = fixture.tail(&["--stream", "missing"]).await;
    assert_eq!(tailed.code, Some(3));
    let error = "error: cannot read stream missing in eu-west-1: it does not exist \
                 (ResourceNotFoundException)\n  check --stream and --region";
    assert!(tailed.messages.starts_with(error), "{tailed:?}");

    fixture.aws.faults().inject(Rule::new(Fault::AccessDenied).operation(Operation::GetRecords));
    let tailed = fixture.tail(&[]).await;
    assert_eq!(tailed.code, Some(3));
    let error = "error: cannot read stream records in eu-west-1: access denied";
    assert!(tailed.messages.starts_with(error), "{tailed:?}");
    assert!(tailed.messages.contains("\n  allow the caller kinesis:ListShards"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_shards_is_read_to_its_last_page() {
    let fixture = Fixture::new(150).await;
    let tailed = fixture.tail(&["--no-follow"]).await;
    assert!(tailed.messages.starts_with("0 records printed from 150 shards"), "{tailed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_region_it_says_what_to_set() {
    let fixture = Fixture::new(1).await;
    let mut command = fixture.command(&[]);
    command.env_remove("AWS_REGION").env("AWS_EC2_METADATA_DISABLED", "true");
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    assert_eq!(tailed.code, Some(2));
    assert_eq!(tailed.messages, "error: no Region is set\n  set --region or AWS_REGION\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_finest_log_shows_nothing_of_the_records() {
    let fixture = Fixture::new(1).await;
    fixture.put_ids(0..2).await;
    fixture.put(&format!("{MARKER} is not JSON")).await;
    let mut command = fixture.command(&ALL);
    command.env("RUST_LOG", "trace").env("LOG_SENSITIVE_BODIES", "true");
    let tailed = Tailed::of(command.spawn().unwrap()).await;
    assert_eq!(tailed.lines.len(), 2);
    assert!(!tailed.messages.contains(MARKER));
}
