//! Handles batches.

use std::time::{Duration, SystemTime};

use aws_lambda_events::event::streams::KinesisEventResponse;
use lambda_runtime::tracing::{self, Instrument, Span};
use record_telemetry::Deadline;
use tokio::time::Instant;

use crate::builder::ConsumerBuilder;
use crate::event::{Event, EventRecord};
use crate::failure::{Failures, Reason};
use crate::key_attributes::KeyAttributes;
use crate::pending_writes::PendingWrites;
use crate::quarantine::{Quarantine, Store};
use crate::reader::{Decrypt, KmsBudget, ReadUntil, Reader, Window};
use crate::schema::Schema;
use crate::stats::{Batch, ConsumerStats, Counters};
use crate::table::Table;
use crate::traces::log_traces;
use crate::writer::{Writer, Written};

/// No window is started with less time than this.
const MIN_WINDOW: Duration = Duration::from_millis(20);

/// Decrypts the records of Kinesis events and writes them to a table.
///
/// Build it once per execution environment: it holds the data key cache and the connections.
#[derive(Debug)]
pub struct Consumer {
    pub(crate) decrypt: Box<dyn Decrypt>,
    pub(crate) table: Box<dyn Table>,
    pub(crate) schema: Schema,
    pub(crate) quarantine: Option<Box<dyn Quarantine>>,
    pub(crate) trace_attribute: Option<String>,
    pub(crate) now: fn() -> SystemTime,
    pub(crate) counters: Counters,
}

/// What became of the records so far.
#[derive(Default)]
struct Progress {
    written: usize,
    superseded: usize,
    quarantined: Failures,
    reported: Failures,
}

impl Consumer {
    /// Sets up a consumer that decrypts with a [`RecordCipher`](record_cipher::RecordCipher), or what
    /// else implements [`Decrypt`], and writes to `table`, whose key is `key`.
    pub fn builder(
        decrypt: impl Decrypt + 'static,
        table: impl Table + 'static,
        key: KeyAttributes,
    ) -> ConsumerBuilder {
        ConsumerBuilder::new(decrypt, table, key)
    }

    /// Writes the event's records. Returns the sequence numbers of those that are to be delivered
    /// again, because the time was up or another failure may pass. Records that can never be written
    /// are stored in the quarantine; they are reported if there is none, or if it fails.
    ///
    /// Records are decrypted and written in the order of their sequence numbers, so that the first one
    /// that is reported advances with every invocation. Of items with the same key, the one with the
    /// highest version is written, or without versions that of the last record. If DynamoDB rejects it,
    /// the next best one is written.
    ///
    /// The good records of an aggregate are written even if others are bad. The bad ones are named in
    /// the quarantine.
    pub async fn handle(&self, event: Event, deadline: Deadline) -> KinesisEventResponse {
        let records = event.into_records();
        let span = span(&records);
        self.handle_records(&records, deadline.stop()).instrument(span).await
    }

    /// Returns counters accumulated by this consumer.
    #[must_use]
    pub fn stats(&self) -> ConsumerStats {
        self.counters.read(self.decrypt.stats())
    }

    async fn handle_records(&self, records: &[EventRecord], stop: Instant) -> KinesisEventResponse {
        let Progress { written, superseded, quarantined, reported } =
            self.process(records, stop).await;
        log_each("record quarantined", records, &quarantined);
        log_each("record not written", records, &reported);
        let first = reported.iter().next();
        self.count(&Batch {
            records: records.len(),
            bytes: records.iter().filter_map(|record| record.data.as_ref()).map(Vec::len).sum(),
            written,
            superseded,
            quarantined: quarantined.len(),
            failed: reported.len(),
            is_stalled: first.is_some_and(|(at, failure)| at == 0 && failure.is_timeout()),
        });
        let mut response = KinesisEventResponse::default();
        for (at, _) in reported.iter() {
            response.add_failure(&records[at].sequence_number);
        }
        response
    }

