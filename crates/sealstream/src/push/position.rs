//! Where a line is.

use std::fmt;
use std::sync::Arc;

/// The position of a line. Later lines have larger ones.
#[derive(Debug, Clone)]
pub(crate) struct Position {
    /// Index of the file among the inputs.
    pub(crate) input: usize,
    pub(crate) file: Arc<str>,
    /// From 1.
    pub(crate) line: u64,
    /// Offset of the line in the decompressed file.
    pub(crate) offset: u64,
}

impl Position {
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        (self.input, self.line) < (other.input, other.line)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
