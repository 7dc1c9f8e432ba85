//! A user's view of a conversation: the group row.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::created_at::CreatedAt;
use crate::group::GroupId;
use crate::keys;
use crate::message::Message;
use crate::table::{Item, to_item};
use crate::user::{InvalidUser, User, UserId};

/// A conversation as one of its participants sees it in a list.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Row")]
pub struct Conversation {
    /// The conversation.
    pub message_group_uuid: GroupId,
    /// When its last message was sent.
    pub last_message_at: CreatedAt,
    /// How the last message begins.
    pub message: String,
    /// The other participant.
    #[serde(flatten)]
    pub with: User,
}

/// With every other attribute at its limit, a row of this preview has less than 1 KB.
const MAX_PREVIEW_BYTES: usize = 500;

impl Conversation {
    pub(crate) fn last_message_at(&self) -> &CreatedAt {
        &self.last_message_at
    }

    /// The rows of a group whose last message this is, one for each participant.
    pub(crate) fn rows(message: &Message) -> [Item; 2] {
        let row = |user: &User, other: &User| {
            to_item(&Row {
                pk: keys::of_conversations(user.id()),
                sk: message.created_at().clone(),
                message_group_uuid: message.group(),
                message: preview(message.text()),
                user_uuid: other.id(),
                user_display_name: other.display_name().to_owned(),
                user_handle: other.handle().to_owned(),
            })
        };
        let (sender, recipient) = (message.sender(), message.recipient());
        [row(sender, recipient), row(recipient, sender)]
    }

    /// The key that a participant's row has while this is the time of the last message.
    pub(crate) fn key(user: UserId, last_message_at: &CreatedAt) -> Item {
        to_item(&Key { pk: keys::of_conversations(user), sk: last_message_at.clone() })
    }
}

/// Shows who it is with, by their UUID, and nothing of what is written.
impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("message_group_uuid", &self.message_group_uuid)
            .field("last_message_at", &self.last_message_at)
            .finish_non_exhaustive()
    }
}

fn preview(text: &str) -> String {
    const CUT: &str = "…";
    if text.len() <= MAX_PREVIEW_BYTES {
        return text.to_owned();
    }
    format!("{}{CUT}", &text[..text.floor_char_boundary(MAX_PREVIEW_BYTES - CUT.len())])
}

#[derive(Serialize)]
struct Key {
    pk: String,
    sk: CreatedAt,
}

/// A conversation as the table has it.
#[derive(Serialize, Deserialize)]
struct Row {
    pk: String,
    sk: CreatedAt,
    message_group_uuid: GroupId,
    message: String,
    user_uuid: UserId,
    user_display_name: String,
    user_handle: String,
}

impl TryFrom<Row> for Conversation {
    type Error = InvalidUser;

    fn try_from(row: Row) -> Result<Self, Self::Error> {
        Ok(Self {
            message_group_uuid: row.message_group_uuid,
            last_message_at: row.sk,
            message: row.message,
            with: User::new(row.user_uuid, row.user_display_name, row.user_handle)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;
    use uuid::Uuid;

    use super::*;

    fn user(number: u128) -> User {
        User::new(Uuid::from_u128(number).into(), "😀".repeat(64), "h".repeat(30)).unwrap()
    }

    /// As DynamoDB counts, names and texts in UTF-8:
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
    fn size(item: &Item) -> usize {
        let text = |value: &AttributeValue| value.as_s().unwrap().len();
        item.iter().map(|(name, value)| name.len() + text(value)).sum()
    }

    #[test]
    fn the_largest_row_costs_one_write_unit() {
        let created_at = "2026-01-31T12:00:00.123456789Z".parse().unwrap();
        let message = Message::new(user(1), user(2), created_at, "😀".repeat(1000)).unwrap();
        for row in Conversation::rows(&message) {
            assert!((950..=1024).contains(&size(&row)), "{}", size(&row));
        }
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        assert_eq!(preview("short"), "short");
        assert_eq!(preview(&"a".repeat(500)).len(), 500);
        let cut = preview(&"é".repeat(251));
        assert!(cut.len() <= 500 && cut.ends_with("é…"), "{cut}");
    }
}
