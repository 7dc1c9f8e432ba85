//! Settings are checked when a pusher is built.

use std::time::Duration;

use record_pusher::{MessagePusher, Outcome, RecordPusherBuilder, SetupError};
use serde_json::json;

use crate::fixture::{Fixture, HERE, name, record};

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_at_their_edges() {
    type Set = fn(RecordPusherBuilder) -> RecordPusherBuilder;
    let good: [Set; 14] = [
        |b| b.aggregate_bytes(0),
        |b| b.aggregate_bytes(1_000_000),
        |b| b.linger(Duration::ZERO),
        |b| b.linger(Duration::from_secs(60)),
        |b| b.delivery_timeout(Duration::from_secs(1)),
        |b| b.delivery_timeout(Duration::from_secs(86_400)),
        |b| b.cache_capacity(0),
        |b| b.cache_capacity(1_000_000),
        |b| b.cache_max_age(Duration::from_secs(1)),
        |b| b.cache_max_age(Duration::from_secs(365 * 86_400)),
        |b| b.cache_max_messages(1),
        |b| b.cache_max_messages(1 << 32),
        |b| b.partition_key_field("a"),
        |b| b.aggregate_bytes(1_000_000).linger(Duration::from_secs(60)),
    ];
    for set in good {
        let fixture = Fixture::new().await;
        let pusher = fixture.build(set(fixture.builder())).await;
        let pushed = pusher.queue_record(record(&json!({ "a": "1" }))).await;
        pusher.flush().await;
        assert!(pushed.await.unwrap().is_delivered());
    }
    let bad: [(&str, Set); 14] = [
        ("aggregate_bytes", |b| b.aggregate_bytes(1_000_001)),
        ("aggregate_bytes", |b| b.aggregate_bytes(usize::MAX)),
        ("linger", |b| b.linger(Duration::from_millis(60_001))),
        ("linger", |b| b.linger(Duration::MAX)),
        ("delivery_timeout", |b| b.delivery_timeout(Duration::ZERO)),
        ("delivery_timeout", |b| b.delivery_timeout(Duration::from_millis(999))),
        ("delivery_timeout", |b| b.delivery_timeout(Duration::from_secs(86_401))),
        ("delivery_timeout", |b| b.delivery_timeout(Duration::from_secs(u64::MAX))),
        ("cache_capacity", |b| b.cache_capacity(1_000_001)),
        ("cache_max_age", |b| b.cache_max_age(Duration::ZERO)),
        ("cache_max_age", |b| b.cache_max_age(Duration::MAX)),
        ("cache_max_messages", |b| b.cache_max_messages(0)),
        ("cache_max_messages", |b| b.cache_max_messages(u64::MAX)),
        ("partition_key_field", |b| b.partition_key_field("")),
    ];
    let fixture = Fixture::new().await;
    for (name, set) in bad {
        let error = set(fixture.builder()).build(&fixture.config).await.unwrap_err();
        let text = error.to_string();
        let SetupError::OutOfRange { setting, value, allowed, .. } = error else {
            panic!("{text}")
        };
        assert_eq!(setting, name);
        assert_eq!(text, format!("{name} is {value}; it must be {allowed}"));
    }
    for regions in [vec![], vec![name(HERE), name(HERE)]] {
        let error = fixture.builder_for(regions).build(&fixture.config).await.unwrap_err();
        assert!(error.to_string().contains("egion"), "{error}");
    }
    let stream = "records".parse().unwrap();
    for timeout in [Duration::ZERO, Duration::MAX] {
        MessagePusher::new(&name(HERE), &stream, timeout, &fixture.config).unwrap_err();
    }
}

#[test]
fn debug_shows_no_message() {
    // An outcome is the one public type that holds a message.
    let shown = |outcome: &Outcome| format!("{outcome:?}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let outcome = runtime.block_on(async {
        let fixture = Fixture::new().await;
        fixture.pusher().await.put_record(record(&json!({}))).await.unwrap()
    });
    assert!(shown(&outcome).contains("Entry { size: "), "{}", shown(&outcome));
}
