#![doc = include_str!("../README.md")]
#![expect(clippy::unwrap_used, reason = "a helper of tests that fails is a failed test")]

mod extension;
mod fixture;
mod process;
mod records;

pub use extension::{Extension, TTL};
pub use fixture::{Fixture, REGION, STREAM, TABLE};
pub use process::{Ended, Process};
pub use records::{consumer_event, messages, pusher_event, records};

use std::time::Duration;

/// Time in which anything happens on a machine that is busy with other tests.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Waits until something is so.
pub async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}
