//! The pusher.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use aws_config::SdkConfig;
use futures::future::{FutureExt, join_all};
use record_cipher::{Keys, RecordCipher, SetupError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::batcher::Patience;
use crate::groups::{Groups, Job};
use crate::outcome::{Outcome, PushError};
use crate::pipeline::{MAX_BLOCKS, Pipeline};
use crate::region::{Region, stats};
use crate::settings::PusherSettings;
use crate::stats::{PusherStats, RecordCounters};
use record_cipher::Record;

/// Encrypts records and puts them to one stream in every Region.
///
/// Make one and keep it: it holds the data key cache, the connections, and a queue for each Region
/// that records of all callers share requests in. Clones share all of that. When the last is dropped,
/// what is queued is still sent, as long as the runtime goes on.
#[derive(Clone)]
pub struct RecordPusher {
    blocks: mpsc::Sender<Vec<Job>>,
    cipher: RecordCipher,
    regions: Arc<[Region]>,
    counters: Arc<RecordCounters>,
    stop: CancellationToken,
}

impl fmt::Debug for RecordPusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordPusher").field("regions", &self.regions).finish_non_exhaustive()
    }
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
        let cipher = RecordCipher::builder(keys, config)
            .suite(settings.suite)
            .engine(settings.engine)
            .encrypt_for(settings.encrypt_for)
            .cache_capacity(settings.cache_capacity)
            .max_age(Duration::from_secs(settings.cache_max_age_seconds))
            .max_messages(settings.cache_max_messages)
            .build()
            .await?;
        Ok(Self::start(cipher, settings, config))
    }

    fn start(cipher: RecordCipher, settings: &PusherSettings, config: &SdkConfig) -> Self {
        let stop = CancellationToken::new();
        let linger = Duration::from_millis(settings.linger_ms);
        let patience = Patience {
            linger,
            delivery_timeout: Duration::from_secs(settings.delivery_timeout_seconds),
        };
        let start = |name| Region::start(name, &settings.stream, patience, config, &stop);
        let regions: Arc<[Region]> = settings.regions.iter().map(start).collect();
        let counters = Arc::<RecordCounters>::default();
        let pipeline = Pipeline {
            cipher: cipher.clone(),
            stream: settings.stream.clone(),
            partition_key_field: settings.partition_key_field.clone(),
            groups: Groups::new(settings.aggregate_bytes, linger),
            regions: regions.clone(),
            destinations: regions.iter().map(Region::destination).collect(),
            counters: counters.clone(),
        };
        let (blocks, waiting) = mpsc::channel(MAX_BLOCKS);
        tokio::spawn(stop.clone().run_until_cancelled_owned(pipeline.run(waiting)));
        Self { blocks, cipher, regions, counters, stop }
    }

    /// Pushes one record.
    ///
    /// # Errors
    /// [`PushError`] if it was not sent anywhere. What became of it in each Region is in the
    /// [`Outcome`].
    pub async fn put_record(&self, record: impl Into<Record>) -> Result<Outcome, PushError> {
        self.queue_record(record).await.await
    }

    /// Pushes records, and returns an outcome for each in their order. One record's failure is no
    /// other's.
    pub async fn put_records(&self, records: Vec<Record>) -> Vec<Result<Outcome, PushError>> {
        join_all(self.queue_records(records).await).await
    }

    /// Accepts a record for pushing, and returns a future of what becomes of it. Waits while a
    /// Region's queue is full.
    ///
    /// Records with the same partition key reach a stream in the order of these calls.
    pub async fn queue_record(&self, record: impl Into<Record>) -> Pushed {
        let mut pushed = self.queue_records(vec![record.into()]).await;
        pushed.pop().expect("one record has one future")
    }

    /// The same for several records at once, which costs less than one after the other.
    pub async fn queue_records(&self, records: Vec<Record>) -> Vec<Pushed> {
        self.counters.accepted(records.len(), records.iter().map(Record::json_len).sum());
        let accept = |record| {
            let (reply, outcome) = oneshot::channel();
            (Job { record, reply }, Pushed(outcome))
        };
        let (jobs, pushed) = records.into_iter().map(accept).unzip();
        // If the pusher was stopped, the replies are dropped with what comes back.
        let _ = self.blocks.send(jobs).await;
        pushed
    }

    /// Sends nothing more. What was not acknowledged is handed back: as [`PushError::Stopped`] if
    /// it was not encrypted yet, and otherwise with the code `Stopped` in the Regions that have
    /// not acknowledged it.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// What the pusher and its clones have done so far.
    #[must_use]
    pub fn stats(&self) -> PusherStats {
        self.counters.read(self.cipher.stats(), stats(&self.regions))
    }
}

/// What will have become of a record that was queued. The record is pushed whether this is awaited
/// or not.
#[derive(Debug)]
#[must_use = "whether the record was delivered is known here only"]
pub struct Pushed(oneshot::Receiver<Result<Outcome, PushError>>);

impl Future for Pushed {
    type Output = Result<Outcome, PushError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context).map(|outcome| outcome.unwrap_or(Err(PushError::Stopped)))
    }
}
