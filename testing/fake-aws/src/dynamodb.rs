//! DynamoDB: tables of items by key.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::answer::{Answer, ServiceError, json, parse};
use crate::condition::Condition;
use crate::decimal::Decimal;
use crate::item::Item;
use crate::{ACCOUNT, lock};

/// DynamoDB's limit on the puts and deletes of one request:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const MAX_WRITES: usize = 25;
/// And on the keys of one, of one table here:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>
const MAX_READS: usize = 100;

/// The type of a key attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyType {
    /// A string, DynamoDB's `S`.
    Text,
    /// A number, DynamoDB's `N`.
    Number,
}

impl KeyType {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "S",
            Self::Number => "N",
        }
    }
}

/// The tables of all Regions.
#[derive(Default)]
pub struct DynamoDb(Mutex<Tables>);

type Tables = BTreeMap<(String, String), Table>;

impl DynamoDb {
    /// Makes a table, or replaces it by an empty one. It has a partition key and, if there is a
    /// second attribute, a sort key.
    ///
    /// # Panics
    /// If there are not one or two key attributes.
    pub fn create_table(&self, region: &str, name: &str, keys: &[(&str, KeyType)]) {
        assert!((1..=2).contains(&keys.len()), "a table has one or two key attributes");
        let keys = keys.iter().map(|(name, key_type)| ((*name).to_owned(), *key_type)).collect();
        let table = Table { keys, items: BTreeMap::new() };
        lock(&self.0).insert((region.to_owned(), name.to_owned()), table);
    }

    /// The items of a table, in the order of their keys; none of an unknown table.
    #[must_use]
    pub fn items(&self, region: &str, name: &str) -> Vec<Item> {
        let tables = lock(&self.0);
        let table = tables.get(&(region.to_owned(), name.to_owned()));
        table.map(|table| table.items.values().cloned().collect()).unwrap_or_default()
    }

    /// Leaves each `skip_every`th request unprocessed; none for 0.
    pub(crate) fn batch_write_item(
        &self,
        region: &str,
        body: &[u8],
        skip_every: usize,
    ) -> Result<Answer, ServiceError> {
        let request: BatchWriteItem = parse(body)?;
        let writes = request.writes()?;
        let mut tables = lock(&self.0);
        check_keys(&mut tables, region, &writes)?;
        let mut unprocessed: BTreeMap<String, Vec<Write>> = BTreeMap::new();
        for (index, (name, write)) in writes.into_iter().enumerate() {
            if (index + 1).is_multiple_of(skip_every) {
                unprocessed.entry(name).or_default().push(write);
            } else {
                table(&mut tables, region, &name)?.write(write)?;
            }
        }
        Ok(json(&json!({ "UnprocessedItems": unprocessed })))
    }

    /// Leaves each `skip_every`th key unprocessed; none for 0.
    pub(crate) fn batch_get_item(
        &self,
        region: &str,
        body: &[u8],
        skip_every: usize,
    ) -> Result<Answer, ServiceError> {
        let BatchGetItem { request_items } = parse(body)?;
        let mut request_items = request_items.into_iter();
        let (Some((name, Reads { keys, consistent_read })), None) =
            (request_items.next(), request_items.next())
        else {
            return Err(ServiceError::validation("fake-aws reads of one table at a time"));
        };
        let mut tables = lock(&self.0);
        let table = table(&mut tables, region, &name)?;
        table.check_reads(&keys)?;
        let (mut items, mut unprocessed) = (Vec::new(), Vec::new());
        for (index, key) in keys.into_iter().enumerate() {
            if (index + 1).is_multiple_of(skip_every) {
                unprocessed.push(key);
            } else {
                items.extend(table.items.get(&table.exact_key(&key)?));
            }
        }
        let unprocessed = (!unprocessed.is_empty())
            .then(|| (name.clone(), Reads { keys: unprocessed, consistent_read }));
        Ok(json(&json!({
            "Responses": { name: items },
            "UnprocessedKeys": BTreeMap::from_iter(unprocessed),
        })))
    }

