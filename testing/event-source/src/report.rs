//! What became of the records.

use std::fmt;

use aws_lambda_events::encodings::SecondTimestamp;
use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_lambda_events::event::streams::KinesisEventResponse;

/// What a function makes of an event. `None` is a null response.
pub type InvocationResult = Result<Option<KinesisEventResponse>, FunctionError>;

/// The function was invoked and failed: it returned an error, crashed or ran out of time.
///
/// A mapping does the same in all three cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the function failed")]
pub struct FunctionError;

/// What a call of [`drain`](crate::EventSourceMapping::drain) did.
#[derive(Debug, Default)]
pub struct Report {
    /// How often the function was invoked.
    pub invocations: usize,
    /// The number of records that were delivered with success. Together with those of `discarded`
    /// they are all the records that were read.
    pub delivered: usize,
    /// What went to the on-failure destination, in order.
    pub discarded: Vec<Discarded>,
}

/// What an on-failure destination gets of a batch: the fields have the names of Lambda's document.
///
/// A queue or a topic gets everything but the event, a bucket gets the event too ("Retain discarded
/// batch records for a Kinesis Data Streams event source in Lambda").
pub struct Discarded {
    /// Why the records were given up.
    pub condition: Condition,
    /// How often these records were delivered as one batch or as the end of one. 0 if they were too
    /// old before their first delivery.
    pub approximate_invoke_count: u32,
    /// `shardId-` and twelve digits.
    pub shard_id: String,
    /// Of the first record.
    pub start_sequence_number: String,
    /// Of the last record.
    pub end_sequence_number: String,
    /// When the first record arrived.
    pub approximate_arrival_of_first_record: SecondTimestamp,
    /// When the last record arrived.
    pub approximate_arrival_of_last_record: SecondTimestamp,
    /// The number of records.
    pub batch_size: usize,
    /// The stream that the shard is of.
    pub stream_arn: String,
    /// The records (`payload`).
    pub event: KinesisEvent,
}

/// Why records were discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The function failed after the last retry that the mapping allows.
    RetryAttemptsExhausted,
    /// The records were older than the mapping allows.
    RecordAgeExceeded,
}

/// Leaves the event out: it has the content of records.
impl fmt::Debug for Discarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discarded")
            .field("condition", &self.condition)
            .field("approximate_invoke_count", &self.approximate_invoke_count)
            .field("shard_id", &self.shard_id)
            .field("start_sequence_number", &self.start_sequence_number)
            .field("end_sequence_number", &self.end_sequence_number)
            .field("batch_size", &self.batch_size)
            .field("stream_arn", &self.stream_arn)
            .finish_non_exhaustive()
    }
}
