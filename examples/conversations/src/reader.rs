//! The questions that the table answers.

use aws_config::SdkConfig;
use aws_outcome::Failure;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
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
    /// An item is not what its key says.
    #[error("table {table} has an item at {sort_key} in {partition} that is not what its key says")]
    Item {
        /// The table.
        table: String,
        /// The item's partition key.
        partition: String,
        /// The item's sort key.
        sort_key: String,
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
        let output = request.send().await.map_err(|error| self.failed(failure(&error)))?;
        let partition = group.to_string();
        let mut participants = Vec::<User>::new();
        for item in output.items() {
            let user: User = self.read(&partition, item)?;
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
        let output = request.send().await.map_err(|error| self.failed(failure(&error)))?;
        let read = output.items().iter().map(|item| self.read(partition, item));
        let mut items = read.collect::<Result<Vec<T>, _>>()?;
        // A query also ends at 1 MB.
        let goes_on =
            items.len() > usize::from(paging.limit) || output.last_evaluated_key.is_some();
        items.truncate(usize::from(paging.limit));
        let next = items.last().filter(|_| goes_on).map(|item| Cursor::new(partition, key(item)));
        let capacity = output.consumed_capacity.and_then(|capacity| capacity.capacity_units);
        Ok(Page { items, next, read_units: capacity.unwrap_or_default() })
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

    fn read<T: DeserializeOwned>(&self, partition: &str, item: &Item) -> Result<T, ReadError> {
        let text = |value: &AttributeValue| value.as_s().ok().cloned();
        // The error may quote the item, so it is not used.
        serde_dynamo::from_item(item.clone()).map_err(|_| ReadError::Item {
            table: self.table.clone(),
            partition: partition.to_owned(),
            sort_key: item.get(SORT_KEY).and_then(text).unwrap_or_default(),
        })
    }

    fn failed(&self, failure: Failure) -> ReadError {
        ReadError::Query { table: self.table.clone(), failure }
    }
}
