//! The questions that the table answers.

use aws_config::SdkConfig;
use aws_outcome::Failure;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use serde::de::DeserializeOwned;

use crate::conversation::Conversation;
use crate::created_at::CreatedAt;
use crate::cursor::{Cursor, InvalidCursor};
use crate::dynamodb::failure;
use crate::group::GroupId;
use crate::keys::{self, MESSAGE_GROUP, MESSAGE_GROUP_INDEX, PARTITION_KEY, SORT_KEY};
use crate::message::Message;
use crate::table::Item;
use crate::user::{User, UserId};

/// Most queries for the participants of a group.
const PARTICIPANT_QUERIES: usize = 8;

/// Reads the table of one Region, by Query alone.
#[derive(Debug, Clone)]
pub struct Reader {
    client: Client,
    table: String,
}

/// Which part of a list to read.
#[derive(Debug, Clone)]
pub struct Paging {
    /// The most items of a page, from 1.
    pub limit: u16,
    /// Where it begins.
    pub start: Start,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the newest item.
    Newest,
    /// With the newest one that is older than this.
    Before(CreatedAt),
    /// After the end of another page.
    At(Cursor),
}

/// A part of a list, newest first.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the list goes on, if it does.
    pub next: Option<Cursor>,
    /// The read units that the query took.
    pub read_units: f64,
    /// Items whose content does not match their key, and that were skipped.
    pub skipped: Vec<SkippedItem>,
}

/// An item whose content does not match its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedItem {
    /// The item's partition key.
    pub partition: String,
    /// The item's sort key.
    pub sort_key: String,
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The cursor is another list's.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The query failed.
    #[error("table {table} cannot be queried: {failure}")]
    Query {
        /// The table.
        table: String,
        /// Why the query failed.
        failure: Failure,
    },
}

