//! What each access pattern costs, in DynamoDB's capacity units, as a table in Markdown.
//!
//! ```sh
//! AWS_REGION=us-east-1 AWS_ENDPOINT_URL=http://127.0.0.1:4566 cargo run --example capacity
//! ```
//!
//! Makes a table of its own in the account, or local AWS, that the environment names, and deletes it
//! at the end. Writes are what DynamoDB reports. Reads are counted here, by its rule, because the
//! local AWS counts every query as one item:
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>

use std::collections::BTreeMap;
use std::io::{Write, stdout};

use anyhow::ensure;
use aws_config::SdkConfig;
use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, PutRequest, ReturnConsumedCapacity, WriteRequest,
};
use conversations::{
    DirectSender, Item, MESSAGE_GROUP_INDEX, Message, PARTITION_KEY, SORT_KEY, Sent, Updater,
    dataset, load_schema,
};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

const MESSAGES: usize = 600;
const PAGE: i32 = 20;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = aws_config::load_from_env().await;
    let name = format!("capacity-{}", Uuid::new_v4().simple());
    load_schema(&config, &name).await?;
    let bench = Bench { client: Client::new(&config), config, name };
    let table = bench.run().await;
    bench.client.delete_table().table_name(&bench.name).send().await?;
    Ok(stdout().write_all(table?.as_bytes())?)
}

struct Bench {
    client: Client,
    config: SdkConfig,
    name: String,
}

impl Bench {
    async fn run(&self) -> anyhow::Result<String> {
        let messages = dataset::messages(MESSAGES);
        let [piped, direct, naive] = busiest_groups(&messages);

        let put = self.put(piped[0]).await?;
        let first = self.moved(&piped[..1]).await?;
        let later = self.moved(&piped[1..2]).await?;
        let of_ten = self.moved(&piped[2..12]).await? / 10.0;
        let direct_first = self.send(direct[0]).await?;
        let direct_later = self.send(direct[1]).await?;
        self.send(naive[0]).await?;
        let naive = self.move_naively(naive[0], naive[1]).await?;
        for message in &messages {
            self.send(message).await?;
        }
        let shown = self.page(&format!("MSG#{}", piped[0].group())).await?;
        let listed = self.page(&format!("GRP#{}", dataset::people()[0].id())).await?;

        let rows = [
            row("A: a page of 20 messages", None, Some(shown)),
            row("B: a page of the 11 conversations of one user", None, Some(listed)),
            row("C: a message, written by record-consumer", Some(put), None),
            row("C with D: the first message, head and both rows", Some(put + first), Some(1.0)),
            row("C directly: the same in one transaction", Some(direct_first), Some(1.0)),
            row("D: rows moved to one message", Some(later), Some(1.0)),
            row("D: rows moved to ten messages in a batch, for each", Some(of_ten), Some(0.1)),
            row("D, naive: index queried, rows deleted, then put", Some(naive), Some(0.5)),
            row(
                "C directly, a later message: written with the move",
                Some(direct_later),
                Some(1.0),
            ),
        ];
        let head = "| what | write units | read units |\n| --- | ---: | ---: |\n";
        Ok(head.to_owned() + &rows.concat())
    }

    /// A message as record-consumer writes it.
    async fn put(&self, message: &Message) -> anyhow::Result<f64> {
        let put = PutRequest::builder().set_item(Some(serde_dynamo::to_item(message)?)).build()?;
        let request = self
            .client
            .batch_write_item()
            .request_items(&self.name, vec![WriteRequest::builder().put_request(put).build()])
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        Ok(units(request.send().await?.consumed_capacity()))
    }

    /// What the updater takes for a batch of these messages.
    async fn moved(&self, messages: &[&Message]) -> anyhow::Result<f64> {
        let mut event = Event::default();
        for message in messages {
            let mut record = EventRecord::default();
            record.change.new_image = serde_dynamo::to_item(message)?;
            record.change.keys = record.change.new_image.clone();
            event.records.push(record);
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        let updated = Updater::new(&self.config, &self.name).update(&event, deadline).await;
        ensure!(updated.moved == 1, "the rows did not move: {updated:?}");
        Ok(updated.write_units)
    }

    async fn send(&self, message: &Message) -> anyhow::Result<f64> {
        match DirectSender::new(&self.config, &self.name).send(message).await? {
            Sent::Newest { units } => Ok(units),
            Sent::Older | Sent::Exists => Ok(0.0),
        }
    }

    /// Moves the rows as it is often done: whoever looks in between sees no row, and a crash there
    /// loses it.
    async fn move_naively(&self, from: &Message, to: &Message) -> anyhow::Result<f64> {
        let rows = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(MESSAGE_GROUP_INDEX)
            .key_condition_expression("message_group_uuid = :group")
            .expression_attribute_values(":group", text(&from.group()))
            .send()
            .await?;
        ensure!(rows.count == 2, "the group has {} rows", rows.count);
        let mut total = 0.0;
        for indexed in rows.items() {
            let key = |name: &str| (name.to_owned(), indexed[name].clone());
            let key = Item::from([PARTITION_KEY, SORT_KEY].map(key));
            let mut row = indexed.clone();
            row.insert(SORT_KEY.to_owned(), text(to.created_at()));
            row.insert("message".to_owned(), text(to.text()));
            let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key));
            let deleted =
                delete.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await?;
            let put = self.client.put_item().table_name(&self.name).set_item(Some(row));
            let put = put.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await?;
            total += units(deleted.consumed_capacity.as_slice());
            total += units(put.consumed_capacity.as_slice());
        }
        Ok(total)
    }

    /// The read units of a page, eventually consistent: half a unit for each started 4 KB.
    async fn page(&self, partition: &str) -> anyhow::Result<f64> {
        let request = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(partition))
            .scan_index_forward(false)
            // The reader asks for one more, to see whether there is a next page.
            .limit(PAGE + 1);
        let size: usize = request.send().await?.items().iter().map(size).sum();
        let started = u32::try_from(size.div_ceil(4096))?;
        Ok(f64::from(started) / 2.0)
    }
}

/// The messages of the three groups that have the most.
fn busiest_groups(messages: &[Message]) -> [Vec<&Message>; 3] {
    let mut groups = BTreeMap::<_, Vec<_>>::new();
    for message in messages {
        groups.entry(message.group()).or_default().push(message);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|messages| std::cmp::Reverse(messages.len()));
    groups.truncate(3);
    groups.try_into().expect("the data set has more groups")
}

/// The size of an item as DynamoDB counts it: names and texts in UTF-8, a map three bytes more, and
/// each of its entries one.
fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of(value)).sum()
}

fn size_of(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::M(map) => 3 + map.len() + size(map),
        _ => unreachable!("items have texts and maps of texts"),
    }
}

fn text(value: &(impl ToString + ?Sized)) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn units(capacity: &[ConsumedCapacity]) -> f64 {
    capacity.iter().filter_map(|table| table.capacity_units).sum()
}

fn row(what: &str, write: Option<f64>, read: Option<f64>) -> String {
    let figure = |units: Option<f64>| units.map_or_else(String::new, |units| format!("{units:.1}"));
    format!("| {what} | {} | {} |\n", figure(write), figure(read))
}
