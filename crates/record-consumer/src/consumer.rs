//! The way of a batch.

use std::thread::available_parallelism;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use aws_config::SdkConfig;
use aws_lambda_events::event::kinesis::{KinesisEvent, KinesisEventRecord};
use aws_lambda_events::event::streams::KinesisEventResponse;
use futures::future::FutureExt;
use futures::stream::{self, StreamExt};
use lambda_runtime::tracing::{self, Instrument, Span};
use record_cipher::{ErrorKind, RecordCipher, StreamName};
use tokio::time::Instant;

use crate::candidates::{Candidates, Failures};
use crate::content::{Entry, Schema};
use crate::deadline::before;
use crate::failure::RecordFailure;
use crate::quarantine::{Quarantine, Store};
use crate::s3::Bucket;
use crate::settings::ConsumerSettings;
use crate::stats::{Batch, ConsumerStats, Counters};
use crate::table::{DynamoDb, KeyAttribute, Table};
use crate::traces::log_traces;
use crate::write::Writer;

/// Kept free at the end of an invocation to report what is not done.
const RESERVE: Duration = Duration::from_millis(500);
/// Documents on their way to the quarantine at once.
const STORES_AT_ONCE: usize = 16;

/// Decrypts the records of Kinesis events and writes them to a table.
///
/// Made once per execution environment: it holds the data key cache and the connections.
#[derive(Debug)]
pub struct Consumer {
    cipher: RecordCipher,
    table: Box<dyn Table>,
    schema: Schema,
    quarantine: Option<Box<dyn Quarantine>>,
    trace_attribute: Option<String>,
    now: fn() -> SystemTime,
    counters: Counters,
}

impl Consumer {
    /// A consumer with the settings of the function. Asks DynamoDB for the table's key attributes
    /// unless they are set.
    ///
    /// # Errors
    /// A setting is not allowed, or the table cannot be used.
    pub async fn new(settings: &ConsumerSettings, config: &SdkConfig) -> anyhow::Result<Self> {
        let cipher = settings.cipher(config).await.context("the settings do not work")?;
        let table = DynamoDb::new(config, &settings.table_name);
        let key = match &settings.table_key_attributes {
            Some(attributes) => attributes.0.clone(),
            None => table.key_attributes().await?,
        };
        let mut consumer = Self::with_table(cipher, Box::new(table), key);
        if let Some(bucket) = settings.quarantine_bucket() {
            consumer = consumer.quarantine(Box::new(Bucket::new(config, bucket)));
        }
        if let Some(attribute) = settings.version_attribute() {
            consumer = consumer.version_attribute(attribute);
        }
        if let Some(attribute) = settings.trace_attribute() {
            consumer = consumer.trace_attribute(attribute);
        }
        Ok(consumer)
    }

    /// A consumer of these parts, without a quarantine and without versions.
    #[must_use]
    pub fn with_table(cipher: RecordCipher, table: Box<dyn Table>, key: Vec<KeyAttribute>) -> Self {
        let schema = Schema { key, version: None };
        #[expect(clippy::disallowed_methods, reason = "the clock is given to the logic from here")]
        Self {
            cipher,
            table,
            schema,
            quarantine: None,
            trace_attribute: None,
            now: SystemTime::now,
            counters: Counters::default(),
        }
    }

    /// Stores the records that can never be written, instead of reporting them as failed.
    #[must_use]
    pub fn quarantine(mut self, quarantine: Box<dyn Quarantine>) -> Self {
        self.quarantine = Some(quarantine);
        self
    }

    /// Takes the time that is noted in the quarantine from this clock, not from the system's.
    #[must_use]
    pub fn clock(mut self, now: fn() -> SystemTime) -> Self {
        self.now = now;
        self
    }

    /// Writes an item only if its version, in this attribute, is higher than that of the table's.
    #[must_use]
    pub fn version_attribute(mut self, name: &str) -> Self {
        self.schema.version = Some(name.to_owned());
        self
    }

    /// Logs the traces of records, whose contexts are W3C traceparents in this attribute.
    #[must_use]
    pub fn trace_attribute(mut self, name: &str) -> Self {
        self.trace_attribute = Some(name.to_owned());
        self
    }

    /// Writes the event's records, and reports those that `deadline` or another passing reason has
    /// kept from being written. A record that can never be written goes to the quarantine; if there
    /// is none, or it does not take the record, it is reported too.
    ///
    /// Of items with the same key the one with the highest version is written, or if they have no
    /// versions that of the record with the highest sequence number. If DynamoDB refuses it, the
    /// next one is. If it cannot be written for a passing reason, all records of the key are
    /// reported.
    ///
    /// A list of objects is one record. If DynamoDB refuses one of its items, others may be written
    /// already. The record has failed as a whole all the same, and writes the same items when it is
    /// delivered again.
    pub async fn handle(&self, event: KinesisEvent, deadline: Instant) -> KinesisEventResponse {
        let records = in_order(event.records);
        let span = span(&records);
        self.handle_in_order(&records, deadline).instrument(span).await
    }

    /// What the consumer has done so far.
    #[must_use]
    pub fn stats(&self) -> ConsumerStats {
        self.counters.read(self.cipher.stats())
    }

