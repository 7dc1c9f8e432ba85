//! What the commands are given to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fake_aws::{FakeAws, Fault, Operation, Rule, StreamSettings};
use serde_json::json;

use crate::situation::{Ended, Running, Situation};

const HERE: &str = "us-east-1";
const THERE: &str = "eu-west-1";
const RECORDS: usize = 100;
const INPUT: &str = "records.ndjson";
const SPOOL: &str = "spool.ndjson";
const BUCKET: &str = "quarantine";

/// A command with its arguments and the state of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    /// A push of a file.
    Push,
    /// A push of a pipe that stays open, with all records delivered.
    PushFollowing,
    /// A push of a file to two Regions, one of which does not answer.
    PushHanging,
    /// A resume of a spool.
    Resume,
    /// A resume of a spool to a Region that does not answer.
    ResumeHanging,
    /// A tail to the newest record.
    Tail,
    /// A tail without end.
    TailFollowing,
    /// A redrive of a quarantine.
    Redrive,
    /// A redrive with a function that does not answer.
    RedriveHanging,
    ConsumerEvent,
    ConsumerEventHanging,
    Completions,
    Help,
    HelpOfPush,
    HelpOfTail,
    HelpOfRedrive,
    UsageError,
}
use Work::*;

pub(crate) struct Fixture {
    aws: FakeAws,
    pub(crate) folder: PathBuf,
    work: Work,
    /// Calls of PutRecords in the Region that does not answer, before the command starts.
    earlier_calls: u64,
}

impl Fixture {
    pub(crate) async fn new(test: &str, work: Work) -> Self {
        let aws = FakeAws::start().await.unwrap();
        for region in [HERE, THERE] {
            aws.kinesis().create_stream(region, "records", StreamSettings::default());
        }
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let lines = (0..RECORDS).map(|id| format!("{{\"id\":\"{id}\"}}\n"));
        fs::write(folder.join(INPUT), lines.collect::<String>()).unwrap();
        let mut fixture = Self { aws, folder, work, earlier_calls: 0 };
        fixture.prepare().await;
        fixture
    }

    /// Puts records into the stream or a spool, and AWS into its state.
    async fn prepare(&mut self) {
        let hang = Rule::new(Fault::Hang).operation(Operation::PutRecords).region(THERE);
        let faults = self.aws.faults();
        match self.work {
            PushHanging => {
                faults.inject(hang);
            }
            Resume | ResumeHanging => {
                let outage = Rule::new(Fault::Unavailable).operation(Operation::PutRecords);
                let outage = faults.inject(outage.region(THERE));
                self.push_before().await;
                faults.lift(outage);
                assert_eq!(self.spooled(), RECORDS);
                if self.work == ResumeHanging {
                    faults.inject(hang);
                }
            }
            Redrive | RedriveHanging => {
                self.fill_quarantine();
                if self.work == RedriveHanging {
                    faults.inject(Rule::new(Fault::Hang).operation(Operation::Invoke));
                }
            }
            Tail | TailFollowing | ConsumerEvent | ConsumerEventHanging => {
                self.push_before().await;
                if self.work == ConsumerEventHanging {
                    faults.inject(Rule::new(Fault::Hang).operation(Operation::GetRecords));
                }
            }
            _ => {}
        }
        self.earlier_calls = self.calls(Operation::PutRecords);
    }

