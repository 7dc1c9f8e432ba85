//! A push that is killed again and again, and resumed.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fake_aws::{Fault, Operation, Rule, kms_key_arn};
use fastrand::Rng;
use record_cipher::{Keys, RecordCipher};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::environment::{Environment, KEY_ALIAS, REGIONS, STREAM};

/// Time for a process to do what is waited for.
const PATIENCE: Duration = Duration::from_secs(600);

/// Plan of a push with kills.
#[derive(Debug, Clone)]
pub struct KillPlan {
    /// The program `sealstream`.
    pub program: PathBuf,
    /// Folder for the input and the spool. Created, and emptied at the end.
    pub folder: PathBuf,
    /// Records of the input.
    pub records: usize,
    /// Processes to kill, by SIGTERM and SIGKILL in turn.
    pub kills: usize,
    /// Seed of the moments and of the outages.
    pub seed: u64,
}

/// A process that was killed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Kill {
    /// Name of the signal.
    pub signal: &'static str,
    /// Whether the second Region was unavailable.
    pub outage: bool,
    /// Line from which the process pushed.
    pub from_line: usize,
    /// Messages that the first Region acknowledged from the start of the process to the kill, and from
    /// then to its end.
    pub delivered: [u64; 2],
}

/// What became of the records.
#[derive(Debug)]
#[non_exhaustive]
pub struct KillReport {
    /// Records of the input.
    pub records: usize,
    /// The kills, each of a process that was delivering.
    pub kills: Vec<Kill>,
    /// Records that are missing, and records that are there more than once, by Region.
    pub regions: Vec<(&'static str, usize, usize)>,
}

impl KillReport {
    /// Returns whether every record is in every Region.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.regions.iter().all(|(_, missing, _)| *missing == 0)
    }
}

/// Pushes a file, kills the process while it delivers, and goes on from the line that it named, or from
/// the same line if it could not name one. Counts the records in the end.
///
/// # Errors
/// The program does not do what its documentation says.
pub async fn run(plan: &KillPlan) -> anyhow::Result<KillReport> {
    fs::create_dir_all(&plan.folder)?;
    let mut run = Run {
        plan,
        environment: Environment::new(1).await?,
        rng: Rng::with_seed(plan.seed),
        line: 1,
        kills: Vec::new(),
    };
    run.write_input()?;
    while run.kills.len() < plan.kills {
        run.push_and_kill().await?;
    }
    run.push_the_rest().await?;
    run.resume().await?;
    let Run { environment, kills, .. } = run;
    let mut regions = Vec::new();
    for region in REGIONS {
        let (missing, duplicates) = count(&environment, region, plan.records).await?;
        regions.push((region, missing, duplicates));
    }
    fs::remove_dir_all(&plan.folder)?;
    Ok(KillReport { records: plan.records, kills, regions })
}

struct Run<'a> {
    plan: &'a KillPlan,
    environment: Environment,
    rng: Rng,
    /// The line from which the next process pushes.
    line: usize,
    kills: Vec<Kill>,
}

