//! Reports of runs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use fake_aws::{Calls, Faults, Operation};

use crate::environment::{Environment, REGIONS};
use crate::function::Invocations;
use crate::ledger::{Account, Ledger};
use crate::plan::Plan;

/// Maximum number of problems listed.
const SHOWN: usize = 20;

/// Results of a run. Its `Display` is a report for people.
#[derive(Debug, Default)]
pub struct RunReport {
    /// Records pushed.
    pub records: usize,
    /// Time from the first record to the last, without the accounting.
    pub elapsed: Duration,
    /// Results of each Region, in the order of [`REGIONS`].
    pub regions: [RegionReport; REGIONS.len()],
    /// Errors in the accounts. If the list is empty, every record is accounted for.
    pub problems: Vec<String>,
    /// Calls and injected faults of all Regions.
    calls: BTreeMap<Operation, Calls>,
}

/// Results of a run in one Region. Written, quarantined and undelivered records are all that were
/// pushed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RegionReport {
    /// Records that the stream acknowledged and the table has.
    pub written: u64,
    /// Records that the stream acknowledged and the quarantine has.
    pub quarantined: u64,
    /// Records that the pusher returned as undelivered.
    pub undelivered: u64,
    /// Undelivered records that the table has nevertheless.
    pub undelivered_and_written: u64,
    /// Deliveries of a record to the function after the first one.
    pub redelivered: u64,
    /// Invocations of the function.
    pub invocations: u64,
    /// Invocations failed on purpose, before or after the consumer.
    pub failed_invocations: u64,
}

impl RunReport {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { records: plan.records, ..Self::default() }
    }

    /// Adds the counts of a Region's shard.
    pub(crate) fn add(&mut self, region: usize, shard: Invocations) {
        let report = &mut self.regions[region];
        report.invocations += shard.invocations;
        report.redelivered += shard.received - shard.done - shard.discarded;
        report.failed_invocations += shard.failed_before + shard.failed_after;
    }

    pub(crate) fn finish(
        &mut self,
        environment: &Environment,
        ledger: &Ledger,
    ) -> anyhow::Result<()> {
        for (region, name) in REGIONS.iter().enumerate() {
            let account = ledger.account(environment, region)?;
            self.regions[region].take(&account);
            let problems = account.problems.iter();
            self.problems.extend(problems.map(|problem| format!("{name}: {problem}")));
        }
        self.calls = calls(environment.aws.faults());
        Ok(())
    }

    fn calls_of(&self, operation: Operation) -> u64 {
        self.calls.get(&operation).map_or(0, |calls| calls.calls)
    }
}

impl RegionReport {
    fn take(&mut self, account: &Account) {
        self.written = account.written;
        self.quarantined = account.quarantined;
        self.undelivered = account.undelivered;
        self.undelivered_and_written = account.undelivered_and_written;
    }
}

fn calls(faults: &Faults) -> BTreeMap<Operation, Calls> {
    let mut sums: BTreeMap<Operation, Calls> = BTreeMap::new();
    for ((_, operation), calls) in faults.all_calls() {
        let sum = sums.entry(operation).or_default();
        sum.calls += calls.calls;
        sum.faults += calls.faults;
    }
    sums
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.records as f64 / seconds;
        writeln!(f, "{} records in {seconds:.1} s, {rate:.0} records/s", self.records)?;
        for (region, report) in REGIONS.iter().zip(&self.regions) {
            writeln!(f, "  {region}: {report}")?;
        }
        let kms = [Operation::GenerateDataKey, Operation::Encrypt, Operation::Decrypt];
        let kms = kms.map(|operation| format!("{operation:?} {}", self.calls_of(operation)));
        writeln!(f, "  KMS calls: {}", kms.join(", "))?;
        for (operation, Calls { calls, faults, .. }) in &self.calls {
            writeln!(f, "  {operation:?}: {faults} of {calls} calls failed on purpose")?;
        }
        for problem in self.problems.iter().take(SHOWN) {
            writeln!(f, "  {problem}")?;
        }
        match self.problems.len() {
            0 => write!(f, "every record is accounted for"),
            problems => write!(f, "NOT every record is accounted for: {problems} problems"),
        }
    }
}

impl fmt::Display for RegionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} written, {} quarantined, {} undelivered ({} of them written), {} redelivered, \
             {} invocations, {} of them failed on purpose",
            self.written,
            self.quarantined,
            self.undelivered,
            self.undelivered_and_written,
            self.redelivered,
            self.invocations,
            self.failed_invocations,
        )
    }
}
