//! The consumer behind an event source mapping, and what fails between the two.

use std::time::Duration;

use aws_lambda_events::event::kinesis::KinesisEvent;
use event_source::{EventSourceMapping, FunctionError, InvocationResult, Settings, Shard};
use fake_aws::FakeAws;
use fastrand::Rng;
use record_consumer::Consumer;
use record_telemetry::Deadline;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::stage::STREAM;

/// What an invocation may take. Short, because a call that hangs takes all of it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How often a shard is looked at that has nothing new. Lambda's is a second.
const POLL: Duration = Duration::from_millis(20);
/// Invocations of a shard's round that may fail in each of the two ways.
const ERRORS: u64 = 3;

/// What one shard's invocations came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Invocations {
    pub(crate) invocations: u64,
    /// Records in the events, each as often as it was delivered.
    pub(crate) received: u64,
    /// Records that are done.
    pub(crate) done: u64,
    /// Records that the mapping gave up.
    pub(crate) discarded: u64,
    /// Invocations that failed before the consumer saw the event.
    pub(crate) failed_before: u64,
    /// Invocations that failed after the consumer was done with it.
    pub(crate) failed_after: u64,
}

/// One shard of a Region's stream.
pub(crate) struct ShardReader<'a> {
    pub(crate) aws: &'a FakeAws,
    pub(crate) consumer: &'a Consumer,
    pub(crate) region: &'static str,
    pub(crate) shard: u32,
    /// From 1. Streams begin anew with each round, and sequence numbers must not.
    pub(crate) round: usize,
    pub(crate) batch_size: usize,
    /// Of the errors, if there are to be some.
    pub(crate) seed: Option<u64>,
}

impl ShardReader<'_> {
    /// Delivers what comes, until `closed` says that nothing more comes and all is delivered.
    pub(crate) async fn drain(&self, closed: &CancellationToken) -> anyhow::Result<Invocations> {
        let mapping = EventSourceMapping::new(self.settings())?;
        let arn = format!("arn:aws:kinesis:{}:000000000000:stream/{STREAM}", self.region);
        let mut shard = Shard::new(&arn, self.shard);
        let mut function = Function::new(self.consumer, self.seed);
        let mut seen = 0;
        loop {
            // Asked first: what came before the stream was closed is then found.
            let is_closed = closed.is_cancelled();
            let new = self.read(&mut shard, seen)?;
            seen += new;
            if new > 0 {
                let report = mapping.drain(&mut shard, |event| function.invoke(event)).await;
                function.counts.done += report.delivered as u64;
                function.counts.discarded +=
                    report.discarded.iter().map(|batch| batch.batch_size as u64).sum::<u64>();
            } else if is_closed {
                return Ok(function.counts);
            } else {
                sleep(POLL).await;
            }
        }
    }

    /// As in the template.
    fn settings(&self) -> Settings {
        Settings {
            batch_size: self.batch_size,
            bisect_batch_on_function_error: true,
            report_batch_item_failures: true,
            ..Settings::default()
        }
    }

    /// Moves the stream's records after the first `seen` into the shard, and returns how many
    /// there were.
    fn read(&self, shard: &mut Shard, seen: usize) -> anyhow::Result<usize> {
        let id = format!("shardId-{:012}", self.shard);
        let records = self.aws.kinesis().records(self.region, STREAM).into_iter();
        let new = records.filter(|record| record.shard_id == id).skip(seen);
        let mut count = 0;
        for record in new {
            let number = format!("{}{}", self.round, record.sequence_number);
            shard.push_numbered(&number, &record.partition_key, record.data)?;
            count += 1;
        }
        Ok(count)
    }
}

struct Function<'a> {
    consumer: &'a Consumer,
    errors: Option<Rng>,
    counts: Invocations,
}

impl<'a> Function<'a> {
    fn new(consumer: &'a Consumer, seed: Option<u64>) -> Self {
        Self { consumer, errors: seed.map(Rng::with_seed), counts: Invocations::default() }
    }

    fn invoke(&mut self, event: KinesisEvent) -> impl Future<Output = InvocationResult> + use<'a> {
        let consumer = self.consumer;
        self.counts.invocations += 1;
        self.counts.received += event.records.len() as u64;
        let error = self.error();
        async move {
            if error == Some(Error::Before) {
                return Err(FunctionError);
            }
            let response = consumer.handle(event.into(), Deadline::after(TIMEOUT)).await;
            match error {
                Some(Error::After) => Err(FunctionError),
                _ => Ok(Some(response)),
            }
        }
    }

    fn error(&mut self) -> Option<Error> {
        let (error, count) = match self.errors.as_mut()?.u8(..8) {
            0 => (Error::Before, &mut self.counts.failed_before),
            1 => (Error::After, &mut self.counts.failed_after),
            _ => return None,
        };
        if *count == ERRORS {
            return None;
        }
        *count += 1;
        Some(error)
    }
}

/// When an invocation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Error {
    /// It crashes before it begins.
    Before,
    /// It is done, and its response is lost.
    After,
}