    pub(crate) fn put_item(&self, region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
        let request: WriteOne = parse(body)?;
        let condition = request.condition()?;
        let mut tables = lock(&self.0);
        let table = table(&mut tables, region, &request.table_name)?;
        let key = table.key_of(&request.item)?;
        check(condition.as_ref(), table.items.get(&key))?;
        table.items.insert(key, request.item);
        Ok(json(&json!({})))
    }

    pub(crate) fn delete_item(&self, region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
        let request: WriteOne = parse(body)?;
        let condition = request.condition()?;
        let mut tables = lock(&self.0);
        let table = table(&mut tables, region, &request.table_name)?;
        let key = table.exact_key(&request.item)?;
        check(condition.as_ref(), table.items.get(&key))?;
        table.items.remove(&key);
        Ok(json(&json!({})))
    }

    pub(crate) fn get_item(&self, region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
        let request: GetItem = parse(body)?;
        let mut tables = lock(&self.0);
        let table = table(&mut tables, region, &request.table_name)?;
        let item = table.items.get(&table.exact_key(&request.key)?);
        Ok(json(&item.map_or_else(|| json!({}), |item| json!({ "Item": item }))))
    }

    pub(crate) fn describe_table(&self, region: &str, body: &[u8]) -> Result<Answer, ServiceError> {
        let DescribeTable { table_name: name } = parse(body)?;
        let mut tables = lock(&self.0);
        let table = table(&mut tables, region, &name)?;
        let definitions = table.keys.iter().map(
            |(name, key_type)| json!({ "AttributeName": name, "AttributeType": key_type.name() }),
        );
        let schema = table
            .keys
            .iter()
            .zip(["HASH", "RANGE"])
            .map(|((name, _), key_type)| json!({ "AttributeName": name, "KeyType": key_type }));
        Ok(json(&json!({ "Table": {
            "TableName": name,
            "TableArn": format!("arn:aws:dynamodb:{region}:{ACCOUNT}:table/{name}"),
            "TableStatus": "ACTIVE",
            "AttributeDefinitions": definitions.collect::<Value>(),
            "KeySchema": schema.collect::<Value>(),
        }})))
    }
}

impl fmt::Debug for DynamoDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDb").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchWriteItem {
    request_items: BTreeMap<String, Vec<Write>>,
}

impl BatchWriteItem {
    /// All writes with their tables.
    fn writes(self) -> Result<Vec<(String, Write)>, ServiceError> {
        let tables = self.request_items.into_iter();
        let writes: Vec<_> = tables
            .flat_map(|(table, writes)| writes.into_iter().map(move |write| (table.clone(), write)))
            .collect();
        if !(1..=MAX_WRITES).contains(&writes.len()) {
            return Err(ServiceError::validation("a batch has from 1 to 25 writes"));
        }
        Ok(writes)
    }
}

