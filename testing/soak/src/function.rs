//! The consumer behind an event source mapping, with failures between the two.

use std::time::Duration;

use aws_lambda_events::event::kinesis::KinesisEvent;
use event_source::{EventSourceMapping, FunctionError, InvocationResult, Settings, Shard};
use fake_aws::FakeAws;
use fastrand::Rng;
use record_consumer::Consumer;
use record_telemetry::Deadline;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::environment::STREAM;

/// Time limit of an invocation. Short, because a call that hangs uses all of it.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between polls of a shard without new records. Lambda waits a second.
const POLL: Duration = Duration::from_millis(20);
/// Maximum failures of a shard's invocations in a round, of each of the two kinds.
const ERRORS: u64 = 3;

/// Counts of a shard's invocations.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Invocations {
    pub(crate) invocations: u64,
    /// Records in events, each counted once per delivery.
    pub(crate) received: u64,
    /// Records delivered with success.
    pub(crate) done: u64,
    /// Records that the mapping discarded.
    pub(crate) discarded: u64,
    /// Invocations that failed before the consumer saw the event.
    pub(crate) failed_before: u64,
    /// Invocations that failed after the consumer had handled the event.
    pub(crate) failed_after: u64,
}

/// One shard of a Region's stream.
pub(crate) struct ShardReader<'a> {
    pub(crate) aws: &'a FakeAws,
    pub(crate) consumer: &'a Consumer,
    pub(crate) region: &'static str,
    pub(crate) shard: u32,
    /// Number of the round, from 1. It keeps sequence numbers unique, although streams start anew.
    pub(crate) round: usize,
    pub(crate) batch_size: usize,
    /// Seed of the failures; `None` for none.
    pub(crate) seed: Option<u64>,
}

impl ShardReader<'_> {
    /// Delivers records until `closed` is cancelled and all are delivered.
    pub(crate) async fn drain(&self, closed: &CancellationToken) -> anyhow::Result<Invocations> {
        let mapping = EventSourceMapping::new(self.settings())?;
        let arn = format!("arn:aws:kinesis:{}:000000000000:stream/{STREAM}", self.region);
        let mut shard = Shard::new(&arn, self.shard);
        let mut function = Function::new(self.consumer, self.seed);
        let mut seen = 0;
        loop {
            // Read before the records, so that none is missed that came before the stream was closed.
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

    /// Returns the settings of the template.
    fn settings(&self) -> Settings {
        Settings {
            batch_size: self.batch_size,
            bisect_batch_on_function_error: true,
            report_batch_item_failures: true,
            ..Settings::default()
        }
    }

    /// Moves the stream's records after the first `seen` into the shard. Returns their number.
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
    /// Before the consumer gets the event.
    Before,
    /// After the consumer has handled the event: its response is lost.
    After,
}
