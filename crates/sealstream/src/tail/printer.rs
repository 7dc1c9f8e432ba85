//! Writing lines.
//!
//! On a thread of its own: a write to a pipe that nobody reads may never end, and must not keep the
//! program from ending.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// The lines of one message, each with its end.
pub(crate) type Lines = Vec<String>;

/// Messages that wait to be written.
const WAITING: usize = 32;

/// How writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Everything that was sent is written.
    Complete,
    /// As many lines as were asked for are written.
    Counted,
    /// Whoever read the output has gone.
    Closed,
}

/// Prints the lines that it is sent.
#[derive(Debug)]
pub(crate) struct Printer {
    pub(crate) ended: oneshot::Receiver<io::Result<Ended>>,
    printed: Arc<AtomicU64>,
}

impl Printer {
    /// Starts to print up to `count` lines, and returns where to send them.
    pub(crate) fn start(
        output: impl Write + Send + 'static,
        count: Option<u64>,
    ) -> (Self, Sender<Lines>) {
        let (sender, lines) = channel(WAITING);
        let (end, ended) = oneshot::channel();
        let printed = Arc::<AtomicU64>::default();
        let job = Job { output: BufWriter::new(output), lines, count, printed: printed.clone() };
        thread::spawn(move || {
            // Nobody listens any more if the program was told to end.
            let _ = end.send(job.run());
        });
        (Self { ended, printed }, sender)
    }

    /// How many lines were written.
    pub(crate) fn printed(&self) -> u64 {
        self.printed.load(Relaxed)
    }
}

struct Job<W: Write> {
    output: BufWriter<W>,
    lines: Receiver<Lines>,
    count: Option<u64>,
    printed: Arc<AtomicU64>,
}

impl<W: Write> Job<W> {
    fn run(mut self) -> io::Result<Ended> {
        match self.print() {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Ended::Closed),
            ended => ended,
        }
    }

    fn print(&mut self) -> io::Result<Ended> {
        while let Some(lines) = self.next()? {
            for line in lines {
                self.output.write_all(line.as_bytes())?;
                let printed = self.printed.fetch_add(1, Relaxed) + 1;
                if Some(printed) == self.count {
                    self.output.flush()?;
                    return Ok(Ended::Counted);
                }
            }
        }
        self.output.flush()?;
        Ok(Ended::Complete)
    }

    /// Writes what is buffered before it waits.
    fn next(&mut self) -> io::Result<Option<Lines>> {
        match self.lines.try_recv() {
            Ok(lines) => Ok(Some(lines)),
            Err(TryRecvError::Disconnected) => Ok(None),
            Err(TryRecvError::Empty) => {
                self.output.flush()?;
                Ok(self.lines.blocking_recv())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};

    use super::*;

    fn start(count: Option<u64>) -> (Printer, Sender<Lines>, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        let (printer, sender) = Printer::start(writer, count);
        (printer, sender, reader)
    }

    fn lines(texts: &[&str]) -> Lines {
        texts.iter().map(|text| format!("{text}\n")).collect()
    }

    #[tokio::test]
    async fn what_was_sent_is_written_to_the_end() {
        let (mut printer, sender, mut reader) = start(None);
        sender.send(lines(&["1"])).await.unwrap();
        sender.send(lines(&["2", "3"])).await.unwrap();
        drop(sender);
        assert_eq!((&mut printer.ended).await.unwrap().unwrap(), Ended::Complete);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), printer.printed()), ("1\n2\n3\n", 3));
    }

    #[tokio::test]
    async fn a_line_is_not_held_back_for_the_next_one() {
        let (_printer, sender, mut reader) = start(None);
        sender.send(lines(&["1"])).await.unwrap();
        let mut line = [0; 2];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(&line, b"1\n");
    }

    #[tokio::test]
    async fn a_count_ends_within_a_message() {
        let (printer, sender, mut reader) = start(Some(2));
        sender.send(lines(&["1", "2", "3"])).await.unwrap();
        assert_eq!(printer.ended.await.unwrap().unwrap(), Ended::Counted);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "1\n2\n");
        sender.closed().await;
    }

    #[tokio::test]
    async fn a_reader_that_has_gone_is_no_error() {
        let (printer, sender, reader) = start(None);
        drop(reader);
        sender.send(lines(&["1"])).await.unwrap();
        assert_eq!(printer.ended.await.unwrap().unwrap(), Ended::Closed);
    }
}
