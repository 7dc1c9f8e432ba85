//! Sending without the pipeline.

use conversations::{DirectSender, Sent, Updater};

use crate::fixture::{deadline, event, message, shown, sorted};
use crate::table::{Fault, MemoryTable};

fn sender(table: &MemoryTable, faults: &[Fault]) -> DirectSender {
    DirectSender::with_table(Box::new(table.with_faults(faults)))
}

fn kinds(table: &MemoryTable) -> Vec<String> {
    let of = |writes: Vec<_>| writes.iter().map(|write| format!("{write:?} ")).collect();
    table.transactions().into_iter().map(of).collect()
}

#[tokio::test]
async fn the_first_message_and_both_rows_are_one_transaction() {
    let table = MemoryTable::default();
    let first = message(0, false, 1, 0);
    assert_eq!(sender(&table, &[]).send(&first).await, Ok(Sent::Newest { units: 10.0 }));
    assert_eq!(kinds(&table), ["Message Head PutRow PutRow "]);
}

#[tokio::test]
async fn an_older_message_is_written_and_the_rows_stay() {
    let table = MemoryTable::default();
    let (old, new) = (message(0, false, 1, 0), message(0, true, 2, 0));
    sender(&table, &[]).send(&new).await.unwrap();
    assert_eq!(sender(&table, &[]).send(&old).await, Ok(Sent::Older));
    assert_eq!(kinds(&table)[1..], ["Message "]);
    assert_eq!(table.items().len(), 5);
}

#[tokio::test]
async fn no_message_replaces_another() {
    let table = MemoryTable::default();
    let first = message(0, false, 1, 0);
    sender(&table, &[]).send(&first).await.unwrap();
    assert_eq!(sender(&table, &[]).send(&first).await, Ok(Sent::Exists));
    assert_eq!(table.transactions().len(), 1);
}

#[tokio::test]
async fn two_first_messages_at_the_same_time_make_one_conversation() {
    let table = MemoryTable::default();
    let (one, other) = (message(0, false, 1, 0), message(0, true, 1, 1));
    let (first, second) = (sender(&table, &[]), sender(&table, &[Fault::Late(2), Fault::Late(5)]));
    let (first, second) = tokio::join!(first.send(&one), second.send(&other));
    assert!(first.is_ok() && second.is_ok());
    let rows = sorted(table.items()).into_iter().filter(|item| !item.contains_key("sender"));
    assert_eq!(rows.collect::<Vec<_>>(), sorted(shown(&other)));
    assert_eq!(table.items().len(), 5);
}

#[tokio::test]
async fn the_updater_finds_nothing_to_do_after_it() {
    let table = MemoryTable::default();
    let first = message(0, false, 1, 0);
    sender(&table, &[]).send(&first).await.unwrap();
    let updater = Updater::with_table(Box::new(table.clone()));
    updater.handle(event([&first]), deadline()).await;
    assert_eq!(table.transactions().len(), 1);
}
