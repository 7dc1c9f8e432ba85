//! Whatever happens to events and calls, lists show the last message of each conversation.
#![expect(clippy::unwrap_used, reason = "tests")]

mod any_order;
mod batches;
mod conformance;
mod fixture;
mod sender;
mod table;
