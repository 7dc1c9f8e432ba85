//! Moving a group's rows to a newer message.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use serde::Serialize;
use tokio::time::{Instant, sleep, timeout_at};

use crate::conversation::Conversation;
use crate::created_at::CreatedAt;
use crate::keys::{HEAD, of_head};
use crate::message::Message;
use crate::table::{Table, TableError, Transacted, Write, to_item};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Advanced {
    /// The group's rows show it.
    Moved { units: f64 },
    /// They show one that is as new or newer already.
    Behind,
    /// The transaction held the message too, and there is one of its key.
    Exists,
}

/// Moves the rows of a message's group to it, unless they show a newer one.
///
/// The group's head says which sort key its rows have. Whoever moves them replaces the head in the
/// same transaction, on the condition that it still says what was read. So the rows always have the
/// key that the head says, however many work on a group at the same time, and none is lost or
/// doubled wherever one of them stops.
///
/// With `with_message` the transaction writes the message as well.
pub(crate) async fn advance(
    table: &dyn Table,
    message: &Message,
    with_message: bool,
    stop: Instant,
) -> Result<Advanced, TableError> {
    let mut pauses = Pauses::until(stop);
    loop {
        let tried = timeout_at(stop, try_once(table, message, with_message)).await;
        match tried.unwrap_or_else(|_| Err(out_of_time())) {
            Ok(Some(advanced)) => return Ok(advanced),
            // Somebody else has moved the rows, so read again. That may happen as often as there are
            // messages in the meantime; the time limit holds all the same.
            Ok(None) => {}
            Err(TableError::Unavailable(_)) if pauses.pause().await => {}
            Err(error) => return Err(error),
        }
    }
}

/// None if another came between reading and writing.
async fn try_once(
    table: &dyn Table,
    message: &Message,
    with_message: bool,
) -> Result<Option<Advanced>, TableError> {
    let head = table.head(message.group()).await?;
    if head.as_ref().is_some_and(|head| head >= message.created_at()) {
        return Ok(Some(Advanced::Behind));
    }
    let with_message = with_message.then(|| Write::Message(message.item()));
    let writes = with_message.into_iter().chain(moves(head.as_ref(), message)).collect();
    Ok(match table.transact(writes).await? {
        Transacted::Done { units } => Some(Advanced::Moved { units }),
        Transacted::Exists => Some(Advanced::Exists),
        Transacted::Overtaken => None,
    })
}

/// What moves the rows from where the head says they are. Without a head it makes them.
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
    TableError::Unavailable("the time for it ended".to_owned())
}

/// The pauses between the tries of a call.
struct Pauses {
    delays: ExponentialBackoff,
    stop: Instant,
}

impl Pauses {
    fn until(stop: Instant) -> Self {
        // Without end: the time limit ends the tries.
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(2))
            .without_max_times()
            .with_jitter()
            .build();
        Self { delays, stop }
    }

    /// Waits for the next try. False, at once, if there is no time for one.
    async fn pause(&mut self) -> bool {
        let delay = self.delays.next().unwrap_or_default();
        let in_time = Instant::now() + delay < self.stop;
        if in_time {
            sleep(delay).await;
        }
        in_time
    }
}
