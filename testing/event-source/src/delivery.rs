//! The way of the batches of one shard.

use std::ops::Range;
use std::time::Duration;

use aws_lambda_events::event::kinesis::KinesisEvent;
use tokio::time::sleep;

use crate::report::{Condition, InvocationResult, Report};
use crate::settings::{FirstRecordReported, Settings};
use crate::shard::Shard;

/// The pause before the first retry. Lambda's own pauses are not documented.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);

/// No pause is longer.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);

/// Reads a shard from its checkpoint to its end.
pub(crate) struct Delivery<'a> {
    settings: &'a Settings,
    shard: &'a mut Shard,
    /// The first record that has not been in a batch yet. The checkpoint is not after it.
    next: usize,
    /// Batches to deliver before that record is read. The last one is the next one.
    pending: Vec<Batch>,
    report: Report,
}

/// Records that are delivered together.
pub(crate) struct Batch {
    /// Their positions in the shard. There is at least one.
    records: Range<usize>,
    /// How often they were delivered since a batch was last read or split.
    invocations: u32,
}

impl Batch {
    fn new(records: Range<usize>) -> Self {
        Self { records, invocations: 0 }
    }
}

impl<'a> Delivery<'a> {
    pub(crate) fn new(settings: &'a Settings, shard: &'a mut Shard) -> Self {
        let next = shard.start(settings.starting_position);
        Self { settings, shard, next, pending: Vec::new(), report: Report::default() }
    }

    pub(crate) fn into_report(self) -> Report {
        self.report
    }

    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        self.pending.pop().or_else(|| self.read())
    }

    fn read(&mut self) -> Option<Batch> {
        let records = self.shard.batch(self.next, self.settings.batch_size);
        self.next = records.end;
        (!records.is_empty()).then(|| Batch::new(records))
    }

    /// Invokes the function once, unless all of the records are too old.
    pub(crate) async fn deliver<F: Future<Output = InvocationResult>>(
        &mut self,
        batch: Batch,
        function: &mut impl FnMut(KinesisEvent) -> F,
    ) {
        let Some(mut batch) = self.discard_too_old(batch) else { return };
        batch.invocations += 1;
        self.report.invocations += 1;
        let result = function(self.shard.event(batch.records.clone())).await;
        let is_error = result.is_err();
        let failed_from = self.failed_from(&batch.records, result);
        self.report.delivered += failed_from - batch.records.start;
        self.shard.set_checkpoint(failed_from);
        if failed_from < batch.records.end {
            self.after_failure(batch, failed_from, is_error).await;
        }
    }

    /// The records that are not too old. Those of a shard are in the order of their age, so that
    /// the others are the first ones.
    fn discard_too_old(&mut self, batch: Batch) -> Option<Batch> {
        let Some(maximum) = self.settings.maximum_record_age else { return Some(batch) };
        let Batch { records: Range { start, end }, invocations } = batch;
        let young_from = self.shard.not_older_than(maximum, start..end);
        if young_from > start {
            let too_old = Batch { records: start..young_from, invocations };
            self.discard(too_old, Condition::RecordAgeExceeded);
        }
        (young_from < end).then_some(Batch { records: young_from..end, invocations })
    }

    /// The first of the records that has to be delivered again, or their end.
    fn failed_from(&self, records: &Range<usize>, result: InvocationResult) -> usize {
        let response = match result {
            Err(_) => return records.start,
            Ok(response) => response.filter(|_| self.settings.report_batch_item_failures),
        };
        let failures = response.map(|response| response.batch_item_failures).unwrap_or_default();
        let failed = failures.into_iter().map(|failure| {
            let at = failure.item_identifier.and_then(|id| self.shard.find(&id, records.clone()));
            // An identifier that names no record makes the whole batch a failure.
            at.unwrap_or(records.start)
        });
        failed.min().unwrap_or(records.end)
    }

    /// Prepares another delivery of the records from `failed_from` on, or discards them.
    async fn after_failure(&mut self, batch: Batch, failed_from: usize, is_error: bool) {
        let pause = back_off(batch.invocations);
        if self.is_split(&batch, failed_from, is_error) {
            self.bisect(batch.records, failed_from);
        } else {
            let remaining = Batch { records: failed_from..batch.records.end, ..batch };
            if self.is_exhausted(&remaining) {
                return self.discard(remaining, Condition::RetryAttemptsExhausted);
            }
            self.pending.push(remaining);
        }
        sleep(pause).await;
    }

    fn is_split(&self, batch: &Batch, failed_from: usize, is_error: bool) -> bool {
        let halves = self.settings.first_record_reported == FirstRecordReported::Halve;
        let has_parts = failed_from > batch.records.start || is_error || halves;
        self.settings.bisect_batch_on_function_error && batch.records.len() > 1 && has_parts
    }

    /// Splits where the function says that records fail, and in the middle if all of them do.
    ///
    /// The parts are new batches: splitting does not use up retries.
    fn bisect(&mut self, Range { start, end }: Range<usize>, failed_from: usize) {
        if failed_from > start {
            return self.pending.push(Batch::new(failed_from..end));
        }
        let middle = start.midpoint(end);
        self.pending.push(Batch::new(middle..end));
        self.pending.push(Batch::new(start..middle));
    }

    /// Whether the first delivery and all retries are used up.
    fn is_exhausted(&self, batch: &Batch) -> bool {
        self.settings.maximum_retry_attempts.is_some_and(|retries| batch.invocations > retries)
    }

    fn discard(&mut self, batch: Batch, condition: Condition) {
        self.shard.set_checkpoint(batch.records.end);
        let discarded = self.shard.discarded(batch.records, condition, batch.invocations);
        self.report.discarded.push(discarded);
    }
}

/// The pause after so many failed invocations of a batch: twice as long each time.
fn back_off(invocations: u32) -> Duration {
    let factor = 2_u32.saturating_pow(invocations - 1);
    FIRST_BACK_OFF.saturating_mul(factor).min(LONGEST_BACK_OFF)
}
