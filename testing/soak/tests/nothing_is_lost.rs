//! Whatever fails for a while: every record is either written, quarantined or undelivered.

use futures::stream::{self, StreamExt};
use soak::{Plan, run};

/// Concurrent runs. They wait more than they compute.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn every_record_is_accounted_for_despite_faults() {
    let runs = stream::iter(0..16).for_each_concurrent(AT_ONCE, |seed| async move {
        let plan = Plan::from_seed(seed);
        let report = run(&plan).await.unwrap_or_else(|error| panic!("{plan:?}: {error:#}"));
        assert!(report.problems.is_empty(), "{plan:?}\n{report}");
    });
    runs.await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_faults_everything_is_delivered_once() {
    let report = run(&Plan::new(1, 500, false)).await.unwrap();
    assert!(report.problems.is_empty(), "{report}");
    for region in report.regions {
        assert_eq!(region.written + region.quarantined, 500);
        assert_eq!((region.undelivered, region.redelivered), (0, 0));
    }
}
