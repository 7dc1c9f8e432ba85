//! The file of lines that must be pushed again.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::push::position::Position;
use anyhow::Context;
use serde::Serialize;

/// A file that lists lines by position and reason, never by content.
pub(crate) struct Rejects {
    path: PathBuf,
    file: BufWriter<File>,
}

#[derive(Serialize)]
struct Reject<'a> {
    file: &'a str,
    line: u64,
    /// In bytes, in the decompressed file.
    offset: u64,
    reason: &'a str,
}

impl Rejects {
    pub(crate) fn append_to(path: &Path) -> anyhow::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    pub(crate) fn file(&self) -> &File {
        self.file.get_ref()
    }

    pub(crate) fn add(&mut self, position: &Position, reason: &str) -> anyhow::Result<()> {
        let Position { file, line, offset, .. } = position;
        let reject = Reject { file, line: *line, offset: *offset, reason };
        let mut json = serde_json::to_vec(&reject)?;
        json.push(b'\n');
        self.file.write_all(&json).with_context(|| self.failure())
    }

    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        self.file.flush().with_context(|| self.failure())
    }

    fn failure(&self) -> String {
        format!("cannot write to {}", self.path.display())
    }
}
