//! A Region that does not answer does not stop the others.

use fake_aws::{Fault, Operation, Rule};

use crate::fixture::{Fixture, HERE, THERE, ended, errors, lines, run, summary, until};

/// Each counts for a kibibyte and more, so they are several times what a push holds.
const RECORDS: usize = 30_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_region_that_hangs_is_spooled_while_the_others_go_on() {
    let fixture = Fixture::new("hanging_region").await;
    let hang = Rule::new(Fault::Hang).operation(Operation::PutRecords);
    let hang = fixture.inject(hang.region(THERE));
    let input = fixture.file("input.ndjson", lines(RECORDS));
    let mut push = fixture.push_with_spool(&["--cache-max-messages", "10000"]);
    // Each filling of its memory would wait for it otherwise.
    push.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "6").arg(input);
    let child = push.spawn().unwrap();
    until(|| fixture.aws.kinesis().totals(HERE, "records").records == RECORDS as u64).await;
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let region = &summary(&output)["regions"][THERE];
    assert_eq!((region["delivered"].as_u64(), region["spooled"].as_u64()), (Some(0), Some(30_000)));
    fixture.aws.faults().lift(hang);
    let mut resume = fixture.resume();
    resume.env("SEALSTREAM_DELIVERY_TIMEOUT_SECONDS", "60");
    let output = run(resume, "").await;
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(fixture.aws.kinesis().totals(THERE, "records").records, RECORDS as u64);
}
