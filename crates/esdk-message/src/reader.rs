//! Reading fields of a message without ever reading past its end.

use crate::error::Error;

/// The rest of a message, and where in the message it begins.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message, at: 0 }
    }

    /// The offset in the message.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes that are left.
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
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

    /// Bytes behind their length.
    pub(crate) fn field(&mut self, what: &'static str) -> Result<&'a [u8], Error> {
        let length = self.u16(what)?;
        self.take(length.into(), what)
    }

    /// UTF-8 behind its length.
    pub(crate) fn text(&mut self, what: &'static str) -> Result<&'a str, Error> {
        let at = self.at;
        let bytes = self.field(what)?;
        std::str::from_utf8(bytes).map_err(|_| Error::Field { what, at, reason: "it is not UTF-8" })
    }

    /// A reader of the bytes behind their length, and of nothing after them.
    pub(crate) fn within(&mut self, what: &'static str) -> Result<Reader<'a>, Error> {
        let rest = self.field(what)?;
        Ok(Reader { rest, at: self.at - rest.len() })
    }
}