impl Run<'_> {
    fn input(&self) -> PathBuf {
        self.plan.folder.join("input.ndjson")
    }

    fn spool(&self) -> PathBuf {
        self.plan.folder.join("spool.ndjson")
    }

    fn write_input(&self) -> anyhow::Result<()> {
        let mut input = BufWriter::new(File::create(self.input())?);
        for id in 0..self.plan.records {
            writeln!(input, "{{\"id\":{id}}}")?;
        }
        Ok(input.flush()?)
    }

    async fn push_and_kill(&mut self) -> anyhow::Result<()> {
        // The messages of the rest, shared by the kills to come.
        let share = self.records_left() / (self.plan.kills - self.kills.len() + 1);
        let wanted = 1 + self.rng.u64(..(share as u64 / 50).max(1));
        let (from_line, before) = (self.line, self.delivered());
        let faults = self.environment.aws.faults();
        let outage = self.rng.u8(..3) == 0;
        let rule = outage.then(|| {
            let rule = Rule::new(Fault::Unavailable).operation(Operation::PutRecords);
            faults.inject(rule.region(REGIONS[1]))
        });
        let mut child = self.push("2").spawn().context("cannot start the program")?;
        while self.delivered() < before + wanted {
            ensure!(
                child.try_wait()?.is_none(),
                "a push ended by itself: {:?}",
                child.wait_with_output()?
            );
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(self.rng.u64(..20))).await;
        ensure!(
            child.try_wait()?.is_none(),
            "a push ended before it was killed; push more records"
        );
        let at_kill = self.delivered();
        let signal = if self.kills.len().is_multiple_of(2) { "SIGTERM" } else { "SIGKILL" };
        let number = if signal == "SIGTERM" { Signal::TERM } else { Signal::KILL };
        kill_process(Pid::from_child(&child), number)?;
        let output = ended(child).await?;
        rule.into_iter().for_each(|rule| faults.lift(rule));
        if signal == "SIGTERM" {
            self.line = continue_from(&output)?;
        }
        let delivered = [at_kill - before, self.delivered() - at_kill];
        self.kills.push(Kill { signal, outage, from_line, delivered });
        Ok(())
    }

    async fn push_the_rest(&self) -> anyhow::Result<()> {
        let output = ended(self.push("30").spawn()?).await?;
        ensure!(output.status.success(), "the last push: {output:?}");
        Ok(())
    }

    async fn resume(&self) -> anyhow::Result<()> {
        if !self.spool().exists() {
            return Ok(());
        }
        let mut resume = self.command("resume");
        resume.arg("--spool").arg(self.spool());
        let output = ended(resume.spawn()?).await?;
        // A process that is killed may leave the last line of a spool cut off.
        ensure!(matches!(output.status.code(), Some(0 | 1)), "resume: {output:?}");
        ensure!(!self.spool().exists(), "resume left messages: {output:?}");
        Ok(())
    }

    fn push(&self, timeout_seconds: &str) -> Command {
        let mut push = self.command("push");
        push.args(["--regions", &REGIONS.join(","), "--kms-key", KEY_ALIAS, "--stream", STREAM])
            .args(["--suite", "unsigned", "--aggregate-bytes", "500"])
            .args(["--delivery-timeout-seconds", timeout_seconds, "--output", "json"])
            .args(["--from-line", &self.line.to_string()])
            .arg("--spool")
            .arg(self.spool())
            .arg(self.input());
        push
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.plan.program);
        command
            .arg(subcommand)
            .env_clear()
            .env("AWS_ENDPOINT_URL", self.environment.aws.url())
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn records_left(&self) -> usize {
        self.plan.records + 1 - self.line
    }

    /// Returns the number of messages in the first Region.
    fn delivered(&self) -> u64 {
        self.environment.aws.kinesis().totals(REGIONS[0], STREAM).records
    }
}

async fn ended(child: Child) -> anyhow::Result<Output> {
    let pid = Pid::from_child(&child);
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    match timeout(PATIENCE, output).await {
        Ok(output) => Ok(output??),
        Err(_) => {
            kill_process(pid, Signal::KILL)?;
            bail!("the program does not end");
        }
    }
}

fn continue_from(output: &Output) -> anyhow::Result<usize> {
    let summary: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("a push that got SIGTERM has no summary: {output:?}"))?;
    let line = summary["continue_from"]["line"].as_u64();
    let line = line.with_context(|| format!("the summary has no line: {summary}"))?;
    Ok(usize::try_from(line)?)
}

/// Returns how many records are missing in a Region, and how many are repetitions.
async fn count(
    environment: &Environment,
    region: &str,
    records: usize,
) -> anyhow::Result<(usize, usize)> {
    let keys = Keys::Decrypt(vec![kms_key_arn(region, KEY_ALIAS).parse()?]);
    let cipher = RecordCipher::builder(keys, &environment.config).build().await?;
    let mut times = vec![0_usize; records];
    for record in environment.aws.kinesis().records(region, STREAM) {
        let plaintext = cipher.decrypt(&STREAM.parse()?, record.data).await?;
        let members = match serde_json::from_slice(&plaintext)? {
            Value::Array(members) => members,
            record => vec![record],
        };
        for member in members {
            let id = member["id"].as_u64().context("a record has no id")?;
            *times.get_mut(usize::try_from(id)?).context("a record was never pushed")? += 1;
        }
    }
    let missing = times.iter().filter(|times| **times == 0).count();
    Ok((missing, times.iter().sum::<usize>() + missing - records))
}

impl fmt::Display for KillReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Kill { signal, outage, from_line, delivered: [before, after] } in &self.kills {
            let outage = if *outage { ", during an outage" } else { "" };
            writeln!(
                f,
                "{signal} to a push from line {from_line}{outage}: {before} messages delivered before, {after} after it"
            )?;
        }
        for (region, missing, duplicates) in &self.regions {
            writeln!(
                f,
                "{region}: {missing} of {} records lost, {duplicates} duplicates",
                self.records
            )?;
        }
        Ok(())
    }
}