impl Reader {
    /// A reader of a table in the Region of `config`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: &str) -> Self {
        Self { client: Client::new(config), table: table.to_owned() }
    }

    /// The messages of a group, newest first.
    ///
    /// # Errors
    /// [`ReadError`] says what kept them from being read.
    pub async fn messages(
        &self,
        group: GroupId,
        paging: &Paging,
    ) -> Result<Page<Message>, ReadError> {
        self.page(&keys::of_messages(group), paging, Message::created_at).await
    }

    /// The conversations of a user, by last activity, newest first.
    ///
    /// # Errors
    /// [`ReadError`] says what kept them from being read.
    pub async fn conversations(
        &self,
        user: UserId,
        paging: &Paging,
    ) -> Result<Page<Conversation>, ReadError> {
        self.page(&keys::of_conversations(user), paging, Conversation::last_message_at).await
    }

    /// The participants of a group, by the index, which is a moment behind the table. None if the
    /// group has no message yet.
    ///
    /// # Errors
    /// [`ReadError`] says what kept them from being read.
    pub async fn participants(&self, group: GroupId) -> Result<Vec<User>, ReadError> {
        let request = self
            .query(MESSAGE_GROUP, &group.to_string())
            .index_name(MESSAGE_GROUP_INDEX)
            .scan_index_forward(false)
            // While rows move, the index may have the new ones and the old ones.
            .limit(4);
        let mut rows = Rows::<User>::new(group.to_string());
        for _ in 0..PARTICIPANT_QUERIES {
            let goes_on = rows.add(&self.send(&request, &rows).await?);
            // Two people take part, and a row that is not one hides neither.
            if !goes_on || rows.items.iter().any(|user| user.id() != rows.items[0].id()) {
                break;
            }
        }
        let mut participants = Vec::<User>::new();
        for user in rows.items {
            if participants.iter().all(|known| known.id() != user.id()) {
                participants.push(user);
            }
        }
        Ok(participants)
    }

    async fn page<T: DeserializeOwned>(
        &self,
        partition: &str,
        paging: &Paging,
        key: fn(&T) -> &CreatedAt,
    ) -> Result<Page<T>, ReadError> {
        let before = match &paging.start {
            Start::Newest => None,
            Start::Before(time) => Some(time),
            Start::At(cursor) => Some(cursor.last_of(partition)?),
        };
        let request = self
            .query_before(partition, before)
            .scan_index_forward(false)
            // One more shows whether there is a next page.
            .limit(i32::from(paging.limit) + 1);
        let limit = usize::from(paging.limit);
        let mut rows = Rows::new(partition.to_owned());
        // A query also ends at 1 MB, and some of its items may have been passed over.
        while rows.add(&self.send(&request, &rows).await?) && rows.items.len() <= limit {}
        let goes_on = rows.items.len() > limit;
        rows.items.truncate(limit);
        let next = rows.items.last().filter(|_| goes_on);
        let next = next.map(|item| Cursor::new(partition, key(item)));
        let Rows { items, skipped, read_units, .. } = rows;
        Ok(Page { items, next, read_units, skipped })
    }

    async fn send<T>(
        &self,
        request: &QueryFluentBuilder,
        rows: &Rows<T>,
    ) -> Result<QueryOutput, ReadError> {
        let request = request.clone().set_exclusive_start_key(rows.last.clone());
        request.send().await.map_err(|error| self.failed(failure(&error)))
    }

    fn query_before(&self, partition: &str, before: Option<&CreatedAt>) -> QueryFluentBuilder {
        let request = self.query(PARTITION_KEY, partition);
        let Some(before) = before else { return request };
        request
            .key_condition_expression("#key = :key AND #time < :before")
            .expression_attribute_names("#time", SORT_KEY)
            .expression_attribute_values(":before", AttributeValue::S(before.to_string()))
    }

    fn query(&self, key: &str, value: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#key = :key")
            .expression_attribute_names("#key", key)
            .expression_attribute_values(":key", AttributeValue::S(value.to_owned()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
    }

    fn failed(&self, failure: Failure) -> ReadError {
        ReadError::Query { table: self.table.clone(), failure }
    }
}

/// What the queries of a partition have found so far.
struct Rows<T> {
    partition: String,
    items: Vec<T>,
    skipped: Vec<SkippedItem>,
    read_units: f64,
    last: Option<Item>,
}

impl<T: DeserializeOwned> Rows<T> {
    fn new(partition: String) -> Self {
        Self { partition, items: Vec::new(), skipped: Vec::new(), read_units: 0.0, last: None }
    }

    /// Adds a query's items, and returns whether there are more. One that is not what its key says
    /// hides no other.
    fn add(&mut self, output: &QueryOutput) -> bool {
        for item in output.items() {
            // The error may quote the item, so it is not used.
            match serde_dynamo::from_item(item.clone()) {
                Ok(read) => self.items.push(read),
                Err(_) => self.skipped.push(self.skip(item)),
            }
        }
        let capacity = output.consumed_capacity().and_then(ConsumedCapacity::capacity_units);
        self.read_units += capacity.unwrap_or_default();
        self.last = output.last_evaluated_key.clone();
        self.last.is_some()
    }

    fn skip(&self, item: &Item) -> SkippedItem {
        let sort_key = item.get(SORT_KEY).and_then(|value| value.as_s().ok()).cloned();
        SkippedItem { partition: self.partition.clone(), sort_key: sort_key.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(sort_key: &str, name: &str) -> Item {
        let attributes = [
            (SORT_KEY, sort_key),
            ("user_uuid", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
            ("user_display_name", name),
            ("user_handle", "ada"),
        ];
        let attribute =
            |(name, text): (&str, &str)| (name.to_owned(), AttributeValue::S(text.into()));
        attributes.map(attribute).into()
    }

    #[test]
    fn an_item_that_is_not_what_its_key_says_hides_no_other() {
        let mut rows = Rows::<User>::new("GRP#1".to_owned());
        let page = |items: Vec<Item>, last: Option<Item>| {
            QueryOutput::builder().set_items(Some(items)).set_last_evaluated_key(last).build()
        };
        let first = vec![item("3", "Ada"), item("2", ""), Item::new()];
        assert!(rows.add(&page(first, Some(item("2", "")))));
        assert_eq!(rows.last, Some(item("2", "")), "the next query goes on there");
        assert!(!rows.add(&page(vec![item("1", "Grace")], None)));
        let names: Vec<_> = rows.items.iter().map(User::display_name).collect();
        assert_eq!(names, ["Ada", "Grace"]);
        let skipped: Vec<_> = rows.skipped.iter().map(|item| item.sort_key.as_str()).collect();
        assert_eq!(skipped, ["2", ""]);
    }
}
