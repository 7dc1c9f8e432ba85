//! Writing to standard output and standard error. Nothing here panics: a command goes on although its
//! output is closed or full.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write, stderr, stdout};

/// Whether text on standard output had a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// The text was written.
    Complete,
    /// The reader, such as `head`, has gone.
    Closed,
}

/// Writes a line for people to standard error. It is lost if that is closed or full.
pub(crate) fn diagnostic(line: impl Display) {
    // In one piece, so that lines of several threads do not mix.
    let _ = stderr().write_all(format!("{line}\n").as_bytes());
}

/// Writes a command's result to standard output.
///
/// # Errors
/// The text could not be written, such as to a full disk. A reader that has gone is no error.
pub(crate) fn print(text: &str) -> io::Result<Written> {
    write_to(stdout().lock(), text)
}

/// Returns a number with its noun, such as `1 record` or `2 records`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn write_to(mut output: impl Write, text: &str) -> io::Result<Written> {
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(Written::Complete),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Written::Closed),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::{Read, pipe};

    use super::*;

    #[test]
    fn nouns_agree_with_their_number() {
        let counts = [0, 1, 2].map(|number| count(number, "shard"));
        assert_eq!(counts, ["0 shards", "1 shard", "2 shards"]);
    }

    #[test]
    fn text_is_written_whole() {
        let (mut reader, writer) = pipe().unwrap();
        assert_eq!(write_to(writer, "text\n").unwrap(), Written::Complete);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text\n");
    }

    #[test]
    fn a_reader_that_has_gone_is_no_error_but_a_full_disk_is() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        assert_eq!(write_to(writer, "text").unwrap(), Written::Closed);
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        assert_eq!(write_to(full, "text").unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
