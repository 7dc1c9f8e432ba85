//! What a batch costs, and what is said of it.

use std::time::Duration;

use conversations::{Updater, Write};

use crate::fixture::{deadline, event, message, record, shown, sorted};
use crate::table::{Fault, MemoryTable};

fn updater(table: &MemoryTable, faults: &[Fault]) -> Updater {
    Updater::with_table(Box::new(table.with_faults(faults)))
}

/// The sequence numbers that are reported.
async fn failures(
    updater: &Updater,
    event: aws_lambda_events::event::dynamodb::Event,
) -> Vec<String> {
    let response = updater.handle(event, deadline()).await;
    let failures = response.batch_item_failures.into_iter();
    failures.filter_map(|failure| failure.item_identifier).collect()
}

#[tokio::test]
async fn several_messages_of_a_group_cost_one_move() {
    let table = MemoryTable::default();
    let messages: Vec<_> = (0..10).map(|at| message(0, at % 2 == 0, 7 * at % 10, 1)).collect();
    assert!(failures(&updater(&table, &[]), event(&messages)).await.is_empty());
    assert_eq!(table.transactions().len(), 1);
    let newest = messages.iter().max_by_key(|message| message.created_at()).unwrap();
    assert_eq!(sorted(table.items()), sorted(shown(newest)));
}

#[tokio::test]
async fn a_move_deletes_both_rows_and_writes_both_anew_in_one_transaction() {
    let table = MemoryTable::default();
    let (first, second) = (message(0, false, 1, 0), message(0, true, 2, 0));
    failures(&updater(&table, &[]), event([&first])).await;
    failures(&updater(&table, &[]), event([&second])).await;
    let kinds = table.transactions().into_iter().map(|writes| {
        writes.iter().map(|write| format!("{write:?}")).collect::<Vec<_>>().join(" ")
    });
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["Head PutRow PutRow", "Head DeleteRow DeleteRow PutRow PutRow"]
    );
}

#[tokio::test]
async fn what_was_moved_already_costs_no_transaction() {
    let table = MemoryTable::default();
    let (old, new) = (message(0, false, 1, 0), message(0, true, 2, 0));
    for batch in [[&new], [&new], [&old]] {
        assert!(failures(&updater(&table, &[]), event(batch)).await.is_empty());
    }
    assert_eq!(table.transactions().len(), 1);
}

#[tokio::test]
async fn rows_and_heads_are_no_messages() {
    let table = MemoryTable::default();
    let rows = shown(&message(0, false, 1, 0)).into_iter().enumerate();
    let mut written_by_itself = event([]);
    written_by_itself
        .records
        .extend(rows.map(|(at, item)| record(at + 1, "INSERT", serde_dynamo::Item::from(item))));
    assert!(failures(&updater(&table, &[Fault::Denied]), written_by_itself).await.is_empty());
    assert!(table.items().is_empty());
}

#[tokio::test]
async fn the_newest_event_of_each_failed_group_is_reported() {
    let table = MemoryTable::default();
    let (first, newest, late) =
        (message(0, false, 1, 0), message(0, false, 3, 0), message(0, false, 2, 0));
    let batch = event([&first, &newest, &late]);
    assert_eq!(failures(&updater(&table, &[Fault::Denied]), batch).await, ["2"]);
    assert!(table.items().is_empty());
}

#[tokio::test]
async fn one_groups_failure_is_no_other_groups() {
    let table = MemoryTable::default();
    let (one, other) = (message(0, false, 1, 0), message(1, false, 1, 0));
    assert_eq!(failures(&updater(&table, &[Fault::Denied]), event([&one, &other])).await.len(), 1);
    assert_eq!(table.items().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_reported_in_time() {
    let table = MemoryTable::default();
    let begin = tokio::time::Instant::now();
    let reported =
        failures(&updater(&table, &[Fault::Hang]), event([&message(0, false, 1, 0)])).await;
    assert_eq!(reported, ["1"]);
    assert!(begin.elapsed() <= Duration::from_secs(60), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_now_is_tried_again() {
    let table = MemoryTable::default();
    let faults = [Fault::Unavailable, Fault::Late(0), Fault::Unavailable];
    assert!(
        failures(&updater(&table, &faults), event([&message(0, false, 1, 0)])).await.is_empty()
    );
    assert_eq!(table.items().len(), 3);
}

#[tokio::test]
async fn an_item_that_is_no_message_keeps_nothing_up() {
    let table = MemoryTable::default();
    let good = message(0, false, 1, 0);
    let mut batch = event([&good, &good]);
    let mut image = batch.records[0].change.new_image.clone().into_inner();
    image.remove("recipient");
    batch.records[0].change.new_image = image.into();
    assert!(failures(&updater(&table, &[]), batch).await.is_empty());
    assert_eq!(sorted(table.items()), sorted(shown(&good)));
}

#[test]
fn writes_do_not_show_what_is_written() {
    let [_, row, _] = shown(&message(0, false, 1, 0)).try_into().unwrap();
    assert_eq!(format!("{:?}", Write::PutRow(row)), "PutRow");
}
