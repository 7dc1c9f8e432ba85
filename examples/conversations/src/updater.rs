//! The function's work.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures::stream::{self, StreamExt};
use lambda_runtime::tracing;
use tokio::time::Instant;

use crate::advance::{Advanced, advance};
use crate::dynamodb::DynamoDb;
use crate::event::Newest;
use crate::table::{Table, TableError};

/// Kept free at the end of an invocation to report what is not done.
const RESERVE: Duration = Duration::from_millis(500);
/// Groups that are worked on at the same time.
const GROUPS_AT_ONCE: usize = 16;

/// Keeps the last message of each conversation on top of its participants' lists.
#[derive(Debug)]
pub struct Updater {
    table: Box<dyn Table>,
}

impl Updater {
    /// An updater of a table in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str) -> Self {
        Self::with_table(Box::new(DynamoDb::new(config, table)))
    }

    /// An updater of this table.
    #[must_use]
    pub fn with_table(table: Box<dyn Table>) -> Self {
        Self { table }
    }

    /// Handles an event as [`Self::update`] does, and says it in the log and in Lambda's form.
    pub async fn handle(&self, event: Event, deadline: Instant) -> DynamoDbEventResponse {
        let updated = self.update(&event, deadline).await;
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
    /// Failed are the events of messages that could not be moved to. Lambda delivers again from the
    /// lowest one, which is enough: older messages of the group cannot change what its rows show. An
    /// item that is no message has not failed, because another try could not help; the log names
    /// its event, and the item stays in the table.
    pub async fn update(&self, event: &Event, deadline: Instant) -> Updated {
        let stop = deadline.checked_sub(RESERVE).unwrap_or(deadline);
        let newest = Newest::of(&event.records);
        for record in &newest.no_messages {
            tracing::error!(event_id = record.event_id, "the item is no message");
        }
        let mut updated = Updated {
            groups: newest.groups.len(),
            no_messages: newest.no_messages.len(),
            ..Updated::default()
        };
        let mut advanced = stream::iter(newest.groups.into_values())
            .map(|(record, message)| async move {
                (record, advance(self.table.as_ref(), &message, false, stop).await)
            })
            .buffer_unordered(GROUPS_AT_ONCE);
        while let Some((record, result)) = advanced.next().await {
            updated.add(record, result);
        }
        updated
    }
}

/// What became of an event.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Updated {
    /// Groups that the event has messages of.
    pub groups: usize,
    /// Groups whose rows were moved.
    pub moved: usize,
    /// The write units that it took.
    pub write_units: f64,
    /// Sequence numbers of the messages that rows could not be moved to, one for a group.
    pub failed: Vec<Option<String>>,
    /// Items in the messages' partitions that are none.
    pub no_messages: usize,
}

impl Updated {
    fn add(&mut self, record: &EventRecord, result: Result<Advanced, TableError>) {
        match result {
            Ok(Advanced::Moved { units }) => {
                self.moved += 1;
                self.write_units += units;
            }
            Ok(Advanced::Behind | Advanced::Exists) => {}
            Err(error) => {
                tracing::warn!(event_id = record.event_id, reason = %error, "rows not moved");
                self.failed.push(record.change.sequence_number.clone());
            }
        }
    }
}

/// Without a sequence number, which Lambda's events always have, the whole batch comes again.
fn item_failure(sequence_number: Option<String>) -> DynamoDbBatchItemFailure {
    let mut failure = DynamoDbBatchItemFailure::default();
    failure.item_identifier = sequence_number;
    failure
}
