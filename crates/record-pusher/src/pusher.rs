//! The pusher.

use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use aws_config::SdkConfig;
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use record_cipher::{CmmStats, Keys, RecordCipher, RegionName, SetupError, StreamName};
use uuid::Uuid;

use crate::delivery::{Entry, Kinesis, StreamApi, deliver};
use crate::outcome::{Outcome, PushError};
use crate::record::Record;
use crate::settings::PusherSettings;

/// Bytes that a Kinesis record may have unless its stream is set otherwise, partition key counted.
const MAX_RECORD_BYTES: usize = 1 << 20;

/// Encrypts records and puts them to one stream in every Region.
///
/// Make one and keep it: it holds the data key cache and the connections. Clones share both.
#[derive(Debug, Clone)]
pub struct RecordPusher {
    cipher: RecordCipher,
    stream: StreamName,
    regions: Arc<[(RegionName, Box<dyn StreamApi>)]>,
}

impl RecordPusher {
    /// A pusher. Calls nothing yet: keys and streams are first needed by the first record.
    /// Needs Tokio's multi-thread runtime.
    ///
    /// # Errors
    /// [`SetupError`] names the setting that is not allowed.
    pub async fn new(settings: &PusherSettings, config: &SdkConfig) -> Result<Self, SetupError> {
        let keys =
            Keys::Encrypt { key: settings.kms_key.clone(), regions: settings.regions.clone() };
        let stream = |region: &RegionName| -> Box<dyn StreamApi> {
            Box::new(Kinesis::new(config, region, settings.stream.clone()))
        };
        let regions =
            settings.regions.iter().map(|region| (region.clone(), stream(region))).collect();
        let cipher = RecordCipher::builder(keys, config)
            .suite(settings.suite)
            .engine(settings.engine)
            .cache_capacity(settings.cache_capacity)
            .max_age(Duration::from_secs(settings.cache_max_age_seconds))
            .max_messages(settings.cache_max_messages)
            .build()
            .await?;
        Ok(Self { cipher, stream: settings.stream.clone(), regions })
    }

    /// Pushes one record.
    ///
    /// # Errors
    /// [`PushError`] if it was not sent anywhere. What became of it in each Region is in the
    /// [`Outcome`].
    pub async fn put_record(&self, record: impl Into<Record>) -> Result<Outcome, PushError> {
        let mut outcomes = self.put_records(vec![record.into()]).await;
        outcomes.pop().expect("one record has one outcome")
    }

    /// Pushes records in as few requests as possible, and returns an outcome for each in their
    /// order. One record's failure is no other's.
    pub async fn put_records(&self, records: Vec<Record>) -> Vec<Result<Outcome, PushError>> {
        let at_once = available_parallelism().map_or(1, Into::into);
        let entries: Vec<Result<Entry, PushError>> = stream::iter(records)
            .map(|record| self.entry(record))
            .buffered(at_once)
            .collect()
            .await;
        let encrypted: Vec<Entry> = entries.iter().flatten().cloned().collect();
        let mut outcomes = self.deliver(&encrypted).await.into_iter();
        let mut next = || outcomes.next().expect("every encrypted record has an outcome");
        entries.into_iter().map(|entry| entry.map(|_| next())).collect()
    }

    /// How many records asked for a data key, and how many data keys were made: one call to KMS in
    /// every Region each.
    #[must_use]
    pub fn data_key_stats(&self) -> CmmStats {
        self.cipher.data_key_stats()
    }

    async fn entry(&self, record: Record) -> Result<Entry, PushError> {
        let data = self.cipher.encrypt(&self.stream, record.into_json()).await?.message;
        let entry = Entry { partition_key: Uuid::new_v4().simple().to_string(), data };
        match entry.size() {
            size if size > MAX_RECORD_BYTES => {
                Err(PushError::TooLarge { size, limit: MAX_RECORD_BYTES })
            }
            _ => Ok(entry),
        }
    }

