//! Whatever fails, as long as it ends: every record is written, quarantined or handed back, and only
//! one of these.

use futures::stream::{self, StreamExt};
use soak::{Plan, run};

/// Runs at once: they wait more than they compute.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_accounted_for_whatever_fails() {
    let runs = stream::iter(0..16).for_each_concurrent(AT_ONCE, |seed| async move {
        let plan = Plan::of_seed(seed);
        let figures = run(&plan).await.unwrap_or_else(|error| panic!("{plan:?}: {error:#}"));
        assert!(figures.problems.is_empty(), "{plan:?}\n{figures}");
    });
    runs.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_faults_nothing_is_handed_back_or_delivered_again() {
    let figures = run(&Plan::new(1, 500, false)).await.unwrap();
    assert!(figures.problems.is_empty(), "{figures}");
    for region in figures.regions {
        assert_eq!(region.written + region.quarantined, 500);
        assert_eq!((region.handed_back, region.redelivered), (0, 0));
    }
}
