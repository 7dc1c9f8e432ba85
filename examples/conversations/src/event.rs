//! The messages in an event of the table's stream.

use std::collections::HashMap;

use aws_lambda_events::event::dynamodb::EventRecord;

use crate::group::GroupId;
use crate::keys::{MESSAGE_PREFIX, PARTITION_KEY};
use crate::message::Message;

/// The newest message of each group in an event.
#[derive(Default)]
pub(crate) struct Newest<'a> {
    pub(crate) groups: HashMap<GroupId, (&'a EventRecord, Message)>,
    /// Events of items in the messages' partitions that are none.
    pub(crate) no_messages: Vec<&'a EventRecord>,
}

impl<'a> Newest<'a> {
    pub(crate) fn of(records: &'a [EventRecord]) -> Self {
        let mut newest = Self::default();
        for record in records.iter().filter(|record| is_of_a_message(record)) {
            match serde_dynamo::from_item(record.change.new_image.clone()) {
                Ok(message) => newest.add(record, message),
                // The error may quote the item, so it is not used.
                Err(_) => newest.no_messages.push(record),
            }
        }
        newest
    }

    fn add(&mut self, record: &'a EventRecord, message: Message) {
        let known = self.groups.get(&message.group());
        if known.is_none_or(|(_, known)| known.created_at() < message.created_at()) {
            self.groups.insert(message.group(), (record, message));
        }
    }
}

/// The event source mapping lets nothing else through. A mapping without the filter would start the
/// function with the rows that it writes itself.
fn is_of_a_message(record: &EventRecord) -> bool {
    let partition = record.change.keys.get(PARTITION_KEY);
    let of_messages = |partition: &serde_dynamo::AttributeValue| match partition {
        serde_dynamo::AttributeValue::S(text) => text.starts_with(MESSAGE_PREFIX),
        _ => false,
    };
    record.event_name != "REMOVE" && partition.is_some_and(of_messages)
}
