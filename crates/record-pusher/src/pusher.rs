//! The pusher.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::Duration;

use aws_config::SdkConfig;
use futures::future::{FutureExt, join_all};
use record_cipher::{KmsKeyId, Record, RecordCipher, RegionName, StreamName};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::aggregator::{Aggregator, QueuedRecord};
use crate::batcher::BatchSettings;
use crate::builder::{MAX_BYTES_IN_FLIGHT, REQUEST_LINGER, RecordPusherBuilder};
use crate::capacity::{Capacity, Reservation};
use crate::delivery::{Leftovers, Reply, refuse};
use crate::outage::{Outage, Outages};
use crate::outcome::{Outcome, PushError, Undelivered};
use crate::pipeline::{Encryptor, MAX_BLOCKS, Pipeline, Submission};
use crate::region::{Region, stats};
use crate::stats::{PusherStats, RecordCounters};

/// Encrypts records and puts them to one stream in every Region.
///
/// Create one and keep it: it owns the data key cache, the connections, and a queue for each Region
/// in which the records of all callers share requests. Clones share all of that.
///
/// [Close](Self::close) the pusher before the runtime ends. When the last clone is dropped instead,
/// queued records are still sent as long as the runtime runs, and a warning is logged.
#[derive(Clone)]
pub struct RecordPusher(Arc<Shared>);

struct Shared {
    submissions: mpsc::Sender<Submission>,
    cipher: RecordCipher,
    regions: Arc<[Region]>,
    counters: Arc<RecordCounters>,
    capacity: Capacity,
    outages: Arc<Outages>,
    leftovers: Arc<Leftovers>,
    /// Time that a record has from its acceptance on.
    time_allowed: Duration,
    stop: CancellationToken,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let records = self.capacity.in_flight();
        if records > 0 {
            tracing::warn!(records, "pusher dropped with records in flight; close it first");
        }
    }
}

impl fmt::Debug for RecordPusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordPusher").field("regions", &self.0.regions).finish_non_exhaustive()
    }
}

impl RecordPusher {
    /// Returns a builder with the default settings. The KMS key must exist in every Region; the first
    /// Region's generates the data keys.
    pub fn builder(
        stream: StreamName,
        kms_key: KmsKeyId,
        regions: Vec<RegionName>,
    ) -> RecordPusherBuilder {
        RecordPusherBuilder::new(stream, kms_key, regions)
    }

    pub(crate) fn start(
        cipher: RecordCipher,
        settings: RecordPusherBuilder,
        config: &SdkConfig,
    ) -> Self {
        let stop = CancellationToken::new();
        let outages = Arc::new(Outages::new(settings.on_outage, settings.delivery_timeout));
        let capacity = Capacity::new(MAX_BYTES_IN_FLIGHT);
        let is_aggregating = settings.aggregate_bytes > 0;
        // A record lingers once: for its message or for its request.
        let batch_settings = BatchSettings {
            linger: if is_aggregating { REQUEST_LINGER } else { settings.linger },
            delivery_timeout: settings.delivery_timeout,
            outages: outages.clone(),
            capacity: capacity.clone(),
        };
        let regions: Arc<[Region]> = settings
            .regions
            .iter()
            .map(|name| {
                Region::start(name, &settings.stream, batch_settings.clone(), config, &stop)
            })
            .collect();
        let (counters, leftovers) = (Arc::<RecordCounters>::default(), Arc::<Leftovers>::default());
        let pipeline = Pipeline {
            encryptor: Encryptor {
                cipher: cipher.clone(),
                stream: settings.stream,
                outages: outages.clone(),
            },
            partition_key_field: settings.partition_key_field,
            require_key: settings.require_key,
            aggregator: Aggregator::new(
                settings.aggregate_bytes,
                settings.linger,
                MAX_BYTES_IN_FLIGHT / 2,
            ),
            waiting: Vec::new().into_iter(),
            regions: regions.clone(),
            counters: counters.clone(),
            leftovers: leftovers.clone(),
        };
        let (submissions, receiver) = mpsc::channel(MAX_BLOCKS);
        tokio::spawn(pipeline.run(receiver, stop.clone()));
        Self(Arc::new(Shared {
            submissions,
            cipher,
            regions,
            counters,
            capacity,
            outages,
            leftovers,
            time_allowed: settings.linger + settings.delivery_timeout,
            stop,
        }))
    }

    /// Pushes one record.
    ///
    /// # Errors
    /// [`PushError`] if it was not sent to any Region. The [`Outcome`] has the result of each Region.
    pub async fn put_record(&self, record: impl Into<Record>) -> Result<Outcome, PushError> {
        self.queue_record(record).await.await
    }

