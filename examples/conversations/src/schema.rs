//! Bringing a table to the schema.

use std::error::Error;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_outcome::Failure;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
    GlobalSecondaryIndexUpdate, IndexStatus, KeySchemaElement, KeyType, Projection, ProjectionType,
    ScalarAttributeType, StreamSpecification, StreamViewType, TableDescription, TableStatus,
};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::dynamodb::failure;
use crate::keys::{INDEXED, MESSAGE_GROUP, MESSAGE_GROUP_INDEX, PARTITION_KEY, SORT_KEY};

/// A table that has the schema, and what had to be done for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schema {
    /// The table's name.
    pub table: String,
    /// What was not there and was made: the table, its index, its stream.
    pub made: Vec<&'static str>,
    /// The ARN of the table's stream, for the updater's event source mapping.
    pub stream_arn: String,
}

/// Why a table does not have the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A call failed.
    #[error("table {table}: {call} failed: {failure}")]
    Call {
        /// The table.
        table: String,
        /// The operation.
        call: &'static str,
        /// Why the call failed.
        failure: Failure,
    },
    /// There is no such table.
    #[error("table {table} does not exist; conversations load-schema makes it")]
    Missing {
        /// The table.
        table: String,
    },
    /// The table has other keys, which cannot be changed.
    #[error("table {table} has other keys than the texts pk and sk; give it another name")]
    Keys {
        /// The table.
        table: String,
    },
    /// The table's stream has no new images, which cannot be changed while it is on.
    #[error("the stream of table {table} has no new images; turn it off first")]
    Stream {
        /// The table.
        table: String,
    },
    /// The table, its index or its stream was not ready in time.
    #[error("table {table} is not ready after {} minutes; run this again later", PATIENCE.as_secs() / 60)]
    NotReady {
        /// The table.
        table: String,
    },
}

/// An index of a large table takes its time.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
const PAUSE: Duration = Duration::from_secs(1);

/// Makes the table of conversations, or what it lacks of the schema: the index and the stream.
/// Changes nothing if it is complete.
///
/// # Errors
/// [`SchemaError`] says what cannot be done. What was done before stays.
pub async fn load_schema(config: &SdkConfig, table: &str) -> Result<Schema, SchemaError> {
    let setup = Setup { client: Client::new(config), table: table.to_owned() };
    let mut made = Vec::new();
    if setup.describe().await?.is_none() {
        setup.create().await?;
        made.push("table");
    }
    let description = setup.ready().await?;
    setup.check_keys(&description)?;
    if !has_index(&description) {
        setup.add_index().await?;
        made.push("index");
    }
    // DynamoDB takes one such change at a time.
    if !has_stream(&setup.ready().await?) {
        setup.add_stream().await?;
        made.push("stream");
    }
    let description = setup.ready().await?;
    setup.check_stream(&description)?;
    let stream_arn = description.latest_stream_arn.unwrap_or_default();
    Ok(Schema { table: setup.table, made, stream_arn })
}

/// Checks that messages can be written to the table: that it exists, and has the schema's keys.
///
/// # Errors
/// [`SchemaError`] says what is wrong, or which call failed.
pub async fn check_table(config: &SdkConfig, table: &str) -> Result<(), SchemaError> {
    let setup = Setup { client: Client::new(config), table: table.to_owned() };
    match setup.describe().await? {
        Some(description) => setup.check_keys(&description),
        None => Err(setup.missing()),
    }
}

