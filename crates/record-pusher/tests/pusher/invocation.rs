//! An invocation of the function ends in time.

use std::time::Duration;

use record_pusher::lambda::{PushEvent, RecordResponse, handle};
use serde_json::json;

use crate::fixture::{Fixture, Obstacle};

#[tokio::test(flavor = "multi_thread")]
async fn an_invocation_reports_every_record_before_its_time_is_over() {
    for obstacle in Obstacle::ALL {
        for (key, linger) in [("id", 5), ("account", 5), ("id", 60_000)] {
            let fixture = Fixture::new().await;
            obstacle.inject(&fixture.aws);
            let builder = fixture.builder().partition_key_field(key).aggregate_bytes(500);
            let pusher = fixture.build(builder.linger(Duration::from_millis(linger))).await;
            let records: Vec<_> =
                (0..20).map(|id| json!({ "id": id.to_string(), "account": 1 })).collect();
            let event = json!({ "records": records, "acknowledgements": true }).to_string();
            let event: PushEvent = serde_json::from_str(&event).unwrap();
            let time = Duration::from_secs(2);
            let started = tokio::time::Instant::now();
            let response = handle(&pusher, event, time).await;
            // Less than the delivery timeout, and more than a busy machine takes.
            assert!(started.elapsed() < time * 6, "{obstacle:?}: {:?}", started.elapsed());
            let records = response.acknowledgements.unwrap_or_default();
            assert_eq!((response.records, records.len()), (20, 20), "{obstacle:?}");
            let is_sent = |record: &&RecordResponse| matches!(record, RecordResponse::Sent { .. });
            let sent = records.iter().filter(is_sent).count();
            let is_out = matches!(obstacle, Obstacle::KmsHangs | Obstacle::KmsThrottles);
            assert_eq!(sent, if is_out { 0 } else { 20 }, "{obstacle:?}");
            let everything = matches!(obstacle, Obstacle::None);
            assert_eq!(response.undelivered, if everything { 0 } else { 20 }, "{obstacle:?}");
        }
    }
}
