//! Flushing, closing, stopping and dropping a pusher.

use std::time::Duration;

use record_pusher::{ErrorKind, PushError, Undelivered};
use serde_json::{Value, json};

use crate::fixture::{Fixture, HERE, Obstacle, THERE, code, name, record, records, records_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_pusher_that_is_dropped_sends_what_was_queued() {
    let fixture = Fixture::new().await;
    let pusher = fixture.pusher().await;
    let pushed = pusher.queue_record(record(&json!({}))).await;
    drop(pusher);
    assert!(pushed.await.unwrap().is_delivered());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_pusher_refuses_records() {
    let fixture = Fixture::new().await;
    let pusher = fixture.pusher().await;
    pusher.stop();
    let error = match pusher.put_record(record(&json!({}))).await {
        Ok(outcome) => outcome.regions()[&name(HERE)].clone().unwrap_err().kind,
        Err(error) => error.kind(),
    };
    assert_eq!((error, fixture.count(HERE)), (ErrorKind::Retryable, 0));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let error = pusher.put_record(record(&json!({}))).await.unwrap_err();
    assert_eq!((error.clone(), error.kind()), (PushError::Stopped, ErrorKind::Retryable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pusher_has_delivered_or_returned_every_record() {
    for obstacle in Obstacle::ALL {
        for (aggregate_bytes, linger) in [(0, 5), (0, 60_000), (1000, 60_000)] {
            let fixture = Fixture::new().await;
            obstacle.inject(&fixture.aws);
            let builder = fixture.builder().aggregate_bytes(aggregate_bytes);
            let builder = builder.linger(Duration::from_millis(linger));
            let pusher = fixture.build(builder).await;
            drop(pusher.queue_records(records(100)).await);
            let closed = pusher.close(Duration::from_secs(1));
            let undelivered = tokio::time::timeout(Duration::from_secs(10), closed).await;
            let undelivered = undelivered.unwrap_or_else(|_| panic!("{obstacle:?} hangs"));
            for region in [HERE, THERE] {
                let mut ids: Vec<Value> = fixture
                    .plaintexts_lifted(region)
                    .await
                    .into_iter()
                    .flat_map(records_of)
                    .collect();
                for undelivered in &undelivered {
                    match undelivered {
                        Undelivered::Record { record, .. } => {
                            ids.push(serde_json::from_slice(record.as_json()).unwrap());
                        }
                        Undelivered::Message(outcome)
                            if outcome.regions()[&name(region)].is_err() =>
                        {
                            ids.extend(records_of(fixture.plaintext(region, outcome).await));
                        }
                        _ => {}
                    }
                }
                let mut ids: Vec<_> = ids.iter().map(|id| id["id"].as_u64().unwrap()).collect();
                ids.sort_unstable();
                ids.dedup();
                assert_eq!(ids, (0..100).collect::<Vec<_>>(), "{obstacle:?} {linger}");
            }
            let everything = matches!(obstacle, Obstacle::None);
            assert_eq!(undelivered.is_empty(), everything, "{obstacle:?} {linger}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flush_ends_the_linger_and_waits_for_outcomes() {
    for aggregate_bytes in [0, 1000] {
        let fixture = Fixture::new().await;
        let builder = fixture.builder().aggregate_bytes(aggregate_bytes);
        let pusher = fixture.build(builder.linger(Duration::from_secs(60))).await;
        let pushed = pusher.queue_records(records(3)).await;
        pusher.flush().await;
        for outcome in pushed {
            let outcome = futures::future::FutureExt::now_or_never(outcome);
            assert!(outcome.expect("it is known").unwrap().is_delivered());
        }
        pusher.flush().await;
    }
}

/// What is encrypted can be kept, and put later.
#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_accepted_while_a_pusher_stops_are_encrypted() {
    for aggregate_bytes in [0, 1000] {
        let fixture = Fixture::new().await;
        let builder = fixture.builder().aggregate_bytes(aggregate_bytes);
        let pusher = fixture.build(builder.linger(Duration::from_secs(60))).await;
        let first = pusher.queue_records(records(1)).await;
        pusher.flush().await;
        drop(first);
        pusher.stop();
        for outcome in pusher.put_records(records(10)).await {
            let outcome = outcome.expect("a data key is in the cache");
            for region in [HERE, THERE] {
                assert_eq!(code(&outcome, region), "Stopped");
            }
        }
    }
}

/// A service that queues records and returns from `main`.
#[test]
fn a_pusher_that_is_closed_before_its_runtime_ends_loses_nothing() {
    let services = tokio::runtime::Runtime::new().unwrap();
    let fixture = services.block_on(Fixture::new());
    for round in 1..=2 {
        let service = tokio::runtime::Runtime::new().unwrap();
        service.block_on(async {
            let pusher = fixture.pusher().await;
            for record in records(2000) {
                drop(pusher.queue_record(record).await);
            }
            assert_eq!(pusher.close(Duration::from_secs(60)).await, []);
        });
        drop(service);
        assert_eq!([HERE, THERE].map(|region| fixture.count(region)), [2000 * round; 2]);
    }
}
