//! Lines of files and of standard input.

mod encoding;
mod lines;
mod source;
mod wake;

use std::io::{self, PipeWriter};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, ensure};
use record_pusher::Record;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::push::input::lines::{LineReader, Text};
use crate::push::input::source::Source;
use crate::push::input::wake::Wake;
use crate::push::position::Position;
use crate::push::problem::{Problem, describe};

/// Blocks of lines that are read ahead.
const READ_AHEAD: usize = 4;
/// Maximum lines and bytes of a block.
const BLOCK_LINES: usize = 250;
const BLOCK_BYTES: usize = 256 << 10;

/// A line of the input.
pub(crate) struct Line {
    pub(crate) position: Position,
    pub(crate) bytes: usize,
    /// The record, or why the line is rejected.
    pub(crate) record: Result<Record, Problem>,
}

/// All the input, checked.
pub(crate) struct Input {
    sources: Vec<Source>,
    from_line: u64,
}

/// The reading of the input, on a thread of its own.
pub(crate) struct Reading {
    pub(crate) blocks: Receiver<Block>,
    pub(crate) stop: StopReading,
}

/// Ends the reading when it is dropped. Lines that were read already still arrive.
#[derive(Debug)]
pub(crate) struct StopReading(
    #[expect(dead_code, reason = "closing the pipe wakes the reader")] PipeWriter,
);

/// Lines that were read together.
#[derive(Default)]
pub(crate) struct Block {
    pub(crate) lines: Vec<Line>,
    /// The line after the last one, where reading would go on. `None` after the end of the input.
    pub(crate) next: Option<Position>,
}

impl Input {
    /// Checks all files, so that a wrong name is found before anything is pushed.
    pub(crate) fn open(files: &[PathBuf], from_line: u64) -> anyhow::Result<Self> {
        let sources = match files {
            [] => vec![Source::standard_input()],
            files => files.iter().map(|path| Source::check(path)).collect::<Result<_, _>>()?,
        };
        ensure!(
            from_line == 1 || sources.len() == 1,
            "--from-line is {from_line} with {} files; give one file",
            sources.len()
        );
        Ok(Self { sources, from_line })
    }

    /// Returns the bytes of the whole input, if they are known.
    pub(crate) fn size(&self) -> Option<u64> {
        self.sources.iter().map(Source::size).sum()
    }

    pub(crate) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Starts to read, until the end, or with `fail_fast` until the first line that is rejected.
    pub(crate) fn read(self, fail_fast: bool) -> anyhow::Result<Reading> {
        let (waker, writer) = io::pipe().context("cannot make a pipe")?;
        let wake = Wake::new(waker);
        let (sender, blocks) = channel(READ_AHEAD);
        // Not one of Tokio's threads, which the program would wait for at its end.
        std::thread::spawn(move || {
            let mut reader = InputReader {
                blocks: sender,
                block: Block::default(),
                bytes: 0,
                fail_fast,
                from_line: self.from_line,
            };
            reader.read_all(self.sources, &wake);
        });
        Ok(Reading { blocks, stop: StopReading(writer) })
    }
}

/// Fills blocks. Its methods return `None` when reading is to end.
struct InputReader {
    blocks: Sender<Block>,
    block: Block,
    bytes: usize,
    fail_fast: bool,
    from_line: u64,
}

impl InputReader {
    fn read_all(&mut self, sources: Vec<Source>, wake: &Wake) {
        let names: Vec<Arc<str>> = sources.iter().map(|source| source.name().into()).collect();
        for (input, source) in sources.into_iter().enumerate() {
            let start = Position { input, file: names[input].clone(), line: 1, offset: 0 };
            self.block.next = Some(start.clone());
            if self.read_source(source, wake, start).is_none() {
                break;
            }
            let next = names.get(input + 1).cloned();
            self.block.next =
                next.map(|file| Position { input: input + 1, file, line: 1, offset: 0 });
        }
        let _ = self.send();
    }

    fn read_source(&mut self, source: Source, wake: &Wake, mut position: Position) -> Option<()> {
        let mut reader = match source.open(wake) {
            Ok(reader) => LineReader::new(reader),
            Err(error) => {
                self.add(position, 0, Err(Problem::unreadable(&error)))?;
                return Some(());
            }
        };
        loop {
            let line = match reader.next_line(|| wake.is_signalled()) {
                Ok(None) if wake.is_signalled() => return None,
                Ok(None) => return Some(()),
                Ok(Some(line)) => line,
                // The decoder of a compressed input notices that its input ends early.
                Err(_) if wake.is_signalled() => return None,
                Err(error) => {
                    self.add(position, 0, Err(Problem::unreadable(&error)))?;
                    return Some(());
                }
            };
            let at = position.clone();
            position.line += 1;
            position.offset += line.bytes as u64;
            self.block.next = Some(position.clone());
            if at.line < self.from_line {
                continue;
            }
            let record = match line.text {
                Text::Blank => continue,
                Text::TooLong => Err(Problem::too_long()),
                Text::Unfinished => Err(Problem::unfinished()),
                Text::Line(text) => Record::from_json(text).map_err(|error| describe(error, text)),
            };
            self.add(at, line.bytes, record)?;
            // Lines that were read are not kept back until more arrive.
            if !reader.has_buffered() {
                self.send()?;
            }
        }
    }

    fn add(
        &mut self,
        position: Position,
        bytes: usize,
        record: Result<Record, Problem>,
    ) -> Option<()> {
        let is_last = record.is_err() && self.fail_fast;
        self.block.lines.push(Line { position, bytes, record });
        self.bytes += bytes;
        if self.block.lines.len() >= BLOCK_LINES || self.bytes >= BLOCK_BYTES || is_last {
            self.send()?;
        }
        (!is_last).then_some(())
    }

    fn send(&mut self) -> Option<()> {
        self.bytes = 0;
        let next = self.block.next.clone();
        let block = std::mem::replace(&mut self.block, Block { lines: Vec::new(), next });
        self.blocks.blocking_send(block).ok()
    }
}
