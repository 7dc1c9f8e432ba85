//! The names and keys of the table.

use crate::group::GroupId;
use crate::user::UserId;

/// The table's partition key.
pub const PARTITION_KEY: &str = "pk";
/// The table's sort key.
pub const SORT_KEY: &str = "sk";
/// The index from a group to its rows.
pub const MESSAGE_GROUP_INDEX: &str = "message-group-sk-index";

/// The index's partition key. Only group rows have the attribute, so that no message is indexed.
pub(crate) const MESSAGE_GROUP: &str = "message_group_uuid";
/// What the index holds of a row beside its keys.
pub(crate) const INDEXED: [&str; 3] = ["user_uuid", "user_display_name", "user_handle"];
/// The head's attribute: the sort key that the group's rows have.
pub(crate) const LAST_MESSAGE_AT: &str = "last_message_at";
/// The head's sort key. It is alone in its partition.
pub(crate) const HEAD: &str = "HEAD";

pub(crate) const MESSAGE_PREFIX: &str = "MSG#";

/// The partition of a group's messages.
pub(crate) fn of_messages(group: GroupId) -> String {
    format!("{MESSAGE_PREFIX}{group}")
}

/// The partition of a user's conversations.
pub(crate) fn of_conversations(user: UserId) -> String {
    format!("GRP#{user}")
}

/// The partition of a group's head.
pub(crate) fn of_head(group: GroupId) -> String {
    format!("HEAD#{group}")
}
