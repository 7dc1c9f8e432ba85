//! Where the next page of a list begins.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

use crate::created_at::CreatedAt;

/// The end of a page, and so the begin of the next: opaque to callers, safe in a URL.
///
/// It names the last item's key. So pages neither repeat nor skip messages, whatever is written
/// between one and the next. It only continues the list that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    partition: String,
    last: CreatedAt,
}

/// A text that is no cursor, or not this list's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that a page of this list ended with")]
pub struct InvalidCursor;

impl Cursor {
    pub(crate) fn new(partition: &str, last: &CreatedAt) -> Self {
        Self { partition: partition.to_owned(), last: last.clone() }
    }

    /// What the next page is before.
    pub(crate) fn last_of(&self, partition: &str) -> Result<&CreatedAt, InvalidCursor> {
        if self.partition == partition { Ok(&self.last) } else { Err(InvalidCursor) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(format!("{} {}", self.partition, self.last)))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let text = BASE64.decode(text).map_err(|_| InvalidCursor)?;
        let text = String::from_utf8(text).map_err(|_| InvalidCursor)?;
        let (partition, last) = text.split_once(' ').ok_or(InvalidCursor)?;
        let last = last.parse().map_err(|_| InvalidCursor)?;
        Ok(Self { partition: partition.to_owned(), last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_continues_its_own_list_and_no_other() {
        let last: CreatedAt = "2026-01-31T12:00:00.123456789Z".parse().unwrap();
        let text = Cursor::new("GRP#a", &last).to_string();
        let cursor: Cursor = text.parse().unwrap();
        assert_eq!(cursor.last_of("GRP#a"), Ok(&last));
        assert_eq!(cursor.last_of("GRP#b"), Err(InvalidCursor));
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    }

    #[test]
    fn other_texts_are_refused() {
        let unknown = BASE64.encode("GRP#a yesterday");
        for text in ["", "GRP#a", "Z", unknown.as_str()] {
            assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
