//! A spool that is read to its end and replaced by what is left.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::push::spool::file::{first_line, lock, sync_folder};
use crate::push::spool::{Message, check_header, header};

/// Maximum bytes of a line: a message of 10 MiB in base64, and what is around it.
const MAX_LINE_BYTES: usize = 15 << 20;

/// A spool that is read, with the file that replaces it in the end. Until then it stays as it is, and
/// keeps its lock.
pub(crate) struct Replacement {
    path: PathBuf,
    file: File,
    draft: Option<Draft>,
    unreadable: Option<BufWriter<File>>,
}

struct Draft {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Drop for Draft {
    /// Removes a draft that did not replace the spool.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A line of a spool, by its place in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SpoolLine {
    /// From 1.
    pub(crate) number: u64,
    offset: u64,
    /// The line break included.
    length: u64,
    /// Whether the file ends before the line does.
    pub(crate) is_cut_off: bool,
}

impl Replacement {
    /// Opens a spool and locks it. A file of another kind is refused.
    pub(crate) fn of(path: &Path) -> anyhow::Result<Self> {
        let open = || format!("cannot open {}", path.display());
        let path = path.canonicalize().with_context(open)?;
        let mut file = OpenOptions::new().read(true).write(true).open(&path).with_context(open)?;
        lock(&file, &path)?;
        check_header(&path, &first_line(&mut file).with_context(open)?)?;
        Ok(Self { path, file, draft: None, unreadable: None })
    }

    /// Returns the lines after the header.
    pub(crate) fn lines(&self) -> anyhow::Result<Lines> {
        let file = File::open(&self.path);
        let file = file.with_context(|| format!("cannot open {}", self.path.display()))?;
        let mut lines = Lines { reader: BufReader::new(file), number: 0, offset: 0 };
        lines.next_line().with_context(|| format!("cannot read {}", self.path.display()))?;
        Ok(lines)
    }

    /// Reads the message in a line. `None` if the line is not one.
    pub(crate) fn message(&self, line: SpoolLine) -> io::Result<Option<Message>> {
        if line.length > MAX_LINE_BYTES as u64 {
            return Ok(None);
        }
        let mut text = vec![0; usize::try_from(line.length).unwrap_or(MAX_LINE_BYTES)];
        self.file.read_exact_at(&mut text, line.offset)?;
        Ok(Message::parse(&text))
    }

    /// Leaves a line in the spool. `attempts` is the number of further attempts at its message.
    pub(crate) fn keep(&mut self, line: SpoolLine, attempts: u32) -> anyhow::Result<()> {
        let message = match attempts {
            0 => None,
            _ => self
                .message(line)
                .with_context(|| format!("cannot read {}", self.path.display()))?,
        };
        let lines = self.lines_of(line);
        let draft = self.draft()?;
        let written = match message {
            Some(mut message) => {
                message.attempts = message.attempts.saturating_add(attempts);
                draft.file.write_all(&message.to_line())
            }
            None => copy(lines, &mut draft.file),
        };
        written.with_context(|| format!("cannot write to {}", draft.path.display()))
    }

    /// Moves a line to the file beside the spool that holds unreadable lines.
    pub(crate) fn move_unreadable(&mut self, line: SpoolLine) -> anyhow::Result<()> {
        let path = self.unreadable_path();
        let context = || format!("cannot write to {}", path.display());
        let lines = self.lines_of(line);
        let unreadable = match &mut self.unreadable {
            Some(unreadable) => unreadable,
            None => {
                let file = OpenOptions::new().create(true).append(true).open(&path);
                self.unreadable.insert(BufWriter::new(file.with_context(context)?))
            }
        };
        copy(lines, unreadable).with_context(context)
    }

    /// Returns the name of the file that holds unreadable lines.
    pub(crate) fn unreadable_path(&self) -> PathBuf {
        with_suffix(&self.path, ".unreadable")
    }

    /// Puts the draft in the place of the spool, or removes the spool if nothing is left.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let path = self.path.clone();
        self.replace().with_context(|| {
            format!(
                "cannot replace {}, which is unchanged: messages that were delivered are still in it",
                path.display()
            )
        })
    }

    fn replace(&mut self) -> anyhow::Result<()> {
        if let Some(unreadable) = &mut self.unreadable {
            unreadable.flush()?;
            unreadable.get_ref().sync_all()?;
        }
        match &mut self.draft {
            Some(draft) => {
                draft.file.flush()?;
                let file = draft.file.get_ref();
                file.set_permissions(self.file.metadata()?.permissions())?;
                file.sync_all()?;
                fs::rename(&draft.path, &self.path)?;
            }
            None => fs::remove_file(&self.path)?,
        }
        sync_folder(&self.path)?;
        Ok(())
    }

    fn draft(&mut self) -> anyhow::Result<&mut Draft> {
        if self.draft.is_none() {
            let path = with_suffix(&self.path, ".new");
            let context = || format!("cannot write to {}", path.display());
            let mut file = BufWriter::new(File::create(&path).with_context(context)?);
            file.write_all(&header()).with_context(context)?;
            self.draft = Some(Draft { path, file });
        }
        Ok(self.draft.as_mut().expect("it was made just now"))
    }

    fn lines_of(&self, line: SpoolLine) -> (io::Result<File>, SpoolLine) {
        (self.file.try_clone(), line)
    }
}

/// Copies a line of any length, and ends it.
fn copy((file, line): (io::Result<File>, SpoolLine), to: &mut impl Write) -> io::Result<()> {
    let file = file?;
    let (mut offset, end) = (line.offset, line.offset + line.length);
    let mut buffer = vec![0; 64 << 10];
    while offset < end {
        let left = usize::try_from(end - offset).unwrap_or(buffer.len());
        let part = &mut buffer[..left.min(64 << 10)];
        file.read_exact_at(part, offset)?;
        to.write_all(part)?;
        offset += part.len() as u64;
    }
    if line.is_cut_off { to.write_all(b"\n") } else { Ok(()) }
}

/// The lines of a spool.
pub(crate) struct Lines {
    reader: BufReader<File>,
    number: u64,
    offset: u64,
}

impl Lines {
    /// Returns the next line, which is not kept in memory.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<SpoolLine>> {
        let mut length = 0;
        let mut is_cut_off = true;
        loop {
            let available = self.reader.fill_buf()?;
            if available.is_empty() {
                break;
            }
            let newline = available.iter().position(|byte| *byte == b'\n');
            let bytes = newline.map_or(available.len(), |index| index + 1);
            self.reader.consume(bytes);
            length += bytes as u64;
            if newline.is_some() {
                is_cut_off = false;
                break;
            }
        }
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        let offset = self.offset;
        self.offset += length;
        Ok(Some(SpoolLine { number: self.number, offset, length, is_cut_off }))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(suffix);
    name.into()
}
