//! Lines of limited length.

use std::io;

use crate::push::input::encoding::Reader;

/// Maximum bytes of a line. Kinesis accepts no larger record.
pub(crate) const MAX_LINE_BYTES: usize = 10 << 20;

/// Reads lines. A line that is too long is skipped without being kept in memory.
pub(crate) struct LineReader {
    reader: Box<dyn Reader>,
    line: Vec<u8>,
}

/// A line, with the line break or without.
pub(crate) struct RawLine<'a> {
    /// Bytes in the input, the line break included.
    pub(crate) bytes: usize,
    pub(crate) text: Text<'a>,
}

pub(crate) enum Text<'a> {
    Line(&'a [u8]),
    /// White space only.
    Blank,
    TooLong,
    /// Reading ended in the middle of the line.
    Unfinished,
}

impl LineReader {
    pub(crate) fn new(reader: Box<dyn Reader>) -> Self {
        Self { reader, line: Vec::new() }
    }

    /// Whether the next line, or its beginning, is in memory.
    pub(crate) fn has_buffered(&self) -> bool {
        self.reader.has_buffered()
    }

    /// Returns `None` at the end of the input. `is_ended_early` says at the end whether there is more.
    pub(crate) fn next_line(
        &mut self,
        is_ended_early: impl Fn() -> bool,
    ) -> io::Result<Option<RawLine<'_>>> {
        self.line.clear();
        let mut bytes = 0;
        let is_complete = loop {
            self.reader.set_mid_line(bytes > 0);
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break false;
            }
            let newline = available.iter().position(|byte| *byte == b'\n');
            let length = newline.map_or(available.len(), |index| index + 1);
            if bytes + length <= MAX_LINE_BYTES {
                self.line.extend_from_slice(&available[..length]);
            }
            self.reader.consume(length);
            bytes += length;
            if newline.is_some() {
                break true;
            }
        };
        self.reader.set_mid_line(false);
        if bytes == 0 {
            return Ok(None);
        }
        let text = match self.line.trim_ascii() {
            _ if !is_complete && is_ended_early() => Text::Unfinished,
            _ if bytes > MAX_LINE_BYTES => Text::TooLong,
            [] => Text::Blank,
            text => Text::Line(text),
        };
        Ok(Some(RawLine { bytes, text }))
    }
}
