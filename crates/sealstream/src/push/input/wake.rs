//! Ends a blocked read from another thread.

use std::io::PipeReader;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Ends the reading from outside. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Wake(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Readable when the other end is closed.
    pipe: PipeReader,
    is_mid_line: AtomicBool,
}

impl Wake {
    pub(crate) fn new(pipe: PipeReader) -> Self {
        Self(Arc::new(Shared { pipe, is_mid_line: AtomicBool::new(false) }))
    }

    pub(crate) fn set_mid_line(&self, is_mid_line: bool) {
        self.0.is_mid_line.store(is_mid_line, Relaxed);
    }

    pub(crate) fn is_mid_line(&self) -> bool {
        self.0.is_mid_line.load(Relaxed)
    }

    /// Returns a descriptor that becomes readable when reading is to end.
    pub(crate) fn signal(&self) -> BorrowedFd<'_> {
        self.0.pipe.as_fd()
    }

    pub(crate) fn is_signalled(&self) -> bool {
        is_ready(self.signal(), Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
    }
}

/// Returns `true` if a descriptor can be read within `timeout`.
pub(crate) fn is_ready(fd: BorrowedFd<'_>, timeout: Option<&Timespec>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    matches!(poll(&mut fds, timeout), Ok(ready) if ready > 0)
}
