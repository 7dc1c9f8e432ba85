//! The event and the response of the Lambda function.

mod event;
mod response;

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;

use crate::RecordPusher;
use crate::outcome::Outcome;

pub use event::PushEvent;
pub use response::{FailedRecords, PushResponse, RecordResponse, RegionResponse};

/// Time in which records that are past their deadline report it.
const REPORT_TIME: Duration = Duration::from_millis(300);

/// Pushes the records of an event, and reports in `time` what became of each.
pub async fn handle(pusher: &RecordPusher, event: PushEvent, time: Duration) -> PushResponse {
    let delivery_time = time.saturating_sub(REPORT_TIME);
    let records = event.into_records();
    let count = records.len();
    let push = async {
        let pushed = pusher.queue_records_within(records, delivery_time).await;
        // No more records come with this event.
        let ((), outcomes) = tokio::join!(pusher.flush(), join_all(pushed));
        outcomes
    };
    let response = match timeout(time, push).await {
        Ok(outcomes) => {
            let delivered =
                |outcome: &&Result<Outcome, _>| outcome.as_ref().is_ok_and(Outcome::is_delivered);
            let undelivered = count - outcomes.iter().filter(delivered).count();
            PushResponse::new(undelivered, &outcomes)
        }
        Err(_) => PushResponse::out_of_time(count),
    };
    tracing::info!(records = count, undelivered = response.undelivered(), "event done");
    response
}
