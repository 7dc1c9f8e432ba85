//! Sending without the pipeline.

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::dynamodb::DynamoDb;
use crate::message::Message;
use crate::move_rows::{MoveOutcome, move_rows};
use crate::table::{Table, TableError, Transacted, Write};

/// Time limit of one message with all attempts.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Writes messages to the table of one Region, each with its group's rows in one transaction.
///
/// The first message of a conversation makes both rows. There is never the one without the other,
/// which the pipeline, where the rows follow the message, does not promise.
#[derive(Debug)]
pub struct DirectSender {
    table: Box<dyn Table>,
}

/// The outcome of sending a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sent {
    /// The message is written, and both rows show it.
    Newest {
        /// The write units that the transaction took.
        units: f64,
    },
    /// The message is written. The rows show a newer one.
    Older,
    /// A message of its group and time exists already, and nothing was written.
    Exists,
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message not sent: {0}")]
pub struct NotSent(#[from] TableError);

impl DirectSender {
    /// Creates a sender to a table in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str) -> Self {
        Self::with_table(Box::new(DynamoDb::new(config, table)))
    }

    /// Creates a sender to this table.
    #[must_use]
    pub fn with_table(table: Box<dyn Table>) -> Self {
        Self { table }
    }

    /// Writes a message, and its group's rows unless they show a newer one.
    ///
    /// # Errors
    /// DynamoDB rejected the message, or was unavailable for 30 s. If DynamoDB's answer was lost, the
    /// message may be written all the same; another attempt then finds that it exists.
    pub async fn send(&self, message: &Message) -> Result<Sent, NotSent> {
        let stop = Instant::now() + TIME_LIMIT;
        Ok(match move_rows(self.table.as_ref(), message, true, stop).await? {
            MoveOutcome::Moved { units } => Sent::Newest { units },
            MoveOutcome::Exists => Sent::Exists,
            MoveOutcome::UpToDate => {
                match self.table.transact(vec![Write::Message(message.item())]).await? {
                    Transacted::Exists => Sent::Exists,
                    Transacted::Done { .. } | Transacted::Overtaken => Sent::Older,
                }
            }
        })
    }
}
