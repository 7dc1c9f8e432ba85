//! The event and the response of the Lambda function.

mod event;
mod on_undelivered;
mod response;

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use crate::RecordPusher;

pub use event::PushEvent;
pub use on_undelivered::{OnUndelivered, UndeliveredError};
pub use response::{FailedRecords, PushResponse, RecordResponse, RegionResponse};

/// Time in which records that are past their deadline report it.
const REPORT_TIME: Duration = Duration::from_millis(300);

/// Pushes the records of an event, and reports in `time` what became of each.
pub async fn handle(pusher: &RecordPusher, event: PushEvent, time: Duration) -> PushResponse {
    let delivery_time = time.saturating_sub(REPORT_TIME);
    let with_acknowledgements = event.wants_acknowledgements();
    let records = event.into_records();
    let count = records.len();
    let push = async {
        let pushed = pusher.queue_records_within(records, delivery_time).await;
        // No more records come with this event.
        let ((), outcomes) = tokio::join!(pusher.flush(), join_all(pushed));
        outcomes
    };
    let response = match timeout(time, push).await {
        Ok(outcomes) => PushResponse::new(&outcomes, with_acknowledgements),
        Err(_) => PushResponse::out_of_time(count),
    };
    tracing::info!(records = count, undelivered = response.undelivered, "event done");
    response
}