    async fn handle_in_order(
        &self,
        records: &[KinesisEventRecord],
        deadline: Instant,
    ) -> KinesisEventResponse {
        let stop = deadline.checked_sub(RESERVE).unwrap_or(deadline);
        let (entries, mut failures) = self.read(records, stop).await;
        if let Some(attribute) = &self.trace_attribute {
            log_traces(attribute, records, &entries);
        }
        let (written, superseded) = self.write(entries, &mut failures, stop).await;
        let (quarantined, failed) = self.set_aside(records, failures, stop).await;
        log_each("record quarantined", records, &quarantined);
        log_each("record not written", records, &failed);
        self.count(&Batch {
            records: records.len(),
            bytes: records.iter().map(|record| record.kinesis.data.len()).sum(),
            written,
            superseded,
            quarantined: quarantined.len(),
            failed: failed.len(),
        });
        let mut response = KinesisEventResponse::default();
        for at in failed.into_keys() {
            response.add_failure(&records[at].kinesis.sequence_number);
        }
        response
    }

    /// What the records hold, in the records' order, and the failures of those that hold nothing.
    async fn read(
        &self,
        records: &[KinesisEventRecord],
        stop: Instant,
    ) -> (Vec<(usize, Entry)>, Failures) {
        let at_once = available_parallelism().map_or(1, Into::into);
        // Made before the first is awaited: with a closure of references in it, this could not be spawned.
        let reading: Vec<_> =
            records.iter().map(|record| self.read_in_time(record, stop).boxed()).collect();
        let mut read = stream::iter(reading).buffered(at_once).enumerate();
        let (mut entries, mut failures) = (Vec::new(), Failures::new());
        while let Some((at, result)) = read.next().await {
            match result {
                Ok(read) => entries.extend(read.into_iter().map(|entry| (at, entry))),
                Err(failure) => {
                    failures.insert(at, failure);
                }
            }
        }
        (entries, failures)
    }

    async fn read_in_time(
        &self,
        record: &KinesisEventRecord,
        stop: Instant,
    ) -> Result<Vec<Entry>, RecordFailure> {
        before(stop, self.read_one(record)).await.unwrap_or(Err(RecordFailure::OutOfTime))
    }

    async fn read_one(&self, record: &KinesisEventRecord) -> Result<Vec<Entry>, RecordFailure> {
        let stream = StreamName::from_arn(record.event_source_arn.as_deref().unwrap_or_default())?;
        let plaintext = self.cipher.decrypt(&stream, record.kinesis.data.to_vec()).await?;
        self.schema.entries(&plaintext)
    }

    /// Writes the best item of each key. Returns how many items were written and how many were
    /// superseded.
    async fn write(
        &self,
        entries: Vec<(usize, Entry)>,
        failures: &mut Failures,
        stop: Instant,
    ) -> (usize, usize) {
        let writer = Writer { table: self.table.as_ref(), schema: &self.schema, stop };
        let mut candidates = Candidates::of(entries);
        while let Some(items) = candidates.take_best() {
            candidates.settle(writer.write(items).await, failures);
        }
        (candidates.written(), candidates.superseded())
    }

    /// Stores the records that can never be written. Returns their failures, and those that are to
    /// be reported.
    async fn set_aside(
        &self,
        records: &[KinesisEventRecord],
        failures: Failures,
        stop: Instant,
    ) -> (Failures, Failures) {
        let Some(quarantine) = self.quarantine.as_deref() else {
            return (Failures::new(), failures);
        };
        let (permanent, mut reported): (Failures, Failures) =
            failures.into_iter().partition(|(_, failure)| failure.kind() == ErrorKind::Record);
        let store = &Store { quarantine, now: (self.now)(), stop };
        let mut stored = stream::iter(permanent)
            .map(|(at, failure)| async move { (at, store.store(&records[at], failure).await) })
            .buffer_unordered(STORES_AT_ONCE);
        let mut quarantined = Failures::new();
        while let Some((at, result)) = stored.next().await {
            match result {
                Ok(failure) => quarantined.insert(at, failure),
                Err(failure) => reported.insert(at, failure),
            };
        }
        (quarantined, reported)
    }

    fn count(&self, batch: &Batch) {
        self.counters.add(batch);
        let data_keys = self.cipher.stats().data_keys;
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

/// Says of every log of a batch which one it is. Of level `ERROR`, so that it does so at any level.
fn span(records: &[KinesisEventRecord]) -> Span {
    let event_id = records.first().and_then(|record| record.event_id.as_deref());
    let sequence_number =
        |record: Option<&KinesisEventRecord>| record.map(|r| r.kinesis.sequence_number.clone());
    tracing::error_span!(
        "batch",
        // Lambda makes an event of the records of one shard.
        shard = event_id.and_then(|id| id.split(':').next()),
        first_sequence_number = sequence_number(records.first()),
        last_sequence_number = sequence_number(records.last()),
        records = records.len(),
    )
}

fn log_each(what: &str, records: &[KinesisEventRecord], failures: &Failures) {
    for (&at, failure) in failures {
        tracing::warn!(
            event_id = records[at].event_id.as_deref().unwrap_or_default(),
            kind = ?failure.kind(),
            reason = %failure,
            "{what}"
        );
    }
}

/// The records in the order of their sequence numbers, which are decimal numbers of any length.
fn in_order(mut records: Vec<KinesisEventRecord>) -> Vec<KinesisEventRecord> {
    records.sort_by(|a, b| {
        let number = |record: &KinesisEventRecord| record.kinesis.sequence_number.len();
        (number(a), &a.kinesis.sequence_number).cmp(&(number(b), &b.kinesis.sequence_number))
    });
    records
}
