//! The commands that read.

use std::time::SystemTime;

use conversations::{Message, Page, Reader};
use serde_json::{Value, json};

use crate::args::{ListArgs, Output, ShowArgs};
use crate::view;

pub(crate) async fn list(args: &ListArgs, output: Output) -> anyhow::Result<String> {
    let reader = Reader::new(&args.table.place.config().await, &args.table.table_name);
    let page = reader.conversations(args.user.0, &args.page.paging()).await?;
    eprint!("{}", view::skipped(&page.skipped));
    #[expect(clippy::disallowed_methods, reason = "how long ago something was, for people to read")]
    let now = SystemTime::now();
    Ok(match output {
        Output::Json => view::json(&json!({
            "user_uuid": args.user.0,
            "conversations": page.items,
            "next": next(&page),
            "skipped": page.skipped.len(),
            "read_units": page.read_units,
        }))?,
        Output::Human => view::conversations(&page, now, &view::Screen::of_terminal()),
    })
}

pub(crate) async fn show(args: &ShowArgs, output: Output) -> anyhow::Result<String> {
    let reader = Reader::new(&args.table.place.config().await, &args.table.table_name);
    let paging = args.page.paging();
    let (participants, page) =
        tokio::try_join!(reader.participants(args.group), reader.messages(args.group, &paging))?;
    eprint!("{}", view::skipped(&page.skipped));
    Ok(match output {
        Output::Json => view::json(&json!({
            "message_group_uuid": args.group,
            "participants": participants,
            "messages": page.items.iter().map(of_message).collect::<Vec<_>>(),
            "next": next(&page),
            "skipped": page.skipped.len(),
            "read_units": page.read_units,
        }))?,
        Output::Human => view::messages(&participants, &page, &view::Screen::of_terminal()),
    })
}

fn next<T>(page: &Page<T>) -> Option<String> {
    page.next.as_ref().map(ToString::to_string)
}

fn of_message(message: &Message) -> Value {
    json!({
        "created_at": message.created_at(),
        "sender": message.sender(),
        "recipient": message.recipient(),
        "message": message.text(),
    })
}
