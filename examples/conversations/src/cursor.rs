//! Where the next page of a list begins.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use uuid::Uuid;

use crate::created_at::CreatedAt;

/// The end of a page, and so the begin of the next: opaque to callers, safe in a URL.
///
/// It names the last item's key. So pages neither repeat nor skip messages, whatever is written
/// between one and the next. It only continues the list that it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    kind: String,
    uuid: Uuid,
    last: CreatedAt,
}

/// A text that is no cursor, or not this list's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that a page of this list ended with")]
pub struct InvalidCursor;

impl Cursor {
    pub(crate) fn new(partition: &str, last: &CreatedAt) -> Self {
        let (kind, uuid) = partition.split_once('#').expect("a partition has a kind");
        let uuid = Uuid::parse_str(uuid).expect("a partition is of a group or a user");
        Self { kind: kind.to_owned(), uuid, last: last.clone() }
    }

    /// What the next page is before.
    pub(crate) fn last_of(&self, partition: &str) -> Result<&CreatedAt, InvalidCursor> {
        let own = format!("{}#{}", self.kind, self.uuid);
        if own == partition { Ok(&self.last) } else { Err(InvalidCursor) }
    }
}

/// Base64 of the list's kind, its UUID and the time: short enough for a line.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (micros, tail) = self.last.parts();
        let (micros, tail) = (micros.to_be_bytes(), tail.to_be_bytes());
        let bytes = [self.uuid.as_bytes(), &micros[..], &tail, self.kind.as_bytes()].concat();
        f.write_str(&BASE64.encode(bytes))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let bytes = BASE64.decode(text).map_err(|_| InvalidCursor)?;
        let (uuid, rest) = bytes.split_first_chunk().ok_or(InvalidCursor)?;
        let (micros, rest) = rest.split_first_chunk().ok_or(InvalidCursor)?;
        let (tail, kind) = rest.split_first_chunk().ok_or(InvalidCursor)?;
        let kind = str::from_utf8(kind).map_err(|_| InvalidCursor)?;
        let last = CreatedAt::from_parts(u64::from_be_bytes(*micros), u16::from_be_bytes(*tail));
        let (kind, uuid) = (kind.to_owned(), Uuid::from_bytes(*uuid));
        Ok(Self { kind, uuid, last: last.ok_or(InvalidCursor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_continues_its_own_list_and_no_other() {
        let last: CreatedAt = "2026-01-31T12:00:00.123456789Z".parse().unwrap();
        let own = "GRP#3f2504e0-4f89-41d3-9a0c-0305e82c3301";
        let text = Cursor::new(own, &last).to_string();
        let cursor: Cursor = text.parse().unwrap();
        assert_eq!(cursor.last_of(own), Ok(&last));
        for other in
            ["MSG#3f2504e0-4f89-41d3-9a0c-0305e82c3301", "GRP#3f2504e0-4f89-41d3-9a0c-0305e82c3302"]
        {
            assert_eq!(cursor.last_of(other), Err(InvalidCursor));
        }
        assert!(text.len() < 50, "it fits in a line: {text}");
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
