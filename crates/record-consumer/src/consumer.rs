//! The way of a batch.

use std::collections::{BTreeMap, HashMap};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::Context;
use aws_config::SdkConfig;
use aws_lambda_events::event::kinesis::{KinesisEvent, KinesisEventRecord};
use aws_lambda_events::event::streams::KinesisEventResponse;
use futures::stream::{self, StreamExt};
use lambda_runtime::tracing;
use record_cipher::{RecordCipher, StreamName};
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use crate::failure::RecordFailure;
use crate::item::{ItemKey, to_item};
use crate::settings::ConsumerSettings;
use crate::table::{DynamoDb, Item, KeyAttribute, Table};
use crate::write::Writer;

/// Kept free at the end of an invocation to report what is not done.
const RESERVE: Duration = Duration::from_millis(500);

/// Decrypts the records of Kinesis events and writes them to a table.
///
/// Made once per execution environment: it holds the data key cache and the connections.
#[derive(Debug)]
pub struct Consumer {
    cipher: RecordCipher,
    table: Box<dyn Table>,
    schema: Vec<KeyAttribute>,
}

impl Consumer {
    /// A consumer with the settings of the function. Asks DynamoDB for the table's key attributes
    /// unless they are set.
    ///
    /// # Errors
    /// A setting is not allowed, or the table cannot be used.
    pub async fn new(settings: &ConsumerSettings, config: &SdkConfig) -> anyhow::Result<Self> {
        let cipher = settings.cipher(config).await.context("the settings do not work")?;
        let table = DynamoDb::new(config, &settings.table_name);
        let schema = match &settings.table_key_attributes {
            Some(attributes) => attributes.0.clone(),
            None => table.key_attributes().await?,
        };
        Ok(Self::with_table(cipher, Box::new(table), schema))
    }

    /// A consumer of these parts.
    #[must_use]
    pub fn with_table(
        cipher: RecordCipher,
        table: Box<dyn Table>,
        schema: Vec<KeyAttribute>,
    ) -> Self {
        Self { cipher, table, schema }
    }

    /// Writes the event's records, and reports those that were not written before `deadline`.
    ///
    /// Of records with the same key the last one in the order of sequence numbers is written; if
    /// it cannot be, all of them are reported.
    pub async fn handle(&self, event: KinesisEvent, deadline: Instant) -> KinesisEventResponse {
        let stop = deadline.checked_sub(RESERVE).unwrap_or(deadline);
        let records = in_order(event.records);
        let (items, mut failures) = self.read(&records, stop).await;
        let Latest { items, records_of } = Latest::of(items);
        let writer = Writer { table: self.table.as_ref(), schema: &self.schema, stop };
        for (key, failure) in writer.write(items).await {
            for &at in &records_of[&key] {
                failures.insert(at, failure.clone());
            }
        }
        self.log(&records, &failures);
        let mut response = KinesisEventResponse::default();
        for at in failures.into_keys() {
            response.add_failure(&records[at].kinesis.sequence_number);
        }
        response
    }

    /// The items of the records that hold some, in the records' order, and the failures of the
    /// others.
    async fn read(
        &self,
        records: &[KinesisEventRecord],
        stop: Instant,
    ) -> (Vec<(usize, ItemKey, Item)>, BTreeMap<usize, RecordFailure>) {
        let at_once = available_parallelism().map_or(1, Into::into);
        let mut read = stream::iter(records)
            .map(|record| async move {
                timeout_at(stop, self.read_one(record))
                    .await
                    .unwrap_or(Err(RecordFailure::OutOfTime))
            })
            .buffered(at_once)
            .enumerate();
        let (mut items, mut failures) = (Vec::new(), BTreeMap::new());
        while let Some((at, result)) = read.next().await {
            match result {
                Ok(read) => items.extend(read.into_iter().map(|(key, item)| (at, key, item))),
                Err(failure) => {
                    failures.insert(at, failure);
                }
            }
        }
        (items, failures)
    }

    async fn read_one(
        &self,
        record: &KinesisEventRecord,
    ) -> Result<Vec<(ItemKey, Item)>, RecordFailure> {
        let stream = StreamName::from_arn(record.event_source_arn.as_deref().unwrap_or_default())?;
        let plaintext = self.cipher.decrypt(&stream, record.kinesis.data.to_vec()).await?;
        let items = records_of(&plaintext)?.into_iter().map(|json| to_item(json, &self.schema));
        Ok(items.collect::<Result<_, _>>()?)
    }

    fn log(&self, records: &[KinesisEventRecord], failures: &BTreeMap<usize, RecordFailure>) {
        for (&at, failure) in failures {
            tracing::warn!(
                event_id = records[at].event_id.as_deref().unwrap_or_default(),
                kind = ?failure.kind(),
                reason = %failure,
                "record not written"
            );
        }
        let data_keys = self.cipher.data_key_stats();
        tracing::info!(
            records = records.len(),
            failed = failures.len(),
            data_key_requests = data_keys.requests,
            data_key_calls = data_keys.calls,
            "batch done"
        );
    }
}

/// The records in the order of their sequence numbers, which are decimal numbers of any length.
fn in_order(mut records: Vec<KinesisEventRecord>) -> Vec<KinesisEventRecord> {
    records.sort_by(|a, b| {
        let number = |record: &KinesisEventRecord| record.kinesis.sequence_number.len();
        (number(a), &a.kinesis.sequence_number).cmp(&(number(b), &b.kinesis.sequence_number))
    });
    records
}

/// The records of a plaintext: an object is one, a list of objects is several.
fn records_of(plaintext: &[u8]) -> Result<Vec<&RawValue>, RecordFailure> {
    let not_json = |error: serde_json::Error| RecordFailure::NotJson {
        line: error.line(),
        column: error.column(),
    };
    let json: &RawValue = serde_json::from_slice(plaintext).map_err(not_json)?;
    let records: Vec<&RawValue> = match json.get().starts_with('[') {
        true => serde_json::from_str(json.get()).map_err(not_json)?,
        false => vec![json],
    };
    let are_objects = records.iter().all(|record| record.get().starts_with('{'));
    (are_objects && !records.is_empty()).then_some(records).ok_or(RecordFailure::NotARecord)
}

/// The last item of each key, and the records that had an item of that key.
#[derive(Default)]
struct Latest {
    items: HashMap<ItemKey, Item>,
    records_of: HashMap<ItemKey, Vec<usize>>,
}

impl Latest {
    fn of(items: Vec<(usize, ItemKey, Item)>) -> Self {
        let mut latest = Self::default();
        for (at, key, item) in items {
            latest.records_of.entry(key.clone()).or_default().push(at);
            latest.items.insert(key, item);
        }
        latest
    }
}
