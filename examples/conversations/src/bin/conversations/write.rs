//! The commands that write.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, stdin};

use anyhow::{Context, bail};
use conversations::dataset::{messages, people};
use conversations::{DirectSender, Message, MessageClock, Sent};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;

use crate::args::{Output, SeedArgs, SendArgs, TableArgs, Target};
use crate::pipeline::push;
use crate::view;

/// Conversations that are written at the same time.
const GROUPS_AT_ONCE: usize = 16;

pub(crate) async fn load_schema(args: &TableArgs, output: Output) -> anyhow::Result<String> {
    let config = args.place.config().await;
    let schema = conversations::load_schema(&config, &args.table_name).await?;
    Ok(match output {
        Output::Json => view::json(&schema)?,
        Output::Human => view::schema(&schema),
    })
}

pub(crate) async fn drop(args: &TableArgs, output: Output) -> anyhow::Result<String> {
    let table = &args.table_name;
    conversations::drop_table(&args.place.config().await, table).await?;
    Ok(match output {
        Output::Json => view::json(&json!({ "dropped": table }))?,
        Output::Human => format!("Table {table} is deleted\n"),
    })
}

pub(crate) async fn seed(args: &SeedArgs, output: Output) -> anyhow::Result<String> {
    let messages = messages(args.messages.into());
    let groups: BTreeSet<_> = messages.iter().map(Message::group).collect();
    if args.target.direct {
        write_directly(&messages, &args.target).await?;
    } else {
        push(&messages, &args.target).await?;
    }
    Ok(match output {
        Output::Json => view::json(&json!({
            "messages": messages.len(),
            "conversations": groups.len(),
            "users": people(),
        }))?,
        Output::Human => view::seeded(messages.len(), groups.len(), &people()),
    })
}

/// The messages of a conversation one after the other. Those that are there already stay, so that
/// the data set can be written again.
async fn write_directly(messages: &[Message], target: &Target) -> anyhow::Result<()> {
    let sender = &direct_sender(target).await?;
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for message in messages {
        groups.entry(message.group()).or_default().push(message);
    }
    let written = stream::iter(groups.into_values()).map(|messages| async move {
        for message in messages {
            sender.send(message).await?;
        }
        anyhow::Ok(())
    });
    written.buffer_unordered(GROUPS_AT_ONCE).try_collect().await
}

pub(crate) async fn send(args: &SendArgs, output: Output) -> anyhow::Result<String> {
    let (sender, recipient) = (args.from.0.clone(), args.to.0.clone());
    let created_at =
        MessageClock::default().stamp(sender.id(), recipient.id(), args.after.as_ref());
    let message = Message::new(sender, recipient, created_at, text(args)?)?;
    if !args.target.direct {
        push(std::slice::from_ref(&message), &args.target).await?;
    } else if direct_sender(&args.target).await?.send(&message).await? == Sent::Exists {
        bail!("the conversation has a message of the same time; send it again");
    }
    Ok(match output {
        Output::Json => view::json(&json!({
            "message_group_uuid": message.group(),
            "created_at": message.created_at(),
        }))?,
        Output::Human => view::sent(&message),
    })
}

fn text(args: &SendArgs) -> anyhow::Result<String> {
    if let Some(text) = &args.text {
        return Ok(text.clone());
    }
    let mut text = String::new();
    stdin().read_to_string(&mut text).context("the text cannot be read from standard input")?;
    Ok(text.trim_end().to_owned())
}

async fn direct_sender(target: &Target) -> anyhow::Result<DirectSender> {
    Ok(DirectSender::new(&target.place.config().await, &target.table_name))
}
