//! What holds for any function that stops failing.

use std::cell::RefCell;
use std::time::Duration;

use crate::fixture::{STREAM_ARN, numbers, push, reported};
use aws_lambda_events::event::kinesis::KinesisEvent;
use event_source::{
    EventSourceMapping, FirstRecordReported, FunctionError, InvocationResult, Settings, Shard,
};
use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::time::{advance, sleep};

/// What a function does with an event. Positions are taken modulo the number of records.
#[derive(Debug, Clone)]
enum Step {
    Succeed,
    Fail { seconds: u64 },
    Report(Vec<usize>),
    ReportUnknown,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Succeed),
        (0..40_u64).prop_map(|seconds| Step::Fail { seconds }),
        prop::collection::vec(0..20_usize, 1..4).prop_map(Step::Report),
        Just(Step::ReportUnknown),
    ]
}

prop_compose! {
    fn settings()(
        batch_size in 1..20_usize,
        bisect_batch_on_function_error: bool,
        maximum_retry_attempts in prop::option::of(0..4_u32),
        maximum_record_age in prop::option::of((60..90_u64).prop_map(Duration::from_secs)),
        report_batch_item_failures: bool,
        first_record_reported in prop_oneof![
            Just(FirstRecordReported::Halve), Just(FirstRecordReported::Retry)
        ],
    ) -> Settings {
        Settings {
            batch_size,
            bisect_batch_on_function_error,
            maximum_retry_attempts,
            maximum_record_age,
            report_batch_item_failures,
            first_record_reported,
            ..Settings::default()
        }
    }
}

/// A function, and the records that it got with success.
struct Function {
    reports: bool,
    steps: RefCell<std::vec::IntoIter<Step>>,
    succeeded: RefCell<Vec<u64>>,
}

impl Function {
    async fn invoke(&self, event: KinesisEvent) -> InvocationResult {
        let records = numbers(&event);
        let step = self.steps.borrow_mut().next().unwrap_or(Step::Succeed);
        let (successes, result) = self.act(step, &records).await;
        self.succeeded.borrow_mut().extend(&records[..successes]);
        result
    }

    async fn act(&self, step: Step, records: &[u64]) -> (usize, InvocationResult) {
        match step {
            Step::Succeed => (records.len(), Ok(None)),
            Step::Fail { seconds } => {
                sleep(Duration::from_secs(seconds)).await;
                (0, Err(FunctionError))
            }
            Step::ReportUnknown => (self.successes(0, records), reported(&["unknown"])),
            Step::Report(positions) => {
                let at = positions.into_iter().map(|at| at % records.len());
                let at = at.collect::<Vec<_>>();
                let identifiers = at.iter().map(|&at| records[at].to_string());
                let identifiers = identifiers.collect::<Vec<_>>();
                let identifiers = identifiers.iter().map(String::as_str).collect::<Vec<_>>();
                let lowest = at.into_iter().min().unwrap();
                (self.successes(lowest, records), reported(&identifiers))
            }
        }
    }

    /// Without `ReportBatchItemFailures` every response is one of success.
    fn successes(&self, reported_from: usize, records: &[u64]) -> usize {
        if self.reports { reported_from } else { records.len() }
    }
}

proptest! {
    #[test]
    fn every_record_is_delivered_once_with_success_or_discarded_and_in_order(
        settings in settings(),
        pauses in prop::collection::vec(0..5_u64, 0..60),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        let (succeeded, discarded, delivered) = runtime.unwrap().block_on(async {
            let mut shard = Shard::new(STREAM_ARN, 0);
            for (&seconds, number) in pauses.iter().zip(1..) {
                push(&mut shard, [number]);
                advance(Duration::from_secs(seconds)).await;
            }
            let function = Function {
                reports: settings.report_batch_item_failures,
                steps: RefCell::new(steps.into_iter()),
                succeeded: RefCell::default(),
            };
            let mapping = EventSourceMapping::new(settings).unwrap();
            let report = mapping.drain(&mut shard, |event| function.invoke(event)).await;
            let discarded = report.discarded.iter().flat_map(|batch| numbers(&batch.event));
            (function.succeeded.into_inner(), discarded.collect::<Vec<_>>(), report.delivered)
        });
        prop_assert!(succeeded.is_sorted_by(|a, b| a < b), "{succeeded:?}");
        prop_assert!(discarded.is_sorted_by(|a, b| a < b), "{discarded:?}");
        prop_assert_eq!(delivered, succeeded.len());
        let mut all = [succeeded, discarded].concat();
        all.sort_unstable();
        prop_assert_eq!(all, (1..=pauses.len() as u64).collect::<Vec<_>>());
    }
}
