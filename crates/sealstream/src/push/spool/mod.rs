//! The spool: a file of messages that some Region did not acknowledge.
//!
//! The first line names the format and its version. Each further line is one message for one Region,
//! as a JSON object. Messages are as encrypted as in the stream. The file is only appended to, or
//! replaced as a whole by a complete one. A lock on it keeps other programs away.

mod file;
mod replacement;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::prelude::{BASE64_STANDARD, Engine};
use record_pusher::Outcome;
use serde::{Deserialize, Serialize};

use crate::push::spool::file::{end_last_line, lock, open, sync_folder};

pub(crate) use replacement::{Replacement, SpoolLine};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// The version of the format.
    sealstream_spool: u32,
}

/// Returns the first line of a spool.
fn header() -> Vec<u8> {
    let header = Header { sealstream_spool: VERSION };
    let mut line = serde_json::to_vec(&header).expect("a header is JSON");
    line.push(b'\n');
    line
}

/// Checks the first line of a file.
fn check_header(path: &Path, line: &[u8]) -> anyhow::Result<()> {
    let Ok(Header { sealstream_spool: version }) = serde_json::from_slice(line) else {
        bail!(
            "{} is not a spool that `sealstream push --spool` has written; it is left untouched",
            path.display()
        );
    };
    if version != VERSION {
        bail!(
            "{} is a spool of version {version}, and this program knows version {VERSION}; it is left \
             untouched",
            path.display()
        );
    }
    Ok(())
}

/// A message for one Region.
#[derive(Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) region: String,
    pub(crate) stream: String,
    pub(crate) partition_key: String,
    /// Number of requests that contained the message.
    pub(crate) attempts: u32,
    /// The message in base64.
    data: String,
}

impl Message {
    /// Reads a line of a spool.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    pub(crate) fn bytes(&self) -> Result<Vec<u8>, base64::DecodeError> {
        BASE64_STANDARD.decode(&self.data)
    }

    fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a message is JSON");
        line.push(b'\n');
        line
    }
}

/// A spool that messages are appended to.
pub(crate) struct Spool {
    file: File,
    path: PathBuf,
    /// Bytes of the file up to the last complete line.
    length: u64,
    /// Whether the file was empty when it was opened. It is removed again if it still is.
    was_empty: bool,
}

impl Spool {
    /// Opens the file, or creates it, and locks it.
    pub(crate) fn append_to(path: &Path) -> anyhow::Result<Self> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut file = open(&path)?;
        lock(&file, &path)?;
        let mut prepare = || {
            // A device has no first line.
            let length = file.metadata()?.len();
            if length > 0 {
                check_header(&path, &file::first_line(&mut file)?)?;
                end_last_line(&mut file)?;
            }
            sync_folder(&path)?;
            anyhow::Ok((file.metadata()?.len(), length == 0))
        };
        let (length, was_empty) =
            prepare().with_context(|| format!("cannot write to {}", path.display()))?;
        Ok(Self { file, path, length, was_empty })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Appends the message of an outcome for each Region that has not acknowledged it and can read
    /// it. Call this once for each message.
    pub(crate) fn keep_undelivered(
        &mut self,
        stream: &str,
        outcome: &Outcome,
    ) -> anyhow::Result<()> {
        for (region, delivery) in outcome.regions() {
            let Some(error) = delivery.as_ref().err().filter(|error| error.message_is_readable())
            else {
                continue;
            };
            let message = Message {
                region: region.to_string(),
                stream: stream.to_owned(),
                partition_key: outcome.partition_key().to_owned(),
                attempts: error.attempts,
                data: BASE64_STANDARD.encode(outcome.message()),
            };
            self.append(&message.to_line())?;
        }
        Ok(())
    }

    fn append(&mut self, line: &[u8]) -> anyhow::Result<()> {
        let header = if self.length == 0 { header() } else { Vec::new() };
        let written = self.file.write_all(&header).and_then(|()| self.file.write_all(line));
        if written.is_ok() {
            self.length += (header.len() + line.len()) as u64;
        } else {
            // A full disk leaves no part of a line behind, if it allows as much.
            let _ = self.file.set_len(self.length);
        }
        written.with_context(|| format!("cannot write to {}", self.path.display()))
    }

    /// Waits until the messages are on the disk, and removes the file if there are none.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let finish = || {
            self.file.sync_all()?;
            if self.was_empty && self.length == 0 && self.file.metadata()?.is_file() {
                std::fs::remove_file(&self.path)?;
                sync_folder(&self.path)?;
            }
            io::Result::Ok(())
        };
        finish().with_context(|| format!("cannot write {} to the disk", self.path.display()))
    }
}
