//! Partial responses and split batches. Each test names the page that has its rule.

use std::time::Duration;

use crate::fixture::{fails_at, numbers, push, reported, run, script, shard};
use aws_lambda_events::event::streams::{KinesisBatchItemFailure, KinesisEventResponse};
use event_source::{Condition, FirstRecordReported, FunctionError, Settings};
use tokio::time::advance;

fn reporting() -> Settings {
    Settings { report_batch_item_failures: true, ..Settings::default() }
}

fn bisecting() -> Settings {
    Settings { bisect_batch_on_function_error: true, ..Settings::default() }
}

fn both() -> Settings {
    Settings { report_batch_item_failures: true, ..bisecting() }
}

// "Configuring partial batch response with Kinesis Data Streams and Lambda", success and failure
// conditions.
#[tokio::test(start_paused = true)]
async fn an_empty_list_and_a_null_response_are_success() {
    for response in [reported(&[]), Ok(None)] {
        let run = run(reporting(), &mut shard(3), script([response])).await;
        assert_eq!((run.report.invocations, run.report.delivered), (1, 3));
    }
}

// "Configuring partial batch response with Kinesis Data Streams and Lambda", report syntax.
#[tokio::test(start_paused = true)]
async fn all_records_from_the_lowest_reported_one_on_are_delivered_again() {
    let settings = Settings { batch_size: 12, ..reporting() };
    let run = run(settings, &mut shard(13), script([reported(&["11", "9", "10"])])).await;
    assert_eq!(run.deliveries, [Vec::from_iter(1..=12), vec![9, 10, 11, 12], vec![13]]);
    assert_eq!(run.report.delivered, 13);
}

// "Configuring partial batch response with Kinesis Data Streams and Lambda", success and failure
// conditions. That an identifier of another batch fails this one is the same rule read widely.
#[tokio::test(start_paused = true)]
async fn an_identifier_that_names_no_record_of_the_batch_fails_the_whole_batch() {
    let mut null = KinesisEventResponse::default();
    null.batch_item_failures.push(KinesisBatchItemFailure::default());
    let settings = Settings { batch_size: 3, ..reporting() };
    for response in
        [reported(&["2", ""]), Ok(Some(null)), reported(&["4", "2"]), reported(&["two"])]
    {
        let run = run(settings.clone(), &mut shard(4), script([response])).await;
        assert_eq!(run.deliveries, [vec![1, 2, 3], vec![1, 2, 3], vec![4]]);
    }
}

// "Configuring partial batch response with Kinesis Data Streams and Lambda": the function type has
// to be turned on.
#[tokio::test(start_paused = true)]
async fn without_the_setting_a_report_is_not_looked_at() {
    let run = run(Settings::default(), &mut shard(3), script([reported(&["2"])])).await;
    assert_eq!(run.deliveries, [[1, 2, 3]]);
}

// "Configuring partial batch response with Kinesis Data Streams and Lambda": failures are retried
// by the retry strategy. Only splitting is said to leave the quota alone, so this uses it up.
#[tokio::test(start_paused = true)]
async fn delivering_the_rest_of_a_batch_again_is_a_retry() {
    let settings = Settings { batch_size: 4, maximum_retry_attempts: Some(1), ..reporting() };
    let answers = [reported(&["2"]), reported(&["3"])];
    let run = run(settings, &mut shard(5), script(answers)).await;
    assert_eq!(run.deliveries, [vec![1, 2, 3, 4], vec![2, 3, 4], vec![5]]);
    assert_eq!(numbers(&run.report.discarded[0].event), [3, 4]);
    assert_eq!(run.report.delivered, 3);
}

// "Retain discarded batch records for a Kinesis Data Streams event source in Lambda".
#[tokio::test(start_paused = true)]
async fn a_batch_that_fails_is_split_in_two_and_the_halves_are_retried_in_order() {
    let run = run(bisecting(), &mut shard(4), script([Err(FunctionError)])).await;
    assert_eq!(run.deliveries, [vec![1, 2, 3, 4], vec![1, 2], vec![3, 4]]);
}

