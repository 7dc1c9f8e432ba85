//! Which conversation a message belongs to.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::user::UserId;

/// The UUID of the private conversation of two users.
///
/// It is made of theirs (SHA-256, as a UUID of version 8: RFC 9562, section 5.8). So nobody has to look
/// it up to send a message, and two users who write to each other for the first time at the same
/// moment are in one conversation and not in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupId(Uuid);

impl GroupId {
    /// The conversation of two users, in whichever order they are named.
    #[must_use]
    pub fn between(one: UserId, other: UserId) -> Self {
        let (low, high) = (one.min(other), one.max(other));
        Self(uuid_of(&[low.as_bytes().as_slice(), high.as_bytes()].concat()))
    }
}

/// The UUID of a name.
pub(crate) fn uuid_of(name: &[u8]) -> Uuid {
    let hash = digest(&SHA256, name);
    let (bytes, _) = hash.as_ref().split_first_chunk().expect("SHA-256 has 32 bytes");
    Builder::from_custom_bytes(*bytes).into_uuid()
}

impl FromStr for GroupId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for GroupId {
    type Error = uuid::Error;

    fn try_from(text: String) -> Result<Self, uuid::Error> {
        text.parse()
    }
}

impl From<GroupId> for String {
    fn from(group: GroupId) -> Self {
        group.to_string()
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_that_of_its_two_users() {
        let [a, b, c] = [1, 2, 3].map(|number| UserId::from(Uuid::from_u128(number)));
        let group = GroupId::between(a, b);
        assert_eq!(group, GroupId::between(b, a));
        assert_ne!(group, GroupId::between(a, c));
        assert_eq!(group.0.get_version_num(), 8);
        // As `sha256sum` has it, so that every implementation finds the same.
        assert_eq!(group.to_string(), "78d68721-debb-823c-b880-232869a63e25");
    }
}
