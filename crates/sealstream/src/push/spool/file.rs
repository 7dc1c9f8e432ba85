//! The file under a spool.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, bail, ensure};

/// Maximum bytes of the first line.
const MAX_HEADER_BYTES: u64 = 1 << 10;

/// Opens a file to append to, or creates it.
pub(crate) fn open(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).open(path);
    file.with_context(|| format!("cannot write to {}", path.display()))
}

/// Locks a file until it is closed.
pub(crate) fn lock(file: &File, path: &Path) -> anyhow::Result<()> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("{} is in use by another program", path.display()),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))?;
        }
    }
    // Another program may have replaced or removed the file before it was locked.
    let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let is_there = fs::metadata(path).map(id).ok() == file.metadata().map(id).ok();
    ensure!(is_there, "{} is in use by another program", path.display());
    Ok(())
}

/// Returns the first line, or its beginning if it is long.
pub(crate) fn first_line(file: &mut File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    let mut start = BufReader::new(&mut *file).take(MAX_HEADER_BYTES);
    start.read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Ends a line that a program was interrupted in, so that it spoils no other.
pub(crate) fn end_last_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// Writes to the disk that a file was created, renamed or removed.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
