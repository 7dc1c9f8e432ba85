//! Messages that are there already.

use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use record_cipher::{RegionName, StreamName};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::batcher::Patience;
use crate::kinesis::Entry;
use crate::outcome::{Delivery, DeliveryError};
use crate::receipt::{Destination, receipts};
use crate::region::Region;

/// Puts messages to the stream of one Region that were encrypted before: those of
/// [`Outcome`](crate::Outcome)s that were not delivered there.
///
/// It batches and tries again as a [`RecordPusher`](crate::RecordPusher) does.
#[derive(Debug)]
pub struct MessagePusher {
    region: Region,
    destinations: Arc<[Destination]>,
    stop: CancellationToken,
}

impl MessagePusher {
    /// A pusher to one stream. `delivery_timeout` is how long a message may wait for an
    /// acknowledgement. Calls nothing yet.
    #[must_use]
    pub fn new(
        region: &RegionName,
        stream: &StreamName,
        delivery_timeout: Duration,
        config: &SdkConfig,
    ) -> Self {
        let patience = Patience { linger: Duration::from_millis(5), delivery_timeout };
        let stop = CancellationToken::new();
        let region = Region::start(region, stream, patience, config, &stop);
        Self { destinations: Arc::from([region.destination()]), region, stop }
    }

    /// Queues a message, waiting while the queue is full, and returns a future of what becomes of it.
    /// Messages of one partition key reach the stream in the order of these calls.
    pub async fn queue(
        &self,
        partition_key: String,
        message: Vec<u8>,
    ) -> impl Future<Output = Result<Delivery, DeliveryError>> + Send + use<> {
        let entry = Arc::new(Entry { partition_key, is_alone: false, data: message });
        let (reply, outcome) = oneshot::channel();
        let name = self.region.name.clone();
        for receipt in receipts(&entry, &self.destinations, vec![reply]) {
            self.region.batcher.put(entry.clone(), receipt).await;
        }
        self.region.batcher.flush();
        async move {
            let outcome = outcome.await.expect("a receipt is resolved before it is gone");
            let delivery = outcome.ok().and_then(|outcome| outcome.regions().get(&name).cloned());
            delivery.expect("an entry has an outcome in its Region")
        }
    }

    /// Sends nothing more. What was not acknowledged is handed back with the code `Stopped`.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}
