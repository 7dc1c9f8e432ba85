//! A shard, and the events that are made of its records.

use std::ops::Range;
use std::time::Duration;

use aws_lambda_events::encodings::SecondTimestamp;
use aws_lambda_events::event::kinesis::{KinesisEvent, KinesisEventRecord};
use tokio::time::Instant;

use crate::report::{Condition, Discarded};
use crate::sequence_number::SequenceNumber;
use crate::settings::StartingPosition;

/// The most bytes of an event as JSON: the payload limit of a synchronous invocation, 6 MB ("How
/// Lambda processes records from stream and queue-based event sources").
const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024;

/// The event around the records.
const EMPTY_EVENT: &str = r#"{"Records":[]}"#;

/// The time of day at which a shard is made, in events: 1 January 2026, since the Unix epoch. It is
/// fixed, so that events do not depend on the day of the test.
const CREATED: Duration = Duration::from_secs(1_767_225_600);

/// One shard of a stream: its records, and how far a mapping has come.
///
/// Arrivals and ages are measured on Tokio's clock.
pub struct Shard {
    stream_arn: String,
    id: String,
    created: Instant,
    records: Vec<Record>,
    /// The first record that is not done. `None` before the shard is first read.
    checkpoint: Option<usize>,
}

struct Record {
    sequence_number: SequenceNumber,
    arrived: Instant,
    event: KinesisEventRecord,
    /// Bytes of the event's JSON.
    payload: usize,
}

/// A sequence number that a shard does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sequence number {given:?} is not a decimal number that is greater than the last one")]
pub struct InvalidSequenceNumber {
    given: String,
}

impl Shard {
    /// An empty shard of the stream, which has the id `shardId-` and the index in twelve digits.
    #[must_use]
    pub fn new(stream_arn: &str, index: u32) -> Self {
        Self {
            stream_arn: stream_arn.to_owned(),
            id: format!("shardId-{index:012}"),
            created: Instant::now(),
            records: Vec::new(),
            checkpoint: None,
        }
    }

    /// Adds a record that arrives now. Returns its sequence number, which is greater than that of
    /// the last record.
    pub fn push(&mut self, partition_key: &str, data: Vec<u8>) -> String {
        let last = self.records.last().map(|record| &record.sequence_number);
        let number = last.map_or_else(SequenceNumber::first, SequenceNumber::successor);
        let text = number.as_str().to_owned();
        self.append(number, partition_key, data);
        text
    }

    /// Adds a record that arrives now and has this sequence number.
    ///
    /// # Errors
    /// The sequence number is not a decimal number, or not greater than that of the last record.
    pub fn push_numbered(
        &mut self,
        sequence_number: &str,
        partition_key: &str,
        data: Vec<u8>,
    ) -> Result<(), InvalidSequenceNumber> {
        let last = self.records.last().map(|record| &record.sequence_number);
        let number = SequenceNumber::parse(sequence_number)
            .filter(|number| last.is_none_or(|last| number > last))
            .ok_or_else(|| InvalidSequenceNumber { given: sequence_number.to_owned() })?;
        self.append(number, partition_key, data);
        Ok(())
    }

    fn append(&mut self, sequence_number: SequenceNumber, partition_key: &str, data: Vec<u8>) {
        let arrived = Instant::now();
        let mut event = self.event_record(sequence_number.as_str(), arrived, partition_key);
        let without_data = serde_json::to_string(&event).expect("text is always JSON");
        let base64 = data.len().div_ceil(3) * 4;
        event.kinesis.data.0 = data;
        let payload = without_data.len() + base64;
        self.records.push(Record { sequence_number, arrived, event, payload });
    }