    /// Pushes records, and returns an outcome for each in their order. A record that fails does not
    /// affect the others.
    pub async fn put_records(&self, records: Vec<Record>) -> Vec<Result<Outcome, PushError>> {
        join_all(self.queue_records(records).await).await
    }

    /// Accepts a record for pushing, and returns a future of its outcome. Waits for capacity: a
    /// pusher holds 8 MiB of records at once, so a slow Region slows the others down. A Region that
    /// acknowledges nothing for the whole delivery timeout does not: it is left with half of the
    /// capacity, and returns newer records that other Regions have acknowledged.
    ///
    /// Records with the same partition key reach a stream in the order of these calls.
    pub async fn queue_record(&self, record: impl Into<Record>) -> Pushed {
        let mut pushed = self.queue_records(vec![record.into()]).await;
        pushed.pop().expect("one record has one future")
    }

    /// Accepts several records, which costs less than one after the other.
    pub async fn queue_records(&self, records: Vec<Record>) -> Vec<Pushed> {
        self.queue_records_within(records, self.0.time_allowed).await
    }

    /// Accepts several records, and returns those as undelivered that are not acknowledged in `time`,
    /// or in the delivery timeout if that is shorter.
    pub async fn queue_records_within(&self, records: Vec<Record>, time: Duration) -> Vec<Pushed> {
        let time = time.min(self.0.time_allowed);
        let mut block = Vec::new();
        let mut pushed = Vec::with_capacity(records.len());
        for record in records {
            let bytes = record.json_len();
            let reservation = match self.0.capacity.try_reserve(bytes) {
                Some(reservation) => reservation,
                None => {
                    // What was accepted must not wait with this record: it may hold the capacity.
                    self.submit(std::mem::take(&mut block)).await;
                    self.0.capacity.reserve(bytes).await
                }
            };
            let (queued, outcome) = self.accept(record, reservation, time);
            block.push(queued);
            pushed.push(outcome);
        }
        self.submit(block).await;
        pushed
    }

    fn accept(
        &self,
        record: Record,
        reservation: Reservation,
        time: Duration,
    ) -> (QueuedRecord, Pushed) {
        self.0.counters.accepted(1, record.json_len());
        let (sender, outcome) = oneshot::channel();
        let deadline = Instant::now() + time;
        (QueuedRecord { record, reply: Reply::new(sender, reservation), deadline }, Pushed(outcome))
    }

    async fn submit(&self, block: Vec<QueuedRecord>) {
        if block.is_empty() {
            return;
        }
        if let Err(mpsc::error::SendError(Submission::Records(block))) =
            self.0.submissions.send(Submission::Records(block)).await
        {
            self.0.counters.refused(block.len());
            for QueuedRecord { record, reply, .. } in block {
                let error = PushError::Stopped;
                refuse(&self.0.leftovers, [record], vec![reply], &error);
            }
        }
    }

    /// Sends lingering records at once, and waits until every record that was accepted before has an
    /// outcome. Records that are queued meanwhile are accepted afterwards.
    pub async fn flush(&self) {
        // If the pusher was stopped, nothing lingers.
        let _ = self.0.submissions.send(Submission::Flush).await;
        self.0.capacity.all_released().await;
    }

    /// Delivers what was accepted, for up to `drain`, then stops the pusher and all its clones.
    /// Returns what was in flight and could not be delivered. Callers that wait for an outcome are
    /// told as well.
    pub async fn close(&self, drain: Duration) -> Vec<Undelivered> {
        self.0.leftovers.collect();
        let _ = timeout(drain, self.flush()).await;
        self.stop();
        self.0.capacity.all_released().await;
        self.0.leftovers.take()
    }

    /// Sends nothing more. Every record in flight gets an outcome within about a second: with the code
    /// `Stopped` in the Regions that have not acknowledged it, or [`PushError::Stopped`] if it could
    /// not be encrypted in that time.
    pub fn stop(&self) {
        self.0.stop.cancel();
    }

    /// Returns a receiver of the current outage. There is one only with
    /// [`OnOutage::Wait`](crate::OnOutage::Wait).
    #[must_use]
    pub fn outage(&self) -> watch::Receiver<Option<Outage>> {
        self.0.outages.subscribe()
    }

    /// Returns counters accumulated by this pusher and its clones.
    #[must_use]
    pub fn stats(&self) -> PusherStats {
        self.0.counters.read(self.0.cipher.stats(), stats(&self.0.regions))
    }
}

/// A future of the outcome of a queued record. The record is pushed whether this is awaited or not.
#[derive(Debug)]
#[must_use = "only this says whether the record was delivered"]
pub struct Pushed(oneshot::Receiver<Result<Outcome, PushError>>);

impl Future for Pushed {
    type Output = Result<Outcome, PushError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.0.poll_unpin(context).map(|outcome| outcome.unwrap_or(Err(PushError::Stopped)))
    }
}
