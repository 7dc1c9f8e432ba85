//! Requests to a table.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::time::{Duration, SystemTime};

use aws_outcome::{Cause, Failure, Service};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};

use super::item::{ADDED_BY, Item, plain, seconds, string};
use super::names::AttributeNames;
use crate::key::Key;
use crate::stats::DynamoDbCounters;
use crate::store::Lease;
use crate::table_name::TableName;

/// Makes single attempts of the requests of a store.
#[derive(Debug)]
pub(super) struct Table {
    client: Client,
    name: TableName,
    pub(super) names: AttributeNames,
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
    pub(super) fn new(client: &Client, name: TableName, names: AttributeNames) -> Self {
        // The store counts its attempts, so the SDK makes no retries of its own.
        let config = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), name, names, counters: <_>::default() }
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
        let request = request.set_key(Some(self.key(key))).consistent_read(consistent);
        let output = self.answer(request.send()).await?;
        Ok(Vec::from_iter(output.item))
    }

    async fn read_batch(&self, keys: Vec<Key>, consistent: bool) -> Answer<Key> {
        let reads = KeysAndAttributes::builder()
            .set_keys(Some(keys.iter().map(|key| self.key(key)).collect()))
            .consistent_read(consistent)
            .build()
            .expect("the keys are set");
        let request = self.client.batch_get_item().request_items(self.name(), reads);
        let output = self.answer(request.send()).await?;
        let items = output.responses.and_then(|mut tables| tables.remove(self.name()));
        let unread = output.unprocessed_keys.and_then(|mut tables| tables.remove(self.name()));
        let unread: Vec<_> = unread.map(|unread| unread.keys).unwrap_or_default();
        let unread =
            self.unprocessed(keys, Key::id, unread.iter().filter_map(|item| self.id(item)));
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
                self.answer(request.set_key(Some(self.key(key))).send()).await.map(drop)
            }
        }
    }

    async fn write_batch(&self, writes: Vec<Write>) -> Result<Vec<Write>, Failure> {
        let requests = writes.iter().map(|write| self.write_request(write)).collect();
        let request = self.client.batch_write_item().request_items(self.name(), requests);
        let output = self.answer(request.send()).await?;
        let unwritten = output.unprocessed_items.and_then(|mut tables| tables.remove(self.name()));
        let unwritten = unwritten.unwrap_or_default();
        let ids = unwritten.iter().filter_map(|request| self.written_id(request));
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

    /// Takes a lease if it is free, has expired, is this owner's already or was abandoned. It is this
    /// owner's when it is renewed, and after an attempt whose answer was lost.
    pub(super) async fn acquire(&self, lease: &Lease, now: SystemTime) -> Result<bool, Failure> {
        let abandoned = lease.abandoned.as_ref().map(|_| " OR #value = :abandoned");
        let free = "attribute_not_exists(#key) OR #expiry <= :now OR begins_with(#value, :owner)";
        // An expiry in whole seconds, which is never early.
        let until = lease.until + Duration::from_secs(1);
        let item = plain(&self.names, &lease.key, lease.token.clone(), until);
        let mut request = self
            .put_if(&format!("{free}{}", abandoned.unwrap_or_default()), item)
            .expression_attribute_names("#expiry", &self.names.expiry)
            .expression_attribute_names("#value", &self.names.value)
            .expression_attribute_values(":now", seconds(now))
            .expression_attribute_values(":owner", string(&lease.owner));
        if let Some(token) = &lease.abandoned {
            request = request.expression_attribute_values(":abandoned", string(token));
        }
        is_met(self.answer(request.send()).await)
    }

    /// Stores an item unless there is one that has not expired. `call` marks the item, so that a
    /// retry after a lost answer knows it for its own.
    pub(super) async fn add(
        &self,
        item: Item,
        call: &str,
        now: SystemTime,
    ) -> Result<bool, Failure> {
        let free = "attribute_not_exists(#key) OR #expiry <= :now OR #added_by = :call";
        let request = self
            .put_if(free, item)
            .item(ADDED_BY, string(call))
            .expression_attribute_names("#expiry", &self.names.expiry)
            .expression_attribute_names("#added_by", ADDED_BY)
            .expression_attribute_values(":now", seconds(now))
            .expression_attribute_values(":call", string(call));
        is_met(self.answer(request.send()).await)
    }

    fn put_if(&self, condition: &str, item: Item) -> PutItemFluentBuilder {
        let request = self.client.put_item().table_name(self.name()).set_item(Some(item));
        request.condition_expression(condition).expression_attribute_names("#key", &self.names.key)
    }

    pub(super) async fn release(&self, lease: &Lease) -> Result<bool, Failure> {
        let request = self.client.delete_item().table_name(self.name());
        let request = request
            .set_key(Some(self.key(&lease.key)))
            .condition_expression("begins_with(#value, :owner)")
            .expression_attribute_names("#value", &self.names.value)
            .expression_attribute_values(":owner", string(&lease.owner));
        is_met(self.answer(request.send()).await)
    }

    async fn answer<T, E: ProvideErrorMetadata + Error + 'static>(
        &self,
        sent: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, Failure> {
        self.counters.request();
        let answer = sent.await.map_err(|error| Failure::new(Service::DynamoDb, &error));
        if let Err(failure) = &answer {
            self.counters.failure(failure.cause());
        }
        answer
    }

    fn key(&self, key: &Key) -> Item {
        HashMap::from([(self.names.key.clone(), string(key.id()))])
    }

    fn write_request(&self, write: &Write) -> WriteRequest {
        match write {
            Write::Put(_, item) => {
                let put = PutRequest::builder().set_item(Some(item.clone()));
                WriteRequest::builder().put_request(put.build().expect("the item is set")).build()
            }
            Write::Delete(key) => {
                let delete = DeleteRequest::builder().set_key(Some(self.key(key)));
                let delete = delete.build().expect("the key is set");
                WriteRequest::builder().delete_request(delete).build()
            }
        }
    }

    /// Returns the id of an item or a key.
    pub(super) fn id<'a>(&self, item: &'a Item) -> Option<&'a str> {
        item.get(&self.names.key)?.as_s().ok().map(String::as_str)
    }

    fn written_id<'a>(&self, request: &'a WriteRequest) -> Option<&'a str> {
        match (&request.put_request, &request.delete_request) {
            (Some(put), _) => self.id(&put.item),
            (None, delete) => self.id(&delete.as_ref()?.key),
        }
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