/// Deletes a table that has the schema, with all messages, and waits until it is gone.
///
/// # Errors
/// [`SchemaError`] says what cannot be done. A table with other keys is not deleted.
pub async fn drop_table(config: &SdkConfig, table: &str) -> Result<(), SchemaError> {
    check_table(config, table).await?;
    let setup = Setup { client: Client::new(config), table: table.to_owned() };
    let deleted = setup.client.delete_table().table_name(table).send().await;
    deleted.map_err(|error| setup.failed("DeleteTable", &error))?;
    let deadline = Instant::now() + PATIENCE;
    while setup.describe().await?.is_some() {
        if Instant::now() >= deadline {
            return Err(SchemaError::NotReady { table: setup.table });
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

struct Setup {
    client: Client,
    table: String,
}

impl Setup {
    fn missing(&self) -> SchemaError {
        SchemaError::Missing { table: self.table.clone() }
    }

    async fn describe(&self) -> Result<Option<TableDescription>, SchemaError> {
        let request = self.client.describe_table().table_name(&self.table);
        match request.send().await {
            Ok(output) => Ok(output.table),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed("DescribeTable", &error)),
        }
    }

    /// The table, once it and its index are ready.
    async fn ready(&self) -> Result<TableDescription, SchemaError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match self.describe().await? {
                Some(description) if is_ready(&description) => return Ok(description),
                _ => sleep(PAUSE).await,
            }
        }
        Err(SchemaError::NotReady { table: self.table.clone() })
    }

    async fn create(&self) -> Result<(), SchemaError> {
        let index = GlobalSecondaryIndex::builder()
            .index_name(MESSAGE_GROUP_INDEX)
            .set_key_schema(Some(keys(MESSAGE_GROUP)))
            .projection(projection());
        let request = self
            .client
            .create_table()
            .table_name(&self.table)
            .set_attribute_definitions(Some(definitions()))
            .set_key_schema(Some(keys(PARTITION_KEY)))
            .global_secondary_indexes(index.build().expect("name, keys and projection are set"))
            .stream_specification(stream())
            .billing_mode(BillingMode::PayPerRequest);
        let created = request.send().await;
        created.map(|_| ()).map_err(|error| self.failed("CreateTable", &error))
    }

    async fn add_index(&self) -> Result<(), SchemaError> {
        let index = CreateGlobalSecondaryIndexAction::builder()
            .index_name(MESSAGE_GROUP_INDEX)
            .set_key_schema(Some(keys(MESSAGE_GROUP)))
            .projection(projection());
        let index = index.build().expect("name, keys and projection are set");
        let request = self
            .client
            .update_table()
            .table_name(&self.table)
            .set_attribute_definitions(Some(definitions()))
            .global_secondary_index_updates(
                GlobalSecondaryIndexUpdate::builder().create(index).build(),
            );
        let updated = request.send().await;
        updated.map(|_| ()).map_err(|error| self.failed("UpdateTable", &error))
    }

    async fn add_stream(&self) -> Result<(), SchemaError> {
        let request =
            self.client.update_table().table_name(&self.table).stream_specification(stream());
        let updated = request.send().await;
        updated.map(|_| ()).map_err(|error| self.failed("UpdateTable", &error))
    }

    fn check_keys(&self, description: &TableDescription) -> Result<(), SchemaError> {
        let is_text = |name: &str| {
            let mut definitions = description.attribute_definitions().iter();
            definitions.any(|found| {
                found.attribute_name == name && found.attribute_type == ScalarAttributeType::S
            })
        };
        let is_so = description.key_schema() == keys(PARTITION_KEY)
            && is_text(PARTITION_KEY)
            && is_text(SORT_KEY);
        if is_so { Ok(()) } else { Err(SchemaError::Keys { table: self.table.clone() }) }
    }

    fn check_stream(&self, description: &TableDescription) -> Result<(), SchemaError> {
        let view = description.stream_specification.as_ref();
        let has_new_images =
            view.and_then(|stream| stream.stream_view_type.as_ref()).is_some_and(|view| {
                matches!(view, StreamViewType::NewImage | StreamViewType::NewAndOldImages)
            });
        if has_new_images { Ok(()) } else { Err(SchemaError::Stream { table: self.table.clone() }) }
    }

    fn failed<E: ProvideErrorMetadata + Error + 'static>(
        &self,
        call: &'static str,
        error: &SdkError<E>,
    ) -> SchemaError {
        SchemaError::Call { table: self.table.clone(), call, failure: failure(error) }
    }
}

fn is_missing(error: &SdkError<DescribeTableError>) -> bool {
    let error = error.as_service_error();
    error.is_some_and(DescribeTableError::is_resource_not_found_exception)
}

fn is_ready(table: &TableDescription) -> bool {
    let mut indexes = table.global_secondary_indexes().iter();
    table.table_status == Some(TableStatus::Active)
        && indexes.all(|index| index.index_status == Some(IndexStatus::Active))
}

fn has_index(table: &TableDescription) -> bool {
    let mut indexes = table.global_secondary_indexes().iter();
    indexes.any(|index| index.index_name.as_deref() == Some(MESSAGE_GROUP_INDEX))
}

fn has_stream(table: &TableDescription) -> bool {
    table.stream_specification.as_ref().is_some_and(|stream| stream.stream_enabled)
}

/// The two keys of the table or, with another partition key, of the index.
fn keys(partition: &str) -> Vec<KeySchemaElement> {
    let key = |name: &str, key_type| {
        let key = KeySchemaElement::builder().attribute_name(name).key_type(key_type);
        key.build().expect("name and type are set")
    };
    vec![key(partition, KeyType::Hash), key(SORT_KEY, KeyType::Range)]
}

fn definitions() -> Vec<AttributeDefinition> {
    let text = |name| {
        let text = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        text.build().expect("name and type are set")
    };
    [PARTITION_KEY, SORT_KEY, MESSAGE_GROUP].map(text).into()
}

fn projection() -> Projection {
    let attributes = INDEXED.map(String::from).into();
    Projection::builder()
        .projection_type(ProjectionType::Include)
        .set_non_key_attributes(Some(attributes))
        .build()
}

fn stream() -> StreamSpecification {
    StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewImage)
        .build()
        .expect("it is said whether it is on")
}