    /// The record as it is in an event, but without its data.
    fn event_record(
        &self,
        sequence_number: &str,
        arrived: Instant,
        partition_key: &str,
    ) -> KinesisEventRecord {
        let mut record = KinesisEventRecord::default();
        record.aws_region = self.stream_arn.split(':').nth(3).map(str::to_owned);
        record.event_id = Some(format!("{}:{sequence_number}", self.id));
        record.event_name = Some("aws:kinesis:record".to_owned());
        record.event_source = Some("aws:kinesis".to_owned());
        record.event_source_arn = Some(self.stream_arn.clone());
        record.event_version = Some("1.0".to_owned());
        record.invoke_identity_arn = Some("arn:aws:iam::123456789012:role/lambda-role".to_owned());
        let kinesis = &mut record.kinesis;
        *kinesis.approximate_arrival_timestamp += CREATED + (arrived - self.created);
        kinesis.kinesis_schema_version = Some("1.0".to_owned());
        kinesis.partition_key = partition_key.to_owned();
        kinesis.sequence_number = sequence_number.to_owned();
        record
    }

    /// The record to begin with: that of the checkpoint, which the first call sets.
    pub(crate) fn start(&mut self, position: StartingPosition) -> usize {
        let start = self.checkpoint.unwrap_or_else(|| self.find_position(position));
        self.checkpoint = Some(start);
        start
    }

    fn find_position(&self, position: StartingPosition) -> usize {
        match position {
            StartingPosition::TrimHorizon => 0,
            StartingPosition::Latest => self.records.len(),
            StartingPosition::AtTimestamp(time) => {
                self.records.partition_point(|record| record.arrived < time)
            }
        }
    }

    pub(crate) fn set_checkpoint(&mut self, checkpoint: usize) {
        self.checkpoint = Some(checkpoint);
    }

    /// As many records as go into one event. At least one, if there is one: a record that is too
    /// large for any event would never be done otherwise.
    pub(crate) fn batch(&self, start: usize, batch_size: usize) -> Range<usize> {
        let mut payload = EMPTY_EVENT.len();
        let fits = |record: &&Record| {
            payload += record.payload + ",".len();
            payload <= PAYLOAD_LIMIT
        };
        let records = &self.records[start..];
        let count = records.iter().take(batch_size).take_while(fits).count();
        start..start + count.max(1).min(records.len())
    }

    /// The first of the records that is not older than that, or their end.
    pub(crate) fn not_older_than(&self, maximum: Duration, records: Range<usize>) -> usize {
        let older = |record: &Record| record.arrived.elapsed() > maximum;
        records.start + self.records[records].partition_point(older)
    }

    /// The one of the records that has this sequence number.
    pub(crate) fn find(&self, sequence_number: &str, records: Range<usize>) -> Option<usize> {
        let number = SequenceNumber::parse(sequence_number)?;
        let start = records.start;
        let found =
            self.records[records].binary_search_by(|record| record.sequence_number.cmp(&number));
        found.ok().map(|at| start + at)
    }

    /// The event that the function gets.
    pub(crate) fn event(&self, records: Range<usize>) -> KinesisEvent {
        let mut event = KinesisEvent::default();
        event.records = self.records[records].iter().map(|record| record.event.clone()).collect();
        event
    }

    /// What the on-failure destination gets.
    pub(crate) fn discarded(
        &self,
        records: Range<usize>,
        condition: Condition,
        approximate_invoke_count: u32,
    ) -> Discarded {
        let (first, last) = (&self.records[records.start], &self.records[records.end - 1]);
        let arrival = |record: &Record| -> SecondTimestamp {
            record.event.kinesis.approximate_arrival_timestamp.clone()
        };
        Discarded {
            condition,
            approximate_invoke_count,
            shard_id: self.id.clone(),
            start_sequence_number: first.sequence_number.as_str().to_owned(),
            end_sequence_number: last.sequence_number.as_str().to_owned(),
            approximate_arrival_of_first_record: arrival(first),
            approximate_arrival_of_last_record: arrival(last),
            batch_size: records.len(),
            stream_arn: self.stream_arn.clone(),
            event: self.event(records),
        }
    }
}
