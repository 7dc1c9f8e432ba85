//! Every program on every network that misbehaves: the required outcome of each cell is that all work
//! is done and the program ends well, unless the table says otherwise.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test helper that fails is a failed test")]

mod cells;
mod hazard;

use std::panic::AssertUnwindSafe;

use futures::future::{FutureExt, join_all};
use program_tests::Fixture;

use hazard::Hazard;

/// Cells that mean nothing, with the reason.
const EMPTY: &[(&str, Hazard, &str)] = &[
    ("tail", Hazard::TooLarge, "requests to read have a few hundred bytes"),
    ("cache-extension", Hazard::TooLarge, "requests to read have a few hundred bytes"),
];

#[tokio::test(flavor = "multi_thread")]
async fn push() {
    check("push", cells::push).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resume() {
    check("resume", cells::resume).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tail() {
    check("tail", cells::tail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redrive() {
    check("redrive", cells::redrive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn record_pusher() {
    check("record-pusher", cells::pusher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn record_consumer() {
    check("record-consumer", cells::consumer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cache_extension() {
    check("cache-extension", cells::extension).await;
}

/// Runs a program once on each network, all at the same time, because they wait more than they work.
async fn check(program: &str, run: impl AsyncFn(&Fixture, Hazard)) {
    let is_empty =
        |hazard| EMPTY.iter().any(|(row, column, _)| (*row, *column) == (program, hazard));
    let cells = Hazard::ALL.into_iter().filter(|hazard| !is_empty(*hazard)).map(async |hazard| {
        let fixture = Fixture::new(&format!("hostile-{program}-{hazard:?}")).await;
        let outcome = AssertUnwindSafe(run(&fixture, hazard)).catch_unwind().await;
        outcome.is_err().then_some(hazard)
    });
    let failed: Vec<_> = join_all(cells).await.into_iter().flatten().collect();
    assert!(failed.is_empty(), "{program} fails on these networks: {failed:?}");
}
