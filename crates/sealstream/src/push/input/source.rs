//! A file or standard input, read so that a signal can end it at any time.

use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read, stdin};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::push::args::is_standard_input;
use crate::push::input::encoding::{Reader, decoded};
use crate::push::input::wake::{Wake, is_ready};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Time that the rest of a line has to arrive after reading was ended.
const REST_OF_LINE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// An input that was checked and is not open, unless it is one that can be opened only once.
pub(crate) struct Source {
    name: String,
    path: PathBuf,
    metadata: Option<Metadata>,
    file: Option<File>,
}

impl Source {
    pub(crate) fn standard_input() -> Self {
        let file = stdin().as_fd().try_clone_to_owned().map(File::from).ok();
        let metadata = file.as_ref().and_then(|file| file.metadata().ok());
        Self { name: "<stdin>".to_owned(), path: PathBuf::from("-"), metadata, file }
    }

    /// Opens the file to see whether it can be read. Regular files are closed again, because there may
    /// be more of them than a process may have open.
    pub(crate) fn check(path: &Path) -> anyhow::Result<Self> {
        if is_standard_input(path) {
            return Ok(Self::standard_input());
        }
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
        let metadata = file.metadata().with_context(|| format!("cannot read {name}"))?;
        anyhow::ensure!(!metadata.is_dir(), "cannot read {name}: it is a directory");
        let file = (!metadata.is_file()).then_some(file);
        Ok(Self { name, path: path.to_owned(), metadata: Some(metadata), file })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Returns the size of a regular file that is not standard input.
    pub(crate) fn size(&self) -> Option<u64> {
        let metadata = self.metadata.as_ref().filter(|_| self.file.is_none())?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Opens the input, and decompresses it if it is compressed.
    pub(crate) fn open(self, wake: &Wake) -> io::Result<Box<dyn Reader>> {
        let file = self.file.map_or_else(|| File::open(&self.path), Ok)?;
        let raw = WakeableFile { file, wake: wake.clone() };
        decoded(BufReader::with_capacity(BUFFER_BYTES, raw), wake.clone())
    }
}

/// A file that ends when it is woken. Nothing is taken out of a pipe after that.
struct WakeableFile {
    file: File,
    wake: Wake,
}

impl Read for WakeableFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.wait_for_input().min(buffer.len());
        if bytes == 0 { Ok(0) } else { self.file.read(&mut buffer[..bytes]) }
    }
}

impl WakeableFile {
    /// Returns how many bytes to read. A file that cannot be polled is read.
    fn wait_for_input(&self) -> usize {
        let mut fds = [
            PollFd::from_borrowed_fd(self.wake.signal(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.file.as_fd(), PollFlags::IN),
        ];
        while poll(&mut fds, None) == Err(rustix::io::Errno::INTR) {}
        if fds[0].revents().is_empty() {
            return usize::MAX;
        }
        // Byte by byte, so that nothing after the line is taken out of a pipe.
        usize::from(self.wake.is_mid_line() && is_ready(self.file.as_fd(), Some(&REST_OF_LINE)))
    }
}
