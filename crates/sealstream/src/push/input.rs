//! Lines of files and of standard input.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use record_pusher::{InvalidRecord, Record};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Blocks of lines that are read ahead.
const READ_AHEAD: usize = 4;
/// Lines and bytes of a block.
const BLOCK_LINES: usize = 250;
const BLOCK_BYTES: usize = 256 << 10;

/// A line of the input.
pub(crate) struct Line {
    pub(crate) place: Place,
    pub(crate) bytes: usize,
    /// The record, or why the line holds none.
    pub(crate) record: Result<Record, String>,
}

/// Where a line is.
#[derive(Clone)]
pub(crate) struct Place {
    source: Arc<str>,
    line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)
    }
}

/// All the input, opened.
pub(crate) struct Input(Vec<Source>);

struct Source {
    name: String,
    /// Of a regular file, in bytes.
    size: Option<u64>,
    reader: Box<dyn Read + Send>,
}

impl Input {
    /// Opens all files, so that a wrong name is found before anything is pushed.
    pub(crate) fn open(files: &[PathBuf]) -> anyhow::Result<Self> {
        if files.is_empty() {
            return Ok(Self(vec![standard_input()]));
        }
        files.iter().map(|path| open(path)).collect::<Result<_, _>>().map(Self)
    }

    /// Bytes of the whole input, if it is known.
    pub(crate) fn size(&self) -> Option<u64> {
        self.0.iter().map(|source| source.size).sum()
    }

    /// Reads the lines on a thread of its own, until the end, or with `fail_fast` until the first
    /// line that holds no record.
    pub(crate) fn read(self, fail_fast: bool) -> Receiver<Vec<Line>> {
        let (sender, receiver) = channel(READ_AHEAD);
        // Not one of Tokio's threads, which the program would wait for at its end.
        std::thread::spawn(move || {
            for source in self.0 {
                if source.read(fail_fast, &sender).is_none() {
                    break;
                }
            }
        });
        receiver
    }
}

fn standard_input() -> Source {
    Source { name: "<stdin>".to_owned(), size: None, reader: Box::new(stdin()) }
}

fn open(path: &Path) -> anyhow::Result<Source> {
    if path == Path::new("-") {
        return Ok(standard_input());
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let metadata = file.metadata().with_context(|| format!("cannot read {name}"))?;
    anyhow::ensure!(!metadata.is_dir(), "cannot read {name}: it is a directory");
    let size = metadata.is_file().then_some(metadata.len());
    Ok(Source { name, size, reader: Box::new(file) })
}

impl Source {
    /// `None` when reading is to stop.
    fn read(self, fail_fast: bool, blocks: &Sender<Vec<Line>>) -> Option<()> {
        let mut reader = BufReader::with_capacity(BLOCK_BYTES, self.reader);
        let source: Arc<str> = self.name.into();
        let mut block = Block::default();
        for line in 1.. {
            let mut text = Vec::new();
            let record = match reader.read_until(b'\n', &mut text) {
                Ok(0) => break,
                Ok(_) if text.trim_ascii().is_empty() => continue,
                Ok(_) => Record::from_json(&text).map_err(describe),
                Err(error) => Err(format!("cannot be read: {error}")),
            };
            let (unreadable, rejected) = (text.is_empty(), record.is_err());
            let place = Place { source: source.clone(), line };
            block.add(Line { place, bytes: text.len(), record });
            // What is there is not kept back until more comes.
            if block.is_full() || reader.buffer().is_empty() {
                block.send(blocks)?;
            }
            if rejected && fail_fast {
                block.send(blocks)?;
                return None;
            }
            if unreadable {
                break;
            }
        }
        block.send(blocks)
    }
}

#[derive(Default)]
struct Block {
    lines: Vec<Line>,
    bytes: usize,
}

impl Block {
    fn add(&mut self, line: Line) {
        self.bytes += line.bytes;
        self.lines.push(line);
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BLOCK_LINES || self.bytes >= BLOCK_BYTES
    }

    /// `None` if nobody takes it any more.
    fn send(&mut self, blocks: &Sender<Vec<Line>>) -> Option<()> {
        let Self { lines, .. } = std::mem::take(self);
        if lines.is_empty() {
            return Some(());
        }
        blocks.blocking_send(lines).ok()
    }
}

fn describe(error: InvalidRecord) -> String {
    match error {
        InvalidRecord::NotJson { column, .. } => format!("is not valid JSON (column {column})"),
        error => error.to_string(),
    }
}
