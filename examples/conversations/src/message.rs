//! Messages.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::created_at::CreatedAt;
use crate::group::GroupId;
use crate::keys;
use crate::table::{Item, to_item};
use crate::user::User;

/// A private message.
///
/// It carries both participants with their names, so that whoever handles it needs nothing else:
/// the group's rows can be made of any message alone, whichever arrives first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "MessageItem", into = "MessageItem")]
pub struct Message {
    group: GroupId,
    created_at: CreatedAt,
    sender: User,
    recipient: User,
    text: String,
}

/// Why there is no such message. Says nothing of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// Sender and recipient are one.
    #[error("a message has two participants; sender and recipient are the same user")]
    OneUser,
    /// The text is empty or too long.
    #[error("the text of a message has 1 to {MAX_TEXT_BYTES} bytes")]
    Text,
    /// The partition key is not that of the participants' conversation.
    #[error("the partition key must be MSG# with the UUID of the participants' conversation")]
    Group,
}

/// Far below what an item and a Kinesis record take.
const MAX_TEXT_BYTES: usize = 32 << 10;

impl Message {
    /// A message in the conversation of two users.
    ///
    /// # Errors
    /// They are one user, or the text is empty or has more than 32 KiB.
    pub fn new(
        sender: User,
        recipient: User,
        created_at: CreatedAt,
        text: impl Into<String>,
    ) -> Result<Self, InvalidMessage> {
        let text = text.into();
        if sender.id() == recipient.id() {
            Err(InvalidMessage::OneUser)
        } else if !(1..=MAX_TEXT_BYTES).contains(&text.len()) {
            Err(InvalidMessage::Text)
        } else {
            let group = GroupId::between(sender.id(), recipient.id());
            Ok(Self { group, created_at, sender, recipient, text })
        }
    }

    /// The record to push: the item that it becomes, as JSON. Its partition key, `pk`, has to be the
    /// Kinesis record's too, so that the messages of a group stay in order.
    #[must_use]
    pub fn record(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(record)) => record,
            _ => unreachable!("a message is a JSON object of texts"),
        }
    }

    pub(crate) fn item(&self) -> Item {
        to_item(self)
    }

    /// The conversation that it belongs to.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// When it was sent, which with the group identifies it.
    #[must_use]
    pub fn created_at(&self) -> &CreatedAt {
        &self.created_at
    }

    /// Who sent it.
    #[must_use]
    pub fn sender(&self) -> &User {
        &self.sender
    }

    /// Who it was sent to.
    #[must_use]
    pub fn recipient(&self) -> &User {
        &self.recipient
    }

    /// What it says.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("group", &self.group)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// A message as the table, the stream's events and the record have it.
#[derive(Serialize, Deserialize)]
struct MessageItem {
    pk: String,
    sk: CreatedAt,
    sender: User,
    recipient: User,
    message: String,
}

impl From<Message> for MessageItem {
    fn from(message: Message) -> Self {
        let Message { group, created_at, sender, recipient, text } = message;
        Self { pk: keys::of_messages(group), sk: created_at, sender, recipient, message: text }
    }
}

impl TryFrom<MessageItem> for Message {
    type Error = InvalidMessage;

    fn try_from(item: MessageItem) -> Result<Self, InvalidMessage> {
        let message = Self::new(item.sender, item.recipient, item.sk, item.message)?;
        match item.pk == keys::of_messages(message.group) {
            true => Ok(message),
            false => Err(InvalidMessage::Group),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dataset::people;

    fn message(text: &str) -> Result<Message, InvalidMessage> {
        let [ada, grace] = [0, 1].map(|at| people()[at].clone());
        Message::new(ada, grace, "2026-01-31T12:00:00.123456789Z".parse().unwrap(), text)
    }

    #[test]
    fn a_record_is_the_item_with_everything_in_it() {
        let message = message("Tea at five?").unwrap();
        let record = Value::Object(message.record());
        let [ada, grace] = [message.sender(), message.recipient()].map(|user| json!(user));
        let expected = json!({
            "pk": format!("MSG#{}", message.group()),
            "sk": "2026-01-31T12:00:00.123456789Z",
            "sender": ada,
            "recipient": grace,
            "message": "Tea at five?",
        });
        assert_eq!(record, expected);
        assert_eq!(serde_json::from_value::<Message>(record).unwrap(), message);
        assert_eq!(serde_dynamo::from_item::<_, Message>(message.item()).unwrap(), message);
    }

    #[test]
    fn what_is_no_message_is_refused_without_its_text() {
        assert_eq!(message(""), Err(InvalidMessage::Text));
        assert_eq!(message(&"x".repeat((32 << 10) + 1)), Err(InvalidMessage::Text));
        let good = message("marker").unwrap();
        let to_self = Message::new(good.sender.clone(), good.sender, good.created_at, "x");
        assert_eq!(to_self, Err(InvalidMessage::OneUser));

        let mut elsewhere = message("marker").unwrap().record();
        elsewhere.insert("pk".into(), json!("MSG#3f2504e0-4f89-41d3-9a0c-0305e82c3301"));
        let error = serde_json::from_value::<Message>(elsewhere.into()).unwrap_err().to_string();
        assert!(error.contains("partition key") && !error.contains("marker"), "{error}");
    }

    #[test]
    fn debug_shows_no_text_and_no_name() {
        let debug = format!("{:?}", message("marker").unwrap());
        assert!(!debug.contains("marker") && !debug.contains("Ada"), "{debug}");
    }
}
