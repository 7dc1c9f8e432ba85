//! Reading fields of a message without ever reading past its end.

use crate::error::Error;

/// The rest of a message, and its position in the message.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self::starting_at(message, 0)
    }

    /// Reads `message` from position `at` on.
    pub(crate) fn starting_at(message: &'a [u8], at: usize) -> Self {
        Self { rest: message.get(at..).unwrap_or_default(), at }
    }

    /// Returns the position in the message.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn starts_with(&self, bytes: &[u8]) -> bool {
        self.rest.starts_with(bytes)
    }

    pub(crate) fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let (taken, rest) =
            self.rest.split_at_checked(length).ok_or(Error::Truncated { what, at: self.at })?;
        self.rest = rest;
        self.at += length;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Error> {
        Ok(self.take(N, what)?.try_into().expect("as many bytes were taken"))
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16, Error> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Error> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, Error> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// Reads bytes that follow their length.
    pub(crate) fn field(&mut self, what: &'static str) -> Result<&'a [u8], Error> {
        let length = self.u16(what)?;
        self.take(length.into(), what)
    }

    /// Reads UTF-8 that follows its length.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, Error> {
        let at = self.at;
        let bytes = self.field(what)?;
        std::str::from_utf8(bytes).map_err(|_| Error::Field { what, at, reason: "it is not UTF-8" })
    }

    /// Returns a reader of the bytes that follow their length, and of nothing after them.
    pub(crate) fn within(&mut self, what: &'static str) -> Result<Reader<'a>, Error> {
        let rest = self.field(what)?;
        Ok(Reader { rest, at: self.at - rest.len() })
    }
}