    /// Handles one window of records after the other until all are done or the time is up.
    async fn process(&self, records: &[EventRecord], stop: Instant) -> Progress {
        let mut progress = Progress::default();
        let mut budget = KmsBudget::new(&*self.decrypt, records.len());
        let (mut next, mut stopped, mut is_decrypting) = (0, None, false);
        while next < records.len() && stopped.is_none() {
            if remaining(stop) < MIN_WINDOW {
                stopped = Some(Reason::NoTime);
                break;
            }
            let mut failures = Failures::default();
            let window = self.read(records, next, stop, &mut budget, &mut failures).await;
            is_decrypting = window.end == next;
            next = window.end;
            stopped = window.stopped.clone();
            let written = self.write(records, window, stop, &mut failures).await;
            stopped = stopped.or(written.stopped);
            progress.written += written.written;
            progress.superseded += written.superseded;
            self.settle(records, failures, stop, &mut progress).await;
        }
        let stopped = stopped.unwrap_or(Reason::NoTime);
        for at in next..records.len() {
            let reason = match (&stopped, is_decrypting && at == next) {
                (Reason::NoTime, true) => Reason::NotDecrypted,
                _ => stopped.clone(),
            };
            progress.reported.add(at, None, reason);
        }
        progress
    }

    /// Reads for half of the time that is left, so that there is time to write what was read. The
    /// first record may take half of the rest, too: without it there is no progress.
    async fn read(
        &self,
        records: &[EventRecord],
        start: usize,
        stop: Instant,
        budget: &mut KmsBudget<'_>,
        failures: &mut Failures,
    ) -> Window {
        let left = remaining(stop);
        let until = ReadUntil { first: stop - left / 4, others: stop - left / 2 };
        let reader = Reader { decrypt: &*self.decrypt, schema: &self.schema };
        reader.read(records, start, until, budget, failures).await
    }

    /// Writes until the time is up that the quarantine needs.
    async fn write(
        &self,
        records: &[EventRecord],
        window: Window,
        stop: Instant,
        failures: &mut Failures,
    ) -> Written {
        if let Some(attribute) = &self.trace_attribute {
            log_traces(attribute, records, &window.entries);
        }
        let reserve = match failures.is_empty() {
            true => remaining(stop) / 10,
            false => remaining(stop) / 4,
        };
        let writer = Writer { table: &*self.table, schema: &self.schema, until: stop - reserve };
        writer.write(PendingWrites::new(window.entries), failures).await
    }

    /// Stores the records that can never be written.
    async fn settle(
        &self,
        records: &[EventRecord],
        failures: Failures,
        stop: Instant,
        progress: &mut Progress,
    ) {
        let (faults, others) = failures.partition();
        progress.reported.extend(others);
        let Some(quarantine) = self.quarantine.as_deref() else {
            return progress.reported.extend(faults);
        };
        let store = Store { quarantine, now: (self.now)(), until: stop };
        let (stored, not_stored) = store.store_all(records, faults).await;
        progress.quarantined.extend(stored);
        progress.reported.extend(not_stored);
    }

    fn count(&self, batch: &Batch) {
        self.counters.add(batch);
        let data_keys = self.decrypt.stats().data_keys;
        tracing::info!(
            records = batch.records,
            written = batch.written,
            superseded = batch.superseded,
            quarantined = batch.quarantined,
            failed = batch.failed,
            data_key_requests = data_keys.requests,
            data_key_calls = data_keys.calls,
            "batch done"
        );
    }
}

fn remaining(stop: Instant) -> Duration {
    stop.saturating_duration_since(Instant::now())
}

/// Identifies the batch in each of its log lines. Its level is `ERROR`, so that it does so at any level.
fn span(records: &[EventRecord]) -> Span {
    let sequence_number =
        |record: Option<&EventRecord>| record.map(|record| record.sequence_number.clone());
    tracing::error_span!(
        "batch",
        // Lambda makes an event of the records of one shard.
        shard = records.first().and_then(EventRecord::shard),
        first_sequence_number = sequence_number(records.first()),
        last_sequence_number = sequence_number(records.last()),
        records = records.len(),
    )
}

fn log_each(what: &str, records: &[EventRecord], failures: &Failures) {
    for (at, failure) in failures.iter() {
        tracing::warn!(
            event_id = records[at].event_id.as_deref().unwrap_or_default(),
            kind = ?failure.kind(),
            reason = %failure,
            "{what}"
        );
    }
}
