//! Sending without the pipeline.

use std::time::Duration;

use aws_config::SdkConfig;
use tokio::time::Instant;

use crate::advance::{Advanced, advance};
use crate::dynamodb::DynamoDb;
use crate::message::Message;
use crate::table::{Table, TableError, Transacted, Write};

/// For one message, with all tries.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Writes messages to the table of one Region, each with its group's rows in one transaction.
///
/// The first message of a conversation makes both rows. There is never the one without the other,
/// which the pipeline, where the rows follow the message, does not promise.
#[derive(Debug)]
pub struct DirectSender {
    table: Box<dyn Table>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sent {
    /// It is written, and both rows show it.
    Newest {
        /// The write units that the transaction took.
        units: f64,
    },
    /// It is written. The rows show a newer one.
    Older,
    /// There was a message of its group and time already, and nothing is written.
    Exists,
}

/// Why a message was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message is not sent: {0}")]
pub struct NotSent(#[from] TableError);

impl DirectSender {
    /// A sender to a table in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str) -> Self {
        Self::with_table(Box::new(DynamoDb::new(config, table)))
    }

    /// A sender to this table.
    #[must_use]
    pub fn with_table(table: Box<dyn Table>) -> Self {
        Self { table }
    }

    /// Writes a message, and its group's rows unless they show a newer one.
    ///
    /// # Errors
    /// DynamoDB refused it, or has not taken it for 30 seconds. It may be written all the same if
    /// DynamoDB's answer was lost; another try then finds that it exists.
    pub async fn send(&self, message: &Message) -> Result<Sent, NotSent> {
        let stop = Instant::now() + TIME_LIMIT;
        Ok(match advance(self.table.as_ref(), message, true, stop).await? {
            Advanced::Moved { units } => Sent::Newest { units },
            Advanced::Exists => Sent::Exists,
            Advanced::Behind => {
                match self.table.transact(vec![Write::Message(message.item())]).await? {
                    Transacted::Exists => Sent::Exists,
                    Transacted::Done { .. } | Transacted::Overtaken => Sent::Older,
                }
            }
        })
    }
}
