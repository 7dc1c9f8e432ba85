//! Pseudo-terminals.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A terminal that collects what programs write to it.
pub(crate) struct Terminal {
    path: PathBuf,
    /// `None` when the terminal is closed.
    keyboard: Option<File>,
    is_closing: Arc<AtomicBool>,
    screen: JoinHandle<Vec<u8>>,
}

impl Terminal {
    pub(crate) fn open(columns: u16) -> Self {
        let controller =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).unwrap();
        let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap().into();
        let keyboard = File::from(controller);
        let output = keyboard.try_clone().unwrap();
        let is_closing = Arc::<AtomicBool>::default();
        let closing = is_closing.clone();
        let screen = thread::spawn(move || read_until(&closing, output));
        Self { path, keyboard: Some(keyboard), is_closing, screen }
    }

    /// Opens the side of the terminal that a program gets.
    pub(crate) fn device(&self) -> File {
        OpenOptions::new().read(true).write(true).open(&self.path).unwrap()
    }

    pub(crate) fn press_ctrl_c(&mut self) {
        self.keyboard.as_mut().expect("the terminal is open").write_all(b"\x03").unwrap();
    }

    /// Closes the window, of which the kernel tells the programs with SIGHUP.
    pub(crate) fn close(&mut self) {
        self.is_closing.store(true, Relaxed);
        while !self.screen.is_finished() {
            thread::yield_now();
        }
        self.keyboard = None;
    }

    /// Returns what was written to the terminal, when all programs have closed it.
    pub(crate) fn text(self) -> String {
        String::from_utf8_lossy(&self.screen.join().unwrap()).into_owned()
    }
}

/// Reads until all programs have closed the terminal, or the terminal is closing.
fn read_until(is_closing: &AtomicBool, mut output: File) -> Vec<u8> {
    const TURN: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    while !is_closing.load(Relaxed) {
        let mut ready = [PollFd::new(&output, PollFlags::IN)];
        if poll(&mut ready, Some(&TURN)).unwrap() == 0 {
            continue;
        }
        match output.read(&mut buffer) {
            Ok(bytes @ 1..) => text.extend(&buffer[..bytes]),
            // An error says that no program has the terminal open any more.
            Ok(0) | Err(_) => break,
        }
    }
    text
}

/// Removes escape sequences, which take no columns.
pub(crate) fn without_escapes(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
        } else if characters.next() == Some('[') {
            // A control sequence ends with its first letter.
            characters.by_ref().find(char::is_ascii_alphabetic);
        }
    }
    plain
}

/// Returns the first line of a table or progress bar that is wider than the terminal. Sentences may
/// wrap.
pub(crate) fn line_wider_than(text: &str, columns: u16) -> Option<String> {
    // The terminal echoes Ctrl-C wherever the cursor is.
    let text = without_escapes(text).replace("^C", "");
    let is_wide = |line: &&str| line.chars().count() > usize::from(columns);
    let has_columns = |line: &&str| line.contains("    ");
    text.split(['\n', '\r']).filter(is_wide).find(has_columns).map(str::to_owned)
}
