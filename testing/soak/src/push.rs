//! Pushing, and the fate of each record according to the pushers.

use std::time::Duration;

use anyhow::Context;
use futures::future::{BoxFuture, FutureExt, join_all};
use record_cipher::{Keys, RecordCipher};
use record_pusher::{
    Delivery, DeliveryError, MessagePusher, Outcome, PushError, Record, RecordPusher, RegionName,
    StreamName,
};

use crate::environment::{Environment, KEY_ALIAS, REGIONS, STREAM};
use crate::ledger::{Fate, MessageId, Pushed};
use crate::plan::Plan;
use crate::samples::{Kind, Sample};

/// Short, so that records are undelivered during an outage.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(1);

/// Pushes good records and bad ones.
pub(crate) struct Pushers {
    pusher: RecordPusher,
    /// Encrypts messages that a [`RecordPusher`] would not send.
    cipher: RecordCipher,
    /// Send those messages, one for each Region.
    messages: Vec<MessagePusher>,
}

/// A record before it is pushed.
pub(crate) enum Prepared {
    Record(usize, Record),
    /// A bad record that needs a message of its own.
    Message(usize, Vec<u8>),
}

impl Pushers {
    pub(crate) async fn new(plan: &Plan, environment: &Environment) -> anyhow::Result<Self> {
        let regions: Vec<RegionName> =
            REGIONS.iter().map(|region| region.parse()).collect::<Result<_, _>>()?;
        let stream: StreamName = STREAM.parse()?;
        let keys = Keys::Encrypt { key: KEY_ALIAS.parse()?, regions: regions.clone() };
        let cipher =
            RecordCipher::builder(keys, &environment.config).suite(plan.suite).build().await?;
        let messages = regions.iter().map(|region| {
            MessagePusher::new(region, &stream, DELIVERY_TIMEOUT, &environment.config)
        });
        let messages = messages.collect::<Result<_, _>>()?;
        let pusher = RecordPusher::builder(stream, KEY_ALIAS.parse()?, regions)
            .suite(plan.suite)
            .encrypt_for(plan.encrypt_for)
            .aggregate_bytes(plan.aggregate_bytes)
            .cache_max_messages(plan.cache_max_messages)
            .delivery_timeout(DELIVERY_TIMEOUT)
            .build(&environment.config)
            .await?;
        Ok(Self { pusher, cipher, messages })
    }

    /// Makes a record. Calls KMS, and so is for fair weather.
    pub(crate) async fn prepare(&self, sample: &Sample) -> anyhow::Result<Prepared> {
        let json = sample.json().into_bytes();
        let stream = match sample.kind {
            Kind::Good | Kind::WithoutKey => {
                return Ok(Prepared::Record(sample.number, Record::from_json(&json)?));
            }
            Kind::OfAnotherStream => "another",
            Kind::Tampered => STREAM,
        };
        let message = self.cipher.encrypt(&stream.parse()?, json).await?.message;
        let is_tampered = sample.kind == Kind::Tampered;
        let message = if is_tampered { sample.tamper(message) } else { message };
        Ok(Prepared::Message(sample.number, message))
    }

    /// Pushes the records, all at once as far as the queues have room.
    pub(crate) async fn push(&self, records: Vec<Prepared>) -> anyhow::Result<Vec<Pushed>> {
        let mut pushed: Vec<BoxFuture<'_, anyhow::Result<Pushed>>> = Vec::new();
        for record in records {
            pushed.push(match record {
                Prepared::Record(number, record) => {
                    let outcome = self.pusher.queue_record(record).await;
                    async move { pushed_record(number, outcome.await) }.boxed()
                }
                Prepared::Message(number, message) => self.put(number, message).map(Ok).boxed(),
            });
        }
        join_all(pushed).await.into_iter().collect()
    }

    async fn put(&self, number: usize, message: Vec<u8>) -> Pushed {
        let mut fates = [Fate::NotSent; REGIONS.len()];
        for (fate, pusher) in fates.iter_mut().zip(&self.messages) {
            let delivery = pusher.queue(number.to_string(), message.clone()).await;
            *fate = fate_of(&delivery.await);
        }
        Pushed { number, message: Some(MessageId::of(&message)), fates }
    }
}

fn pushed_record(number: usize, outcome: Result<Outcome, PushError>) -> anyhow::Result<Pushed> {
    let Ok(outcome) = outcome else {
        return Ok(Pushed { number, message: None, fates: [Fate::NotSent; REGIONS.len()] });
    };
    let mut fates = [Fate::NotSent; REGIONS.len()];
    for (fate, region) in fates.iter_mut().zip(REGIONS) {
        let mut deliveries = outcome.regions().iter();
        let delivery = deliveries.find(|(name, _)| name.as_str() == region);
        *fate = fate_of(delivery.context("an outcome has every Region")?.1);
    }
    Ok(Pushed { number, message: Some(MessageId::of(outcome.message())), fates })
}

fn fate_of(delivery: &Result<Delivery, DeliveryError>) -> Fate {
    match delivery {
        Ok(_) => Fate::Acknowledged,
        Err(error) if error.attempts > 0 => Fate::Undelivered,
        Err(_) => Fate::NotSent,
    }
}
