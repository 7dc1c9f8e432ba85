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

    /// Moves the rows of each group with a new message to the newest of them: one move for a group,
    /// however many messages of it the event has.
    ///
    /// Reported are the events of messages that could not be moved to, by sequence number. Lambda
    /// delivers again from the lowest one, which is enough: older messages of the group cannot
    /// change what its rows show. Nothing is reported of an item that is no message, because
    /// another try could not help; the log names its event, and the item stays in the table.
    pub async fn handle(&self, event: Event, deadline: Instant) -> DynamoDbEventResponse {
        let stop = deadline.checked_sub(RESERVE).unwrap_or(deadline);
        let newest = Newest::of(&event.records);
        for (record, reason) in &newest.unreadable {
            tracing::error!(event_id = record.event_id, reason, "no message");
        }
        let groups = newest.groups.len();
        let advanced: Vec<_> = stream::iter(newest.groups.into_values())
            .map(|(record, message)| async move {
                (record, advance(self.table.as_ref(), &message, false, stop).await)
            })
            .buffer_unordered(GROUPS_AT_ONCE)
            .collect()
            .await;
        let summary = Summary::of(&advanced);
        tracing::info!(
            records = event.records.len(),
            groups,
            moved = summary.moved,
            write_units = summary.units,
            failed = summary.failed.len(),
            no_messages = newest.unreadable.len(),
            "batch done"
        );
        let mut response = DynamoDbEventResponse::default();
        response.batch_item_failures = summary.failed;
        response
    }
}

#[derive(Default)]
struct Summary {
    moved: usize,
    units: f64,
    failed: Vec<DynamoDbBatchItemFailure>,
}

impl Summary {
    fn of(advanced: &[(&EventRecord, Result<Advanced, TableError>)]) -> Self {
        let mut summary = Self::default();
        for (record, result) in advanced {
            match result {
                Ok(Advanced::Moved { units }) => {
                    summary.moved += 1;
                    summary.units += units;
                }
                Ok(Advanced::Behind | Advanced::Exists) => {}
                Err(error) => summary.fail(record, error),
            }
        }
        summary
    }

    fn fail(&mut self, record: &EventRecord, error: &TableError) {
        tracing::warn!(event_id = record.event_id, reason = %error, "rows not moved");
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier.clone_from(&record.change.sequence_number);
        self.failed.push(failure);
    }
}
