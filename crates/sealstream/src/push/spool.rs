//! The spool: a file of messages that did not reach a Region, one JSON object per line.
//!
//! Messages are there as encrypted as in the stream. The file is only appended to, or replaced as a
//! whole by one that is complete. A lock file beside it keeps other programs away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::prelude::{BASE64_STANDARD, Engine};
use record_pusher::Outcome;
use serde::{Deserialize, Serialize};

/// A message for one Region.
#[derive(Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) region: String,
    pub(crate) stream: String,
    pub(crate) partition_key: String,
    /// How often the message has been sent.
    pub(crate) attempts: u32,
    /// The message in base64.
    pub(crate) data: String,
}

impl Message {
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, base64::DecodeError> {
        BASE64_STANDARD.decode(&self.data)
    }

    fn write_to(&self, file: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *file, self)?;
        file.write_all(b"\n")
    }
}

/// A spool file that messages are appended to.
pub(crate) struct Spool {
    file: File,
    path: PathBuf,
    _lock: Lock,
}

impl Spool {
    /// Opens the file, or makes it.
    pub(crate) fn append_to(path: &Path) -> anyhow::Result<Self> {
        let lock = Lock::beside(path)?;
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            end_last_line(&mut file)?;
            sync_folder(path)?;
            io::Result::Ok(file)
        };
        let file = open().with_context(|| format!("cannot write to {}", path.display()))?;
        Ok(Self { file, path: path.to_owned(), _lock: lock })
    }

    /// Appends the message of a record for each Region that has not acknowledged it and could read
    /// it.
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
                attempts: error.tries,
                data: BASE64_STANDARD.encode(outcome.message()),
            };
            self.append(&message)?;
        }
        Ok(())
    }

    fn append(&mut self, message: &Message) -> anyhow::Result<()> {
        let mut line = Vec::new();
        let written = message.write_to(&mut line).and_then(|()| self.file.write_all(&line));
        written.with_context(|| format!("cannot write to {}", self.path.display()))
    }

    /// Waits until what was appended is on the disk.
    pub(crate) fn sync(&self) -> anyhow::Result<()> {
        let synced = self.file.sync_all();
        synced.with_context(|| format!("cannot write {} to the disk", self.path.display()))
    }
}

/// A spool file that is read to its end and replaced by what is left.
pub(crate) struct Replacement {
    path: PathBuf,
    /// Where the new file is made.
    draft_path: PathBuf,
    draft: BufWriter<File>,
    left: u64,
    _lock: Lock,
}

impl Replacement {
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        let lock = Lock::beside(path)?;
        let draft_path = with_suffix(path, ".new");
        let draft = File::create(&draft_path)
            .with_context(|| format!("cannot write to {}", draft_path.display()))?;
        let (path, draft) = (path.to_owned(), BufWriter::new(draft));
        Ok(Self { path, draft_path, draft, left: 0, _lock: lock })
    }

    /// The lines of the file, with their numbers from 1.
    pub(crate) fn lines(
        &self,
    ) -> anyhow::Result<impl Iterator<Item = (u64, io::Result<Vec<u8>>)> + use<>> {
        let file = File::open(&self.path)
            .with_context(|| format!("cannot open {}", self.path.display()))?;
        Ok((1..).zip(BufReader::new(file).split(b'\n')))
    }

    /// Leaves a message in the file.
    pub(crate) fn keep(&mut self, message: &Message) -> anyhow::Result<()> {
        self.left += 1;
        let written = message.write_to(&mut self.draft);
        written.with_context(|| format!("cannot write to {}", self.draft_path.display()))
    }

    /// Puts the new file in the place of the old one, or removes that if no message is left.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let mut replace = || {
            self.draft.flush()?;
            self.draft.get_ref().sync_all()?;
            fs::rename(&self.draft_path, &self.path)?;
            if self.left == 0 {
                fs::remove_file(&self.path)?;
            }
            sync_folder(&self.path)
        };
        replace().with_context(|| format!("cannot replace {}", self.path.display()))
    }
}

/// Reads a line of a spool.
pub(crate) fn parse(line: &[u8]) -> Option<Message> {
    serde_json::from_slice(line).ok()
}

/// Held by the one program that may use a spool; released when it is dropped or the program ends.
struct Lock(#[expect(dead_code, reason = "it is held, not used")] File);

impl Lock {
    fn beside(path: &Path) -> anyhow::Result<Self> {
        let lock_path = with_suffix(path, ".lock");
        let file = File::create(&lock_path)
            .with_context(|| format!("cannot write to {}", lock_path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                bail!("{} is in use by another program", path.display())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", lock_path.display()))
            }
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Ends a line that a program was interrupted in, so that it spoils no other.
fn end_last_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// Writes to the disk that a file was made, renamed or removed.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
