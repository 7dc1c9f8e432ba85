//! Runs, in rounds, so that streams and tables do not grow with the number of records.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::time::Duration;

use anyhow::Context;
use futures::future::try_join_all;
use record_consumer::Consumer;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::environment::{Environment, REGIONS, STREAM};
use crate::fault_schedule::FaultSchedule;
use crate::function::{Invocations, ShardReader};
use crate::ledger::{Ledger, Pushed};
use crate::plan::Plan;
use crate::push::{Prepared, Pushers};
use crate::report::RunReport;
use crate::samples::Sample;

/// Records of a round.
const ROUND: usize = 5_000;
/// Time limit of a round, far beyond what one takes.
const ROUND_LIMIT: Duration = Duration::from_secs(120);

/// Pushes the plan's records through the whole pipeline and accounts for each of them. Errors in the
/// accounts are in the report.
///
/// # Errors
/// The run could not be finished: the services do not start, or records are delivered without end.
pub async fn run(plan: &Plan) -> anyhow::Result<RunReport> {
    let started = Instant::now();
    let environment = Environment::new(plan.shards).await?;
    let pushers = Pushers::new(plan, &environment).await?;
    let consumers =
        try_join_all(REGIONS.map(|region| environment.consumer(region, plan.versions))).await?;
    let run = Run { plan, environment, pushers, consumers };
    let mut report = RunReport::new(plan);
    let mut ledger = Ledger::new(plan.seed, plan.versions);
    for round in 0..plan.records.div_ceil(ROUND) {
        let (pushed, invocations) = run.round(round + 1).await?;
        ledger.enter(&run.environment, pushed);
        for (region, invocations) in invocations {
            report.add(region, invocations);
        }
    }
    report.elapsed = started.elapsed();
    report.finish(&run.environment, &ledger)?;
    Ok(report)
}

struct Run<'a> {
    plan: &'a Plan,
    environment: Environment,
    pushers: Pushers,
    /// In the order of [`REGIONS`].
    consumers: Vec<Consumer>,
}

/// Counts of a round's shards, each with the index of its Region in [`REGIONS`].
type ByRegion = Vec<(usize, Invocations)>;

impl Run<'_> {
    /// Runs a round. `round` counts from 1.
    async fn round(&self, round: usize) -> anyhow::Result<(Vec<Pushed>, ByRegion)> {
        self.environment.empty(self.plan.shards);
        let records = self.prepare(numbers(round, self.plan.records)).await?;
        let aws = &self.environment.aws;
        let mut schedule =
            self.plan.faults.then(|| FaultSchedule::inject(aws, self.seed_of(&[round])));
        let closed = CancellationToken::new();
        let push = async {
            let pushed = self.pushers.push(records).await;
            schedule.iter_mut().for_each(|schedule| schedule.end_outages(aws));
            closed.cancel();
            pushed
        };
        let through = async { tokio::try_join!(push, self.consume(round, &closed)) };
        let through = timeout(ROUND_LIMIT, through).await;
        let (pushed, invocations) = through.context("records are delivered without end")??;
        schedule.into_iter().for_each(|schedule| schedule.lift(aws));
        self.check_all_done(&invocations)?;
        Ok((pushed, invocations))
    }

    async fn prepare(&self, numbers: Range<usize>) -> anyhow::Result<Vec<Prepared>> {
        let mut records = Vec::new();
        for number in numbers {
            records.push(self.pushers.prepare(&Sample::new(self.plan.seed, number)).await?);
        }
        Ok(records)
    }

    /// Drains all shards at once, until the streams are closed and empty.
    async fn consume(&self, round: usize, closed: &CancellationToken) -> anyhow::Result<ByRegion> {
        let regions = 0..REGIONS.len();
        let shards = regions.flat_map(|region| (0..self.plan.shards).map(move |at| (region, at)));
        try_join_all(shards.map(|(region, shard)| async move {
            let shard = u32::try_from(shard)?;
            let reader = ShardReader {
                aws: &self.environment.aws,
                consumer: &self.consumers[region],
                region: REGIONS[region],
                shard,
                round,
                batch_size: self.plan.batch_size,
                seed: self.plan.faults.then(|| self.seed_of(&[round, region, shard as usize])),
            };
            anyhow::Ok((region, reader.drain(closed).await?))
        }))
        .await
    }

    /// Returns the seed of a part of the run.
    fn seed_of(&self, part: &[usize]) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.plan.seed, part).hash(&mut hasher);
        hasher.finish()
    }

    /// Checks that every record of the streams was delivered with success.
    fn check_all_done(&self, invocations: &ByRegion) -> anyhow::Result<()> {
        for (region, name) in REGIONS.iter().enumerate() {
            let done = invocations.iter().filter(|(at, _)| *at == region);
            let done: u64 = done.map(|(_, counts)| counts.done).sum();
            let there = self.environment.aws.kinesis().totals(name, STREAM).records;
            anyhow::ensure!(done == there, "{done} of {there} records in {name} were delivered");
        }
        Ok(())
    }
}

/// Returns the numbers of a round's records.
fn numbers(round: usize, records: usize) -> Range<usize> {
    (round - 1) * ROUND..records.min(round * ROUND)
}