    async fn deliver(&self, entries: &[Entry]) -> Vec<Outcome> {
        let deliveries = self.regions.iter().map(|(_, stream)| deliver(stream.as_ref(), entries));
        let mut outcomes: Vec<Outcome> = entries
            .iter()
            .map(|entry| Outcome {
                partition_key: entry.partition_key.clone(),
                regions: Default::default(),
            })
            .collect();
        for ((region, _), results) in self.regions.iter().zip(join_all(deliveries).await) {
            for (outcome, result) in outcomes.iter_mut().zip(results) {
                outcome.regions.insert(region.clone(), result);
            }
        }
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::future::BoxFuture;
    use record_cipher::ErrorKind;

    use super::*;
    use crate::delivery::{TryError, TryResult};
    use crate::outcome::Delivery;

    /// Keeps what it is sent, or refuses everything.
    #[derive(Debug, Default)]
    struct Fake {
        refuses: bool,
        entries: Arc<Mutex<Vec<Entry>>>,
    }

    impl StreamApi for Fake {
        fn put_records(
            &self,
            entries: Vec<Entry>,
        ) -> BoxFuture<'_, Result<Vec<TryResult>, TryError>> {
            let answer = match self.refuses {
                true => Err(TryError {
                    code: "Refused".into(),
                    message: None,
                    kind: ErrorKind::Permanent,
                }),
                false => Ok(entries.iter().map(|_| Ok(delivery())).collect()),
            };
            self.entries.lock().unwrap().extend(entries);
            Box::pin(async { answer })
        }
    }

    fn delivery() -> Delivery {
        Delivery { shard_id: "shardId-0".into(), sequence_number: "1".into() }
    }

    async fn pusher(regions: Vec<(&str, Fake)>) -> RecordPusher {
        let config = SdkConfig::builder().build();
        let cipher = RecordCipher::builder(Keys::RawAes([1; 32]), &config).build().await.unwrap();
        let boxed = |(name, fake): (&str, Fake)| {
            (name.parse().unwrap(), Box::new(fake) as Box<dyn StreamApi>)
        };
        let regions = regions.into_iter().map(boxed).collect();
        RecordPusher { cipher, stream: "records".parse().unwrap(), regions }
    }

    fn record(json: &str) -> Record {
        Record::from_json(json.as_bytes()).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_region_gets_the_same_ciphertext_under_the_same_key() {
        let (first, second) = (Fake::default(), Fake::default());
        let sent = (first.entries.clone(), second.entries.clone());
        let pusher = pusher(vec![("us-east-1", first), ("eu-west-1", second)]).await;
        let json = r#"{"id":"1","amount":12.500,"long":123456789012345678901234567890}"#;
        let outcome = pusher.put_record(record(json)).await.unwrap();

        assert!(outcome.is_delivered());
        let sent = (sent.0.lock().unwrap().clone(), sent.1.lock().unwrap().clone());
        assert_eq!(sent.0, sent.1);
        assert_eq!(sent.0[0].partition_key, outcome.partition_key);
        assert_eq!(Uuid::parse_str(&outcome.partition_key).unwrap().get_version_num(), 4);
        let plaintext = pusher.cipher.decrypt(&pusher.stream, sent.0[0].data.clone()).await;
        assert_eq!(plaintext.unwrap(), json.as_bytes());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_failing_region_hides_no_other() {
        let refusing = Fake { refuses: true, ..Fake::default() };
        let pusher = pusher(vec![("us-east-1", refusing), ("eu-west-1", Fake::default())]).await;
        let outcome = pusher.put_record(record("{}")).await.unwrap();
        assert!(!outcome.is_delivered());
        let of = |name: &str| outcome.regions[&name.parse().unwrap()].clone();
        assert_eq!(of("us-east-1").unwrap_err().code, "Refused");
        assert_eq!(of("eu-west-1"), Ok(delivery()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_record_that_does_not_fit_is_not_sent_and_spoils_no_other() {
        let fake = Fake::default();
        let sent = fake.entries.clone();
        let pusher = pusher(vec![("us-east-1", fake)]).await;
        let large = record(&format!(r#"{{"text":"{}"}}"#, "x".repeat(1 << 20)));
        let records = vec![record(r#"{"id":"1"}"#), large, record(r#"{"id":"3"}"#)];
        let outcomes = pusher.put_records(records).await;

        let error = outcomes[1].clone().unwrap_err();
        assert!(matches!(error, PushError::TooLarge { limit: 1_048_576, .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Permanent);
        let keys: Vec<_> = [&outcomes[0], &outcomes[2]]
            .map(|outcome| outcome.as_ref().unwrap().partition_key.clone())
            .into();
        let sent: Vec<_> =
            sent.lock().unwrap().iter().map(|entry| entry.partition_key.clone()).collect();
        assert_eq!(sent, keys);
    }
}
