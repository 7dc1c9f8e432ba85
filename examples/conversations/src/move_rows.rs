//! Moves a group's rows to a newer message.

use std::time::Duration;

use aws_outcome::Pauses;
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout_at};

use crate::conversation::Conversation;
use crate::created_at::CreatedAt;
use crate::keys::{HEAD, of_head};
use crate::message::Message;
use crate::table::{Table, TableError, Transacted, Write, to_item};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// The outcome of moving rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum MoveOutcome {
    /// The group's rows show the message.
    Moved { units: f64 },
    /// They already show one that is as new or newer.
    UpToDate,
    /// The transaction included the message, and one with its key exists.
    Exists,
}

/// Moves the rows of a message's group to it, unless they show a newer one.
///
/// The group's head has the sort key of its rows. Every move replaces the head in the same
/// transaction, on the condition that it is still the head that was read. So the rows always have
/// the head's key, however many processes move them at the same time, and none is lost or doubled
/// if one of them stops.
///
/// With `with_message` the transaction writes the message as well. Gives up at `stop`.
pub(crate) async fn move_rows(
    table: &dyn Table,
    message: &Message,
    with_message: bool,
    stop: Instant,
) -> Result<MoveOutcome, TableError> {
    let mut pauses = Pauses::new(FIRST_PAUSE, MAX_PAUSE);
    loop {
        let attempt = timeout_at(stop, attempt(table, message, with_message)).await;
        let error = match attempt.unwrap_or_else(|_| Err(out_of_time())) {
            Ok(Some(outcome)) => return Ok(outcome),
            // Another process moved the rows, so read the head again. That may happen once for each
            // message in the meantime; the time limit holds all the same.
            Ok(None) => continue,
            Err(error) => error,
        };
        let left = stop.saturating_duration_since(Instant::now());
        match pauses.next_within(left) {
            Some(pause) if matches!(error, TableError::Unavailable(_)) => sleep(pause).await,
            _ => return Err(error),
        }
    }
}

/// Returns `None` if another process moved the rows between reading and writing.
async fn attempt(
    table: &dyn Table,
    message: &Message,
    with_message: bool,
) -> Result<Option<MoveOutcome>, TableError> {
    let head = table.head(message.group()).await?;
    if head.as_ref().is_some_and(|head| head >= message.created_at()) {
        return Ok(Some(MoveOutcome::UpToDate));
    }
    let with_message = with_message.then(|| Write::Message(message.item()));
    let writes = with_message.into_iter().chain(moves(head.as_ref(), message)).collect();
    Ok(match table.transact(writes).await? {
        Transacted::Done { units } => Some(MoveOutcome::Moved { units }),
        Transacted::Exists => Some(MoveOutcome::Exists),
        Transacted::Overtaken => None,
    })
}

/// The writes that move the rows away from the head's key. Without a head they create the rows.
fn moves(head: Option<&CreatedAt>, message: &Message) -> Vec<Write> {
    let users = [message.sender().id(), message.recipient().id()];
    let rows = |last: &CreatedAt| users.map(|user| Conversation::key(user, last));
    let deleted = head.map(rows).into_iter().flatten().map(Write::DeleteRow);
    let put = Conversation::rows(message).map(Write::PutRow);
    let new_head =
        Head { pk: of_head(message.group()), sk: HEAD, last_message_at: message.created_at() };
    let new_head = Write::Head { item: to_item(&new_head), replaces: head.cloned() };
    [new_head].into_iter().chain(deleted).chain(put).collect()
}

#[derive(Serialize)]
struct Head<'a> {
    pk: String,
    sk: &'static str,
    last_message_at: &'a CreatedAt,
}

fn out_of_time() -> TableError {
    TableError::Unavailable("the time limit was reached".to_owned())
}
