//! Any order, duplication and crash point of events ends in the same rows.

use std::collections::BTreeMap;

use conversations::{Item, Message, Updater};
use futures::future::join_all;
use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::fixture::{deadline, event, message, shown, sorted};
use crate::table::{Fault, MemoryTable};

/// What one updater is to do: its batches, and what happens to its calls.
type Work = (Vec<Vec<usize>>, Vec<Fault>);

/// Far more than the faults that there are.
const MOST_TRIES: usize = 100;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_order_duplication_and_crash_point_ends_in_the_same_rows(
        (messages, work) in messages_and_work()
    ) {
        let runtime = paused_runtime();
        let table = MemoryTable::default();
        let updaters = work.iter().map(|(batches, faults)| {
            deliver(table.with_faults(faults), &messages, batches)
        });
        runtime.block_on(join_all(updaters));
        prop_assert_eq!(sorted(table.items()), expected(&messages));
    }
}

/// Messages of three conversations, some at the same time; and up to three updaters that work at the
/// same time, each of which gets some of them, in any order and any number of times. Every message
/// is in one batch at least.
///
/// That is more than can happen: all events of a conversation are in one shard of the stream, and
/// one invocation at a time gets them.
fn messages_and_work() -> impl Strategy<Value = (Vec<Message>, Vec<Work>)> {
    let shape = (0..3_usize, any::<bool>(), 0..8_u32);
    (prop::collection::vec(shape, 1..12), 1..4_usize).prop_flat_map(|(messages, updaters)| {
        let of = |(at, &(conversation, is_answer, time)): (usize, &(usize, bool, u32))| {
            message(conversation, is_answer, time, at)
        };
        let messages: Vec<_> = messages.iter().enumerate().map(of).collect();
        let count = messages.len();
        let again = prop::collection::vec(0..count, 0..2 * count);
        let deliveries = again.prop_map(move |again| (0..count).chain(again).collect::<Vec<_>>());
        let work = deliveries.prop_shuffle().prop_flat_map(move |deliveries| {
            let length = deliveries.len();
            let sizes = prop::collection::vec(1..6_usize, length);
            let faults = prop::collection::vec(prop::collection::vec(fault(), 0..20), updaters);
            (sizes, faults).prop_map(move |(sizes, faults)| shares(&deliveries, &sizes, &faults))
        });
        (Just(messages), work)
    })
}

fn paused_runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Deals the deliveries out to the updaters, in batches of these sizes.
fn shares(deliveries: &[usize], sizes: &[usize], faults: &[Vec<Fault>]) -> Vec<Work> {
    let mut work: Vec<Work> = faults.iter().map(|faults| (Vec::new(), faults.clone())).collect();
    let mut rest = deliveries;
    for (at, &size) in sizes.iter().enumerate() {
        let (batch, others) = rest.split_at(size.min(rest.len()));
        let updaters = work.len();
        work[at % updaters].0.push(batch.to_vec());
        rest = others;
    }
    work
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => (0..4_u8).prop_map(Fault::Late),
        1 => Just(Fault::Unavailable),
        1 => Just(Fault::AnswerLost),
        1 => Just(Fault::CrashBefore),
        1 => Just(Fault::CrashAfter),
        1 => Just(Fault::Hang),
        1 => Just(Fault::Denied),
    ]
}

/// Delivers batches as Lambda does: each until it is done, after a failure from the lowest sequence
/// number that was reported, after a crash from its begin.
async fn deliver(table: MemoryTable, messages: &[Message], batches: &[Vec<usize>]) {
    for batch in batches {
        let mut rest = batch.as_slice();
        for _ in 0..MOST_TRIES {
            rest = after_one_try(&table, messages, rest).await;
            if rest.is_empty() {
                break;
            }
        }
        assert!(rest.is_empty(), "the batch is never done");
    }
}

/// What is to be delivered again.
async fn after_one_try<'a>(
    table: &MemoryTable,
    messages: &[Message],
    batch: &'a [usize],
) -> &'a [usize] {
    let updater = Updater::with_table(Box::new(table.clone()));
    let event = event(batch.iter().map(|&at| &messages[at]));
    let response = tokio::select! {
        response = updater.handle(event, deadline()) => response,
        () = table.crashed() => return batch,
    };
    let failures = response.batch_item_failures.into_iter();
    let numbers = failures.map(|failure| failure.item_identifier.unwrap().parse().unwrap());
    numbers.min().map_or(&[], |lowest: usize| &batch[lowest - 1..])
}

fn expected(messages: &[Message]) -> Vec<Item> {
    let mut newest = BTreeMap::new();
    for message in messages {
        let known = newest.entry(message.group()).or_insert(message);
        if known.created_at() < message.created_at() {
            *known = message;
        }
    }
    sorted(newest.into_values().flat_map(shown).collect())
}
