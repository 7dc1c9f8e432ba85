//! The work of the function `conversation-updater`.

use aws_config::SdkConfig;
use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures::stream::{self, StreamExt};
use lambda_runtime::tracing;
use tokio::time::Instant;

use crate::dynamodb::DynamoDb;
use crate::event::Newest;
use crate::move_rows::{MoveOutcome, move_rows};
use crate::table::{Table, TableError};

/// Groups whose rows are moved at the same time.
const GROUPS_AT_ONCE: usize = 16;

/// Keeps the last message of each conversation on top of its participants' lists.
#[derive(Debug)]
pub struct Updater {
    table: Box<dyn Table>,
}

impl Updater {
    /// Creates an updater of a table in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str) -> Self {
        Self::with_table(Box::new(DynamoDb::new(config, table)))
    }

    /// Creates an updater of this table.
    #[must_use]
    pub fn with_table(table: Box<dyn Table>) -> Self {
        Self { table }
    }

    /// Handles an event as [`Self::update`] does, logs the outcome, and returns it in Lambda's form.
    pub async fn handle(&self, event: Event, stop: Instant) -> DynamoDbEventResponse {
        let updated = self.update(&event, stop).await;
        tracing::info!(
            records = event.records.len(),
            groups = updated.groups,
            moved = updated.moved,
            write_units = updated.write_units,
            failed = updated.failed.len(),
            no_messages = updated.no_messages,
            "batch done"
        );
        let mut response = DynamoDbEventResponse::default();
        response.batch_item_failures = updated.failed.into_iter().map(item_failure).collect();
        response
    }

    /// Moves the rows of each group with a new message to the newest of them: one move for a group,
    /// however many messages of it the event has.
    ///
    /// Messages whose rows could not be moved by `stop` have failed. Lambda retries from the lowest
    /// one, which is enough: older messages of the group do not change its rows. An item that is not
    /// a message has not failed, because a retry would not help; the log names its event, and the
    /// item stays in the table.
    pub async fn update(&self, event: &Event, stop: Instant) -> Updated {
        let newest = Newest::of(&event.records);
        for record in &newest.no_messages {
            tracing::error!(event_id = record.event_id, "item is not a message");
        }
        let mut updated = Updated {
            groups: newest.groups.len(),
            no_messages: newest.no_messages.len(),
            ..Updated::default()
        };
        let mut outcomes = stream::iter(newest.groups.into_values())
            .map(|(record, message)| async move {
                (record, move_rows(self.table.as_ref(), &message, false, stop).await)
            })
            .buffer_unordered(GROUPS_AT_ONCE);
        while let Some((record, result)) = outcomes.next().await {
            updated.add(record, result);
        }
        updated
    }
}

/// The outcome of an event.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Updated {
    /// Groups with messages in the event.
    pub groups: usize,
    /// Groups whose rows were moved.
    pub moved: usize,
    /// Write capacity units consumed.
    pub write_units: f64,
    /// Sequence numbers of the messages whose rows could not be moved, one for each group.
    pub failed: Vec<Option<String>>,
    /// Items in the messages' partitions that are not messages.
    pub no_messages: usize,
}

impl Updated {
    fn add(&mut self, record: &EventRecord, result: Result<MoveOutcome, TableError>) {
        match result {
            Ok(MoveOutcome::Moved { units }) => {
                self.moved += 1;
                self.write_units += units;
            }
            Ok(MoveOutcome::UpToDate | MoveOutcome::Exists) => {}
            Err(error) => {
                tracing::warn!(event_id = record.event_id, reason = %error, "rows not moved");
                self.failed.push(record.change.sequence_number.clone());
            }
        }
    }
}

/// Lambda's events always have sequence numbers. Without one, Lambda retries the whole batch.
fn item_failure(sequence_number: Option<String>) -> DynamoDbBatchItemFailure {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = sequence_number;
    failure
}
