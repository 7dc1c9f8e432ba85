//! Shards, functions and what they saw.

use std::collections::VecDeque;
use std::future::ready;

use aws_lambda_events::event::kinesis::KinesisEvent;
use aws_lambda_events::event::streams::KinesisEventResponse;
use event_source::{EventSourceMapping, FunctionError, InvocationResult, Report, Settings, Shard};

pub(crate) const STREAM_ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/records";

/// A shard with so many records. Their sequence numbers count from 1.
pub(crate) fn shard(records: u64) -> Shard {
    let mut shard = Shard::new(STREAM_ARN, 0);
    push(&mut shard, 1..=records);
    shard
}

pub(crate) fn push(shard: &mut Shard, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        let number = number.to_string();
        shard.push_numbered(&number, "key", number.clone().into()).unwrap();
    }
}

/// What a function got, invocation by invocation, and what the mapping says of it.
pub(crate) struct Run {
    pub(crate) deliveries: Vec<Vec<u64>>,
    pub(crate) report: Report,
}

/// Drains the shard into a function that answers by the sequence numbers that it gets.
pub(crate) async fn run(
    settings: Settings,
    shard: &mut Shard,
    mut answer: impl FnMut(&[u64]) -> InvocationResult,
) -> Run {
    let mut deliveries = Vec::new();
    let mapping = EventSourceMapping::new(settings).unwrap();
    let function = |event| {
        let numbers = numbers(&event);
        let result = answer(&numbers);
        deliveries.push(numbers);
        ready(result)
    };
    let report = mapping.drain(shard, function).await;
    Run { deliveries, report }
}

pub(crate) fn numbers(event: &KinesisEvent) -> Vec<u64> {
    let records = event.records.iter();
    records.map(|record| record.kinesis.sequence_number.parse().unwrap()).collect()
}

/// Gives these answers, and then succeeds.
pub(crate) fn script(
    answers: impl IntoIterator<Item = InvocationResult>,
) -> impl FnMut(&[u64]) -> InvocationResult {
    let mut answers: VecDeque<_> = answers.into_iter().collect();
    move |_| answers.pop_front().unwrap_or(Ok(None))
}

/// Fails if it gets the record.
pub(crate) fn fails_at(bad: u64) -> impl FnMut(&[u64]) -> InvocationResult {
    move |numbers| if numbers.contains(&bad) { Err(FunctionError) } else { Ok(None) }
}

/// Reports these records.
pub(crate) fn reported(identifiers: &[&str]) -> InvocationResult {
    let mut response = KinesisEventResponse::default();
    response.set_failures(identifiers.iter().copied());
    Ok(Some(response))
}
