//! What sender and updater promise on every table. `tools/tests/test_peer_dynamodb.py` runs this on
//! DynamoDB Local; by default the table is in memory.

use std::env;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::Client;
use conversations::{DirectSender, Item, Message, Sent, Updater};
use futures::future::join_all;

use crate::fixture::{deadline, event, message, shown, sorted};
use crate::table::{MemoryTable, text};

/// Names a table of the schema that `conversations load-schema` makes. It must be empty.
const TABLE_VARIABLE: &str = "CONVERSATIONS_TEST_TABLE";

/// A table, and the conversations of one test in it.
enum TableUnderTest {
    Memory(MemoryTable),
    DynamoDb(Box<SdkConfig>, String),
}

impl TableUnderTest {
    async fn new() -> Self {
        match env::var(TABLE_VARIABLE) {
            Ok(table) => Self::DynamoDb(Box::new(aws_config::load_from_env().await), table),
            Err(_) => Self::Memory(MemoryTable::default()),
        }
    }

    fn sender(&self) -> DirectSender {
        match self {
            Self::Memory(table) => DirectSender::with_table(Box::new(table.clone())),
            Self::DynamoDb(config, table) => DirectSender::new(config, table),
        }
    }

    fn updater(&self) -> Updater {
        match self {
            Self::Memory(table) => Updater::with_table(Box::new(table.clone())),
            Self::DynamoDb(config, table) => Updater::new(config, table),
        }
    }

    async fn send(&self, message: &Message) -> Sent {
        self.sender().send(message).await.unwrap()
    }

    /// Handles the arrival of messages, all of them without failure.
    async fn update<'a>(&self, messages: impl IntoIterator<Item = &'a Message>) {
        let response = self.updater().handle(event(messages), deadline()).await;
        assert!(response.batch_item_failures.is_empty());
    }

    /// Checks that head and rows of a message's group show this message.
    async fn assert_shows(&self, message: &Message) {
        let group = message.group().to_string();
        let is_of_group = |item: &Item| match text(item, "pk") {
            key if key.starts_with("GRP#") => text(item, "message_group_uuid") == group,
            key => key == format!("HEAD#{group}"),
        };
        let items = self.items().await.into_iter().filter(is_of_group).collect();
        assert_eq!(sorted(items), sorted(shown(message)));
    }

    /// Returns the number of messages in a group.
    async fn messages(&self, group: &Message) -> usize {
        let key = format!("MSG#{}", group.group());
        self.items().await.iter().filter(|item| text(item, "pk") == key).count()
    }

    async fn items(&self) -> Vec<Item> {
        match self {
            Self::Memory(table) => table.items(),
            Self::DynamoDb(config, table) => {
                let scan = Client::new(config).scan().table_name(table).consistent_read(true);
                let items = scan.into_paginator().items().send().collect::<Result<_, _>>().await;
                items.unwrap()
            }
        }
    }
}

#[tokio::test]
async fn a_message_is_written_once_and_rows_show_the_newest() {
    let table = TableUnderTest::new().await;
    let [old, first, new] = [1, 2, 3].map(|micros| message(0, micros % 2 == 0, micros, 0));
    assert!(matches!(table.send(&first).await, Sent::Newest { .. }));
    table.assert_shows(&first).await;
    assert_eq!(table.send(&first).await, Sent::Exists);
    assert_eq!(table.send(&old).await, Sent::Older);
    table.assert_shows(&first).await;
    assert!(matches!(table.send(&new).await, Sent::Newest { .. }));
    table.assert_shows(&new).await;
    assert_eq!(table.messages(&new).await, 3);
}

#[tokio::test]
async fn senders_at_the_same_time_leave_one_pair_of_rows() {
    let table = TableUnderTest::new().await;
    let messages: Vec<_> = (0..12).map(|micros| message(1, micros % 2 == 0, micros, 0)).collect();
    join_all(messages.iter().map(|message| table.send(message))).await;
    table.assert_shows(&messages[11]).await;
    assert_eq!(table.messages(&messages[0]).await, messages.len());
}

#[tokio::test]
async fn updates_in_any_order_and_at_the_same_time_show_the_newest() {
    let table = TableUnderTest::new().await;
    let messages: Vec<_> = (0..12).map(|micros| message(2, micros % 2 == 0, micros, 0)).collect();
    let batches = messages.chunks(3).rev();
    join_all(batches.map(|batch| table.update(batch))).await;
    table.assert_shows(&messages[11]).await;
    table.update(&messages).await;
    table.assert_shows(&messages[11]).await;
}