#[derive(Deserialize, Serialize)]
enum Write {
    #[serde(rename = "PutRequest", rename_all = "PascalCase")]
    Put { item: Item },
    #[serde(rename = "DeleteRequest", rename_all = "PascalCase")]
    Delete { key: Item },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct BatchGetItem {
    request_items: BTreeMap<String, Reads>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Reads {
    keys: Vec<Item>,
    /// All reads are consistent.
    #[serde(default)]
    consistent_read: bool,
}

/// A PutItem or a DeleteItem.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct WriteOne {
    table_name: String,
    /// Of a removal the key.
    #[serde(alias = "Key")]
    item: Item,
    condition_expression: Option<String>,
    #[serde(default)]
    expression_attribute_names: BTreeMap<String, String>,
    #[serde(default)]
    expression_attribute_values: BTreeMap<String, Value>,
}

impl WriteOne {
    fn condition(&self) -> Result<Option<Condition>, ServiceError> {
        let (names, values) = (&self.expression_attribute_names, &self.expression_attribute_values);
        let expression = self.condition_expression.as_deref();
        expression.map(|expression| Condition::parse(expression, names, values)).transpose()
    }
}

fn check(condition: Option<&Condition>, existing: Option<&Item>) -> Result<(), ServiceError> {
    if condition.is_none_or(|condition| condition.allows(existing)) {
        return Ok(());
    }
    let message = "The conditional request failed";
    Err(ServiceError::new(400, "ConditionalCheckFailedException", message))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct GetItem {
    table_name: String,
    key: Item,
    /// All reads are consistent.
    #[serde(default, rename = "ConsistentRead")]
    _consistent_read: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeTable {
    table_name: String,
}

struct Table {
    keys: Vec<(String, KeyType)>,
    items: BTreeMap<Key, Item>,
}

type Key = Vec<KeyValue>;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum KeyValue {
    Text(String),
    Number(Decimal),
}

impl Table {
    fn write(&mut self, write: Write) -> Result<(), ServiceError> {
        let key = self.key_of_write(&write)?;
        match write {
            Write::Put { item } => self.items.insert(key, item),
            Write::Delete { .. } => self.items.remove(&key),
        };
        Ok(())
    }

    fn key_of_write(&self, write: &Write) -> Result<Key, ServiceError> {
        match write {
            Write::Put { item } => self.key_of(item),
            Write::Delete { key } => self.exact_key(key),
        }
    }

    /// As many keys as may be, and none twice.
    fn check_reads(&self, keys: &[Item]) -> Result<(), ServiceError> {
        if !(1..=MAX_READS).contains(&keys.len()) {
            return Err(ServiceError::validation("a batch has from 1 to 100 keys"));
        }
        let distinct: BTreeSet<_> =
            keys.iter().map(|key| self.exact_key(key)).collect::<Result<_, _>>()?;
        if distinct.len() < keys.len() {
            let message = "Provided list of item keys contains duplicates";
            return Err(ServiceError::validation(message));
        }
        Ok(())
    }

    fn exact_key(&self, key: &Item) -> Result<Key, ServiceError> {
        if key.len() != self.keys.len() {
            return Err(ServiceError::validation("the key does not match the schema"));
        }
        self.key_of(key)
    }

    fn key_of(&self, item: &Item) -> Result<Key, ServiceError> {
        let values = self.keys.iter().map(|(name, key_type)| {
            let value = item.get(name).and_then(|value| key_value(value, *key_type));
            value.ok_or_else(|| ServiceError::validation("a key attribute is missing or not valid"))
        });
        values.collect()
    }
}

fn key_value(value: &Value, key_type: KeyType) -> Option<KeyValue> {
    let text = value.get(key_type.name())?.as_str().filter(|text| !text.is_empty())?;
    match key_type {
        KeyType::Text => Some(KeyValue::Text(text.to_owned())),
        KeyType::Number => Decimal::parse(text).map(KeyValue::Number),
    }
}

/// All keys are valid, and none comes twice: a batch is refused as a whole.
fn check_keys(
    tables: &mut Tables,
    region: &str,
    writes: &[(String, Write)],
) -> Result<(), ServiceError> {
    let mut seen = BTreeSet::new();
    for (name, write) in writes {
        let key = table(tables, region, name)?.key_of_write(write)?;
        if !seen.insert((name, key)) {
            let message = "Provided list of item keys contains duplicates";
            return Err(ServiceError::validation(message));
        }
    }
    Ok(())
}

fn table<'a>(
    tables: &'a mut Tables,
    region: &str,
    name: &str,
) -> Result<&'a mut Table, ServiceError> {
    tables.get_mut(&(region.to_owned(), name.to_owned())).ok_or_else(|| {
        ServiceError::new(400, "ResourceNotFoundException", "no such table in this Region")
    })
}
