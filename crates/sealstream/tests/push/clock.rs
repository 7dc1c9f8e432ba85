//! A machine whose clock is wrong.

use fake_aws::Operation;

use crate::fixture::{Fixture, HERE, THERE, errors, lines, run, summary};

/// Seconds by which AWS's clock is ahead. It refuses requests from 300 on.
const SKEWS: [i64; 6] = [-86_400, -900, -200, 200, 900, 86_400];

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_loses_no_record_of_a_small_or_a_large_input() {
    for skew in SKEWS {
        for count in [1, 20, 1200] {
            let fixture = Fixture::new(&format!("clock_{skew}_{count}")).await;
            fixture.aws.skew_clock(skew);
            let output = run(fixture.push(&[]), lines(count)).await;
            let context = format!("{skew} s, {count} lines: {}", errors(&output));
            assert_eq!(output.status.code(), Some(0), "{context}");
            assert_eq!((fixture.count(HERE), fixture.count(THERE)), (count, count), "{context}");
        }
    }
}

/// The client remembers the difference, so that only the first requests are refused.
#[tokio::test(flavor = "multi_thread")]
async fn the_right_time_is_learned_once() {
    let fixture = Fixture::new("clock_once").await;
    fixture.aws.skew_clock(900);
    let output = run(fixture.push(&["--cache-max-messages", "10"]), lines(5000)).await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let calls = |operation| fixture.aws.faults().calls(HERE, operation).calls;
    let (requests, keys) = (calls(Operation::PutRecords), calls(Operation::GenerateDataKey));
    assert!(requests > 0 && keys >= 500, "{requests} requests, {keys} data keys");
    let failed = summary(&output)["regions"][HERE]["failed_attempts"].as_u64();
    assert!(failed.unwrap() <= 2000, "{failed:?} attempts of 5000 failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_is_sent_in_spite_of_a_wrong_clock() {
    for skew in SKEWS {
        let fixture = Fixture::new(&format!("clock_resume_{skew}")).await;
        let outage = fixture.outage(THERE);
        let output = run(fixture.push_with_spool(&[]), lines(3)).await;
        assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
        fixture.aws.faults().lift(outage);
        fixture.aws.skew_clock(skew);
        let output = run(fixture.resume(), "").await;
        assert_eq!(output.status.code(), Some(0), "{skew} s: {}", errors(&output));
        assert_eq!(fixture.count(THERE), 3);
    }
}
