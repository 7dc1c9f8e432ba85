//! Users, as messages carry them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A user's UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserId(Uuid);

impl UserId {
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<Uuid> for UserId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for UserId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for UserId {
    type Error = uuid::Error;

    fn try_from(text: String) -> Result<Self, uuid::Error> {
        text.parse()
    }
}

impl From<UserId> for String {
    fn from(user: UserId) -> Self {
        user.to_string()
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A participant of a conversation, as others see them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct User {
    user_uuid: UserId,
    user_display_name: String,
    user_handle: String,
}

/// Why there is no such user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidUser {
    /// The display name is empty, blank or too long, or has characters that control how text is shown.
    #[error(
        "a display name has 1 to 64 characters, not only blanks, and none that controls a terminal or \
         the direction of writing"
    )]
    DisplayName,
    /// The handle is empty or too long, or has other characters.
    #[error("a handle has 1 to 30 characters of a-z, 0-9 and _")]
    Handle,
}

const MAX_DISPLAY_NAME_CHARS: usize = 64;
const MAX_HANDLE_CHARS: usize = 30;

impl User {
    /// A user of these names.
    ///
    /// # Errors
    /// A name is not allowed. The limits keep a group row below 1 KB, the size that one write unit
    /// pays for.
    pub fn new(
        user_uuid: UserId,
        display_name: impl Into<String>,
        handle: impl Into<String>,
    ) -> Result<Self, InvalidUser> {
        let user = Self::checked(user_uuid, display_name.into(), handle.into())?;
        let name = user.display_name();
        if name.trim().is_empty() || name.chars().any(is_invisible) {
            return Err(InvalidUser::DisplayName);
        }
        Ok(user)
    }

    /// Accepts names that others chose before, which are made safe where they are shown.
    fn checked(
        user_uuid: UserId,
        user_display_name: String,
        user_handle: String,
    ) -> Result<Self, InvalidUser> {
        let of_handle = |char: char| matches!(char, 'a'..='z' | '0'..='9' | '_');
        if !(1..=MAX_DISPLAY_NAME_CHARS).contains(&user_display_name.chars().count())
            || user_display_name.chars().any(char::is_control)
        {
            Err(InvalidUser::DisplayName)
        } else if !(1..=MAX_HANDLE_CHARS).contains(&user_handle.len())
            || !user_handle.chars().all(of_handle)
        {
            Err(InvalidUser::Handle)
        } else {
            Ok(Self { user_uuid, user_display_name, user_handle })
        }
    }

    /// Who it is.
    #[must_use]
    pub fn id(&self) -> UserId {
        self.user_uuid
    }

    /// The name to show.
    #[must_use]
    pub fn display_name(&self) -> &str {
        &self.user_display_name
    }

    /// The unique name, without the `@` before it.
    #[must_use]
    pub fn handle(&self) -> &str {
        &self.user_handle
    }
}

/// Names are personal data.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("user_uuid", &self.user_uuid).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Unchecked {
    user_uuid: UserId,
    user_display_name: String,
    user_handle: String,
}

impl TryFrom<Unchecked> for User {
    type Error = InvalidUser;

    fn try_from(user: Unchecked) -> Result<Self, InvalidUser> {
        Self::checked(user.user_uuid, user.user_display_name, user.user_handle)
    }
}

/// Returns `true` for characters that are not seen, and change how others are: directions of writing,
/// separators of lines, and blanks without width. Joiners are parts of words and emoji.
#[must_use]
pub fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_limits() {
        let user = |name: &str, handle: &str| User::new(Uuid::nil().into(), name, handle);
        assert!(user("Łukasz ✨", "l_1").is_ok());
        assert!(user(&"é".repeat(64), &"a".repeat(30)).is_ok());
        assert!(
            user("Zoë \u{1f469}\u{200d}\u{1f680}", "z").is_ok(),
            "a joiner is a part of an emoji"
        );
        let bidi = "Bob\u{202e}\u{2066}resu\u{200b} nimdA";
        for name in ["", "   ", "\u{1b}[2J", "\u{200b}", bidi, &"é".repeat(65)] {
            assert_eq!(user(name, "a"), Err(InvalidUser::DisplayName), "{name:?}");
        }
        for handle in ["", "@ada", "Ada", "ä", &"a".repeat(31)] {
            assert_eq!(user("Ada", handle), Err(InvalidUser::Handle), "{handle}");
        }
    }

    #[test]
    fn debug_shows_no_name() {
        let user = User::new(Uuid::nil().into(), "Marker", "marker").unwrap();
        let debug = format!("{user:?}");
        assert!(!debug.to_lowercase().contains("marker"), "{debug}");
    }
}
