//! Messages, the events of their arrival, and what the table should have.

use aws_lambda_events::event::dynamodb::{Event, EventRecord};
use aws_sdk_dynamodb::types::AttributeValue;
use conversations::dataset::people;
use conversations::{Item, Message, User};
use tokio::time::{Duration, Instant};

/// A message of one of three conversations, all with the same person.
pub(crate) fn message(conversation: usize, is_answer: bool, micros: u32, tail: usize) -> Message {
    let people = people();
    let (one, other) = (people[0].clone(), people[conversation + 1].clone());
    let (sender, recipient) = if is_answer { (other, one) } else { (one, other) };
    let created_at = format!("2026-01-31T12:00:00.{micros:06}{tail:03}Z");
    Message::new(sender, recipient, created_at.parse().unwrap(), created_at).unwrap()
}

/// An event of new messages. Each has its place in the event as its sequence number, from 1.
pub(crate) fn event<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Event {
    let mut event = Event::default();
    for (at, message) in messages.into_iter().enumerate() {
        let item = serde_dynamo::to_item(message).unwrap();
        event.records.push(record(at + 1, "INSERT", item));
    }
    event
}

pub(crate) fn record(number: usize, name: &str, image: serde_dynamo::Item) -> EventRecord {
    let mut record = EventRecord::default();
    name.clone_into(&mut record.event_name);
    record.event_id = format!("event-{number}");
    record.change.sequence_number = Some(number.to_string());
    let keys = ["pk", "sk"].map(|key| (key.to_owned(), image.get(key).unwrap().clone()));
    record.change.keys = std::collections::HashMap::from(keys).into();
    record.change.new_image = image;
    record
}

/// A minute from now.
pub(crate) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// The head and the rows of a group whose last message this is.
pub(crate) fn shown(message: &Message) -> Vec<Item> {
    let (group, time) = (message.group().to_string(), message.created_at().to_string());
    let head = [("pk", format!("HEAD#{group}")), ("sk", "HEAD".to_owned())];
    let head = head.into_iter().chain([("last_message_at", time.clone())]);
    let row = |user: &User, other: &User| {
        item([
            ("pk", format!("GRP#{}", user.id())),
            ("sk", time.clone()),
            ("message_group_uuid", group.clone()),
            ("message", message.text().to_owned()),
            ("user_uuid", other.id().to_string()),
            ("user_display_name", other.display_name().to_owned()),
            ("user_handle", other.handle().to_owned()),
        ])
    };
    let (sender, recipient) = (message.sender(), message.recipient());
    vec![item(head), row(sender, recipient), row(recipient, sender)]
}

fn item(attributes: impl IntoIterator<Item = (&'static str, String)>) -> Item {
    let attribute = |(name, value): (&str, _)| (name.to_owned(), AttributeValue::S(value));
    attributes.into_iter().map(attribute).collect()
}

/// The items in the order of their keys.
pub(crate) fn sorted(mut items: Vec<Item>) -> Vec<Item> {
    items.sort_by_key(|item| ["pk", "sk"].map(|key| crate::table::text(item, key)));
    items
}
