//! Requests to a table.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::time::Duration;

use aws_outcome::{Cause, Failure, Service};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{
    AttributeValue, DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest,
};
use tokio::time::timeout;

use super::item::{CACHED_VALUE, EXPIRES_AT, ID, Item, plain, string};
use crate::key::Key;
use crate::stats::DynamoDbCounters;
use crate::store::Lease;
use crate::table_name::TableName;

/// Makes single attempts of the requests of a store.
#[derive(Debug)]
pub(super) struct Table {
    client: Client,
    name: TableName,
    timeout: Duration,
    pub(super) counters: DynamoDbCounters,
}

/// The result of one attempt: items, and the entries of the request that were left unprocessed.
pub(super) type Answer<T> = Result<(Vec<Item>, Vec<T>), Failure>;

/// A write of one item.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Put(Key, Item),
    Delete(Key),
}

impl Write {
    pub(super) fn key(&self) -> &Key {
        let (Self::Put(key, _) | Self::Delete(key)) = self;
        key
    }
}

impl Table {
    pub(super) fn new(client: &Client, name: TableName, timeout: Duration) -> Self {
        // The store counts its attempts, so the SDK makes no retries of its own.
        let config = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), name, timeout, counters: <_>::default() }
    }

    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Reads the items of these keys.
    pub(super) async fn read(&self, keys: Vec<Key>, consistent: bool) -> Answer<Key> {
        match keys.as_slice() {
            [key] => Ok((self.read_one(key, consistent).await?, Vec::new())),
            _ => self.read_batch(keys, consistent).await,
        }
    }

    async fn read_one(&self, key: &Key, consistent: bool) -> Result<Vec<Item>, Failure> {
        let request = self.client.get_item().table_name(self.name());
        let request = request.set_key(Some(key_attributes(key))).consistent_read(consistent);
        let output = self.answer(request.send()).await?;
        Ok(Vec::from_iter(output.item))
    }

    async fn read_batch(&self, keys: Vec<Key>, consistent: bool) -> Answer<Key> {
        let reads = KeysAndAttributes::builder()
            .set_keys(Some(keys.iter().map(key_attributes).collect()))
            .consistent_read(consistent)
            .build()
            .expect("the keys are set");
        let request = self.client.batch_get_item().request_items(self.name(), reads);
        let output = self.answer(request.send()).await?;
        let items = output.responses.and_then(|mut tables| tables.remove(self.name()));
        let unread = output.unprocessed_keys.and_then(|mut tables| tables.remove(self.name()));
        let unread: Vec<_> = unread.map(|unread| unread.keys).unwrap_or_default();
        let unread = self.unprocessed(keys, Key::id, unread.iter().filter_map(id));
        Ok((items.unwrap_or_default(), unread))
    }

    /// Writes to different keys. The answer has no items.
    pub(super) async fn write(&self, writes: Vec<Write>) -> Answer<Write> {
        let unwritten = match writes.as_slice() {
            [write] => self.write_one(write).await.map(|()| Vec::new()),
            _ => self.write_batch(writes).await,
        };
        unwritten.map(|unwritten| (Vec::new(), unwritten))
    }

    async fn write_one(&self, write: &Write) -> Result<(), Failure> {
        match write {
            Write::Put(_, item) => {
                let request = self.client.put_item().table_name(self.name());
                self.answer(request.set_item(Some(item.clone())).send()).await.map(drop)
            }
            Write::Delete(key) => {
                let request = self.client.delete_item().table_name(self.name());
                self.answer(request.set_key(Some(key_attributes(key))).send()).await.map(drop)
            }
        }
    }

    async fn write_batch(&self, writes: Vec<Write>) -> Result<Vec<Write>, Failure> {
        let requests = writes.iter().map(write_request).collect();
        let request = self.client.batch_write_item().request_items(self.name(), requests);
        let output = self.answer(request.send()).await?;
        let unwritten = output.unprocessed_items.and_then(|mut tables| tables.remove(self.name()));
        let unwritten = unwritten.unwrap_or_default();
        let ids = unwritten.iter().filter_map(written_id);
        Ok(self.unprocessed(writes, |write| write.key().id(), ids))
    }

    /// Counts and returns the entries that DynamoDB left unprocessed.
    fn unprocessed<'a, T>(
        &self,
        sent: Vec<T>,
        id_of: impl Fn(&T) -> &str,
        ids: impl Iterator<Item = &'a str>,
    ) -> Vec<T> {
        let ids: Vec<_> = ids.collect();
        self.counters.unprocessed(ids.len());
        sent.into_iter().filter(|sent| ids.contains(&id_of(sent))).collect()
    }

    /// Takes a lease if it is free, has expired, or is this owner's already. The last is the case
    /// after an attempt whose answer was lost.
    pub(super) async fn acquire(
        &self,
        lease: &Lease,
        now: AttributeValue,
    ) -> Result<bool, Failure> {
        let free = format!(
            "attribute_not_exists({ID}) OR {EXPIRES_AT} <= :now OR {CACHED_VALUE} = :owner"
        );
        let item = plain(&lease.key, lease.owner.clone(), lease.until);
        let request = self.client.put_item().table_name(self.name()).set_item(Some(item));
        let request = request
            .condition_expression(free)
            .expression_attribute_values(":now", now)
            .expression_attribute_values(":owner", string(&lease.owner));
        is_met(self.answer(request.send()).await)
    }

    pub(super) async fn release(&self, lease: &Lease) -> Result<bool, Failure> {
        let request = self.client.delete_item().table_name(self.name());
        let request = request
            .set_key(Some(key_attributes(&lease.key)))
            .condition_expression(format!("{CACHED_VALUE} = :owner"))
            .expression_attribute_values(":owner", string(&lease.owner));
        is_met(self.answer(request.send()).await)
    }

    async fn answer<T, E: ProvideErrorMetadata + Error + 'static>(
        &self,
        sent: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, Failure> {
        self.counters.request();
        let answer = match timeout(self.timeout, sent).await {
            Ok(answer) => answer.map_err(|error| Failure::new(Service::DynamoDb, &error)),
            Err(_) => Err(Failure::timed_out(self.timeout)),
        };
        if let Err(failure) = &answer {
            self.counters.failure(failure.cause());
        }
        answer
    }
}

/// Returns `true` if the condition of a write was met.
fn is_met<T>(answer: Result<T, Failure>) -> Result<bool, Failure> {
    match answer {
        Ok(_) => Ok(true),
        Err(failure) if failure.cause() == Cause::ConditionFailed => Ok(false),
        Err(failure) => Err(failure),
    }
}

fn key_attributes(key: &Key) -> Item {
    HashMap::from([(ID.to_owned(), string(key.id()))])
}

fn write_request(write: &Write) -> WriteRequest {
    match write {
        Write::Put(_, item) => {
            let put = PutRequest::builder().set_item(Some(item.clone()));
            WriteRequest::builder().put_request(put.build().expect("the item is set")).build()
        }
        Write::Delete(key) => {
            let delete = DeleteRequest::builder().set_key(Some(key_attributes(key)));
            WriteRequest::builder().delete_request(delete.build().expect("the key is set")).build()
        }
    }
}

/// Returns the id of an item or a key.
pub(super) fn id(item: &Item) -> Option<&str> {
    item.get(ID)?.as_s().ok().map(String::as_str)
}

fn written_id(request: &WriteRequest) -> Option<&str> {
    match (&request.put_request, &request.delete_request) {
        (Some(put), _) => id(&put.item),
        (None, delete) => id(&delete.as_ref()?.key),
    }
}
