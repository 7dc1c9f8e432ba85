//! Private messages through sealstream: a worked example.
//!
//! A [`Message`] travels as one encrypted record and becomes one item of the table. The [`Updater`]
//! follows the table's stream and keeps a [`Conversation`] for each participant whose sort key is
//! the time of the last message. A [`Reader`] asks the table's two questions: the messages of a
//! group, and the conversations of a user. The [`DirectSender`] writes without the pipeline, and
//! in one transaction.
//!
//! `docs/conversations.md` in the repository has the table's design and the reasons.

mod conversation;
mod created_at;
mod cursor;
pub mod dataset;
mod dynamodb;
mod event;
mod group;
mod keys;
mod message;
mod message_clock;
mod move_rows;
mod reader;
mod schema;
mod sender;
mod table;
mod updater;
mod user;

pub use conversation::Conversation;
pub use created_at::{CreatedAt, InvalidCreatedAt};
pub use cursor::{Cursor, InvalidCursor};
pub use group::GroupId;
pub use keys::{MESSAGE_GROUP_INDEX, PARTITION_KEY, SORT_KEY};
pub use message::{InvalidMessage, Message};
pub use message_clock::MessageClock;
pub use reader::{Page, Paging, ReadError, Reader, SkippedItem, Start};
pub use schema::{Schema, SchemaError, check_table, drop_table, load_schema};
pub use sender::{DirectSender, NotSent, Sent};
pub use table::{Item, Table, TableError, Transacted, Write};
pub use updater::{Updated, Updater};
pub use user::{InvalidUser, User, UserId, is_invisible};