// "Retain discarded batch records for a Kinesis Data Streams event source in Lambda": splitting
// does not consume the retry quota.
#[tokio::test(start_paused = true)]
async fn splitting_isolates_a_bad_record_without_using_up_retries() {
    let settings = Settings { maximum_retry_attempts: Some(1), ..bisecting() };
    let run = run(settings, &mut shard(5), fails_at(3)).await;
    let expected = [vec![1, 2, 3, 4, 5], vec![1, 2], vec![3, 4, 5], vec![3], vec![3], vec![4, 5]];
    assert_eq!(run.deliveries, expected);
    assert_eq!(numbers(&run.report.discarded[0].event), [3]);
    assert_eq!(run.report.discarded[0].approximate_invoke_count, 2);
}

// "Retain discarded batch records for a Kinesis Data Streams event source in Lambda": the age
// counts for split batches too.
#[tokio::test(start_paused = true)]
async fn a_half_that_gets_too_old_before_its_turn_is_discarded() {
    let minute = Duration::from_secs(60);
    let settings = Settings { batch_size: 3, maximum_record_age: Some(minute), ..bisecting() };
    let mut shard = shard(3);
    advance(minute).await;
    push(&mut shard, [4]);
    let run = run(settings, &mut shard, script([Err(FunctionError)])).await;
    assert_eq!(run.deliveries, [vec![1, 2, 3], vec![4]]);
    let discarded = run.report.discarded.iter().map(|batch| (batch.condition, batch.batch_size));
    let too_old = Condition::RecordAgeExceeded;
    assert_eq!(discarded.collect::<Vec<_>>(), [(too_old, 1), (too_old, 2)]);
}

// "Configuring partial batch response with Kinesis Data Streams and Lambda", bisecting a batch.
#[tokio::test(start_paused = true)]
async fn with_both_settings_a_batch_is_split_at_the_reported_record() {
    let settings = Settings { batch_size: 4, maximum_retry_attempts: Some(0), ..both() };
    let answers = [reported(&["2"]), reported(&["4", "3"]), reported(&[])];
    let run = run(settings, &mut shard(5), script(answers)).await;
    assert_eq!(run.deliveries, [vec![1, 2, 3, 4], vec![2, 3, 4], vec![3, 4], vec![5]]);
    assert!(run.report.discarded.is_empty());
}

// "Configuring partial batch response with Kinesis Data Streams and Lambda", bisecting a batch: a
// failed invocation is split whatever the other setting is. One whose first record is reported has
// nothing that could be split off, and counts as failed.
#[tokio::test(start_paused = true)]
async fn with_both_settings_a_batch_without_any_success_is_halved() {
    for answer in [Err(FunctionError), reported(&[""]), reported(&["1"])] {
        let run = run(both(), &mut shard(4), script([answer])).await;
        assert_eq!(run.deliveries, [vec![1, 2, 3, 4], vec![1, 2], vec![3, 4]]);
    }
}

// "Configuring partial batch response with Kinesis Data Streams and Lambda", bisecting a batch: the
// other reading, that the reported record is where the batch is split, and the first one splits
// nothing off. An error still halves the batch.
#[tokio::test(start_paused = true)]
async fn by_the_other_reading_a_batch_whose_first_record_is_reported_is_retried_whole() {
    let settings = || Settings { first_record_reported: FirstRecordReported::Retry, ..both() };
    let retried = run(settings(), &mut shard(4), script([reported(&["1"])])).await;
    assert_eq!(retried.deliveries, [vec![1, 2, 3, 4], vec![1, 2, 3, 4]]);
    let halved = run(settings(), &mut shard(4), script([Err(FunctionError)])).await;
    assert_eq!(halved.deliveries, [vec![1, 2, 3, 4], vec![1, 2], vec![3, 4]]);
    let split = run(settings(), &mut shard(4), script([reported(&["3"])])).await;
    assert_eq!(split.deliveries, [vec![1, 2, 3, 4], vec![3, 4]]);
    let limited = Settings { maximum_retry_attempts: Some(1), ..settings() };
    let answers = [reported(&["1"]), reported(&["1"])];
    let given_up = run(limited, &mut shard(2), script(answers)).await;
    assert_eq!(numbers(&given_up.report.discarded[0].event), [1, 2]);
}
