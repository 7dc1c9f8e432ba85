//! Messages that are encrypted already.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use record_cipher::{RegionName, StreamName};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batcher::BatchSettings;
use crate::builder::{MAX_BYTES_IN_FLIGHT, REQUEST_LINGER, SetupError, check_delivery_timeout};
use crate::capacity::{Capacity, Reservation};
use crate::entry::Entry;
use crate::outage::{OnOutage, Outages};
use crate::outcome::{Delivery, DeliveryError};
use crate::pending_delivery::{PendingDelivery, Recipient};
use crate::region::Region;

/// Puts messages to the stream of one Region that were encrypted before: those of
/// [`Outcome`](crate::Outcome)s that were not delivered there.
///
/// It batches and retries as a [`RecordPusher`](crate::RecordPusher) does.
#[derive(Debug)]
pub struct MessagePusher {
    region: Region,
    capacity: Capacity,
    delivery_timeout: Duration,
    stop: CancellationToken,
}

impl MessagePusher {
    /// Creates a pusher to one stream. `delivery_timeout` is the time that a message may wait for an
    /// acknowledgement, 1 second to 1 day. Makes no AWS calls.
    ///
    /// # Errors
    /// [`SetupError`] if `delivery_timeout` is out of range.
    pub fn new(
        region: &RegionName,
        stream: &StreamName,
        delivery_timeout: Duration,
        config: &SdkConfig,
    ) -> Result<Self, SetupError> {
        check_delivery_timeout(delivery_timeout)?;
        let outages = Arc::new(Outages::new(OnOutage::Fail, delivery_timeout));
        let capacity = Capacity::new(MAX_BYTES_IN_FLIGHT);
        let settings = BatchSettings {
            linger: REQUEST_LINGER,
            delivery_timeout,
            outages,
            capacity: capacity.clone(),
        };
        let stop = CancellationToken::new();
        let region = Region::start(region, stream, settings, config, &stop);
        Ok(Self { region, capacity, delivery_timeout, stop })
    }

    /// Queues a message, waiting for capacity, and returns a future of its result. Messages with the
    /// same partition key reach the stream in the order of these calls.
    pub async fn queue(
        &self,
        partition_key: String,
        message: Vec<u8>,
    ) -> impl Future<Output = Result<Delivery, DeliveryError>> + Send + use<> {
        let entry = Arc::new(Entry { partition_key, unordered: false, data: message });
        let reservation = self.capacity.reserve(entry.size()).await;
        let reserved = reservation.bytes();
        let (sender, result) = oneshot::channel();
        let caller = Arc::new(Caller(Mutex::new(Some((sender, reservation)))));
        let (deadline, counters) =
            (Instant::now() + self.delivery_timeout, self.region.counters.clone());
        self.region
            .batcher
            .put(PendingDelivery::new(entry, deadline, reserved, counters, 0, caller));
        async { result.await.expect("a pending delivery is resolved before it is gone") }
    }

    /// Returns every message in flight as undelivered with the code `Stopped`, and accepts no more.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

/// The caller of one message, until it is told.
struct Caller(Mutex<Option<(Sender, Reservation)>>);

type Sender = oneshot::Sender<Result<Delivery, DeliveryError>>;

impl Recipient for Caller {
    fn resolve(&self, _region: usize, result: Result<Delivery, DeliveryError>) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The caller may have stopped waiting.
        let _ = waiting.map(|(sender, _)| sender.send(result));
    }

    /// There is no other Region.
    fn is_acknowledged(&self) -> bool {
        false
    }
}