    fn fill_quarantine(&self) {
        for id in 0..RECORDS {
            let record = json!({ "kinesis": { "data": "AQI=", "sequenceNumber": id.to_string() } });
            let document =
                json!({ "time": "2026-01-05T08:01:26Z", "reason": "bad", "record": record });
            let key = format!("records/shardId-000000000000/{id}.json");
            self.aws.s3().put(THERE, BUCKET, &key, document.to_string().as_bytes());
        }
        let variables = [("QUARANTINE_BUCKET", BUCKET)];
        let respond = |_: &[u8]| Ok(br#"{"batchItemFailures":[]}"#.to_vec());
        self.aws.lambda().create_function("record-consumer", &variables, respond);
    }

    /// Pushes the records, and spools those that are undelivered.
    async fn push_before(&self) {
        let mut command = self.command(&["push", "--spool", SPOOL, INPUT]);
        command.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "1").current_dir(&self.folder);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        output.await.unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealstream"));
        command
            .args(arguments)
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.aws.url())
            .env("AWS_REGION", THERE)
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("SEALSTREAM_REGIONS", [HERE, THERE].join(","))
            .env("SEALSTREAM_KMS_KEY", "alias/records")
            .env("SEALSTREAM_STREAM", "records")
            .env("SEALSTREAM_SUITE", "unsigned")
            .env("SEALSTREAM_DRAIN_SECONDS", "1");
        command
    }

    pub(crate) fn start(&self, situation: Situation) -> Running {
        let push = ["push", "--spool", SPOOL, "--output", "json"];
        let push_file = [push.as_slice(), &[INPUT]].concat();
        let tail = ["tail", "--since", "trim-horizon", "--no-follow"];
        let arguments: &[&str] = match self.work {
            Push | PushHanging => &push_file,
            PushFollowing => &push,
            Resume | ResumeHanging => &["resume", "--spool", SPOOL],
            Tail => &tail,
            TailFollowing => &tail[..3],
            Redrive | RedriveHanging => {
                &["redrive", "--bucket", BUCKET, "--function", "record-consumer"]
            }
            ConsumerEvent | ConsumerEventHanging => &["consumer-event"],
            Completions => &["completions", "bash"],
            Help => &["--help"],
            HelpOfPush => &["push", "--help"],
            HelpOfTail => &["tail", "--help"],
            HelpOfRedrive => &["redrive", "--help"],
            UsageError => &["tail", "--engine", "steam"],
        };
        let mut command = self.command(arguments);
        // One second would decide before the signals do.
        command.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "60");
        let is_signalled_twice =
            matches!(situation, Situation::CtrlCTwice | Situation::TerminateTwice);
        if is_signalled_twice {
            command.env("SEALSTREAM_DRAIN_SECONDS", "60");
        }
        let redirected = match self.work {
            PushFollowing => {
                let made = Command::new("mkfifo").arg(self.folder.join("pipe")).status().unwrap();
                assert!(made.success());
                // Opened for writing too, so that it never ends.
                "<>pipe"
            }
            _ => "",
        };
        // A terminal shows only what people read. Data has lines of any width.
        let shows_output = matches!(self.work, Help | HelpOfPush | HelpOfTail | HelpOfRedrive);
        let redirected = match situation.columns() {
            Some(_) if !shows_output => format!("{redirected} >output"),
            _ => redirected.to_owned(),
        };
        Running::start(&command, &redirected, situation, &self.folder)
    }

    /// Waits until the command is where a signal should meet it.
    pub(crate) async fn until_under_way(&self) {
        match self.work {
            PushFollowing => {
                let (from, to) = (self.folder.join(INPUT), self.folder.join("pipe"));
                let records = fs::read(from).unwrap();
                tokio::task::spawn_blocking(move || fs::write(to, records).unwrap()).await.unwrap();
                until(|| self.arrived(HERE) == RECORDS && self.arrived(THERE) == RECORDS).await;
            }
            PushHanging => {
                let hangs = || self.calls(Operation::PutRecords) > self.earlier_calls;
                until(|| self.arrived(HERE) == RECORDS && hangs()).await;
            }
            ResumeHanging => until(|| self.calls(Operation::PutRecords) > self.earlier_calls).await,
            TailFollowing => {
                let output = self.folder.join("output");
                until(|| lines(&output) == RECORDS).await;
            }
            RedriveHanging => until(|| self.calls(Operation::Invoke) > 0).await,
            ConsumerEventHanging => until(|| self.calls(Operation::GetRecords) > 0).await,
            _ => {}
        }
    }

    /// Checks that every record is where the command says.
    pub(crate) fn check_records(&self, ended: &Ended, situation: Situation) -> Result<(), String> {
        let ended_at_once = [130, 143].contains(&ended.code);
        match self.work {
            Push | PushFollowing => self.expect(RECORDS, RECORDS, 0),
            PushHanging if ended_at_once => self.expect_in(HERE, RECORDS),
            PushHanging => self.expect(RECORDS, 0, RECORDS),
            Resume => self.expect(RECORDS, RECORDS, 0),
            ResumeHanging => self.expect(RECORDS, 0, RECORDS),
            Redrive => equal("quarantined records", self.quarantined(), 0),
            RedriveHanging => equal("quarantined records", self.quarantined(), RECORDS),
            Tail if shows_all(situation) => {
                equal("printed records", ended.output.matches("{\"id\":").count(), RECORDS)
            }
            _ => Ok(()),
        }
    }

    fn expect(&self, here: usize, there: usize, spooled: usize) -> Result<(), String> {
        self.expect_in(HERE, here)?;
        self.expect_in(THERE, there)?;
        equal("spooled messages", self.spooled(), spooled)
    }

    fn expect_in(&self, region: &str, records: usize) -> Result<(), String> {
        equal(&format!("records in {region}"), self.arrived(region), records)
    }

    fn quarantined(&self) -> usize {
        self.aws.s3().objects(THERE, BUCKET).len()
    }

    fn arrived(&self, region: &str) -> usize {
        self.aws.kinesis().records(region, "records").len()
    }

    fn calls(&self, operation: Operation) -> u64 {
        self.aws.faults().calls(THERE, operation).calls
    }

    /// Messages in the spool, each counted once.
    fn spooled(&self) -> usize {
        let text = fs::read_to_string(self.folder.join(SPOOL)).unwrap_or_default();
        let messages = text.lines().filter(|line| line.contains("\"partition_key\""));
        messages.collect::<BTreeSet<_>>().len()
    }
}

fn shows_all(situation: Situation) -> bool {
    !matches!(situation, Situation::OutputToHead | Situation::OutputClosed | Situation::OutputFull)
}

fn equal(what: &str, actual: usize, expected: usize) -> Result<(), String> {
    if actual == expected { Ok(()) } else { Err(format!("{actual} {what}, not {expected}")) }
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap_or_default().lines().count()
}

async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it takes too long");
}
