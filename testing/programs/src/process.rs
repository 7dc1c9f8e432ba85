use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

/// A program that runs until it ends or is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code, `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub output: String,
    /// Standard error.
    pub errors: String,
}

impl Process {
    pub(crate) fn start(mut command: Command, folder: &Path) -> Self {
        let (output, errors) = (folder.join("output"), folder.join("errors"));
        let child = command
            .stdin(Stdio::piped())
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap();
        Self { child, output, errors }
    }

    /// Returns the other end of standard input.
    pub fn take_input(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("it is taken once")
    }

    /// Sends a signal. A program that has ended, and was not waited for, takes it too.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Returns what was written to standard output.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// Returns what was written to standard error.
    #[must_use]
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap()
    }

    /// Waits for the end. A program that lasts too long is killed.
    pub async fn wait(mut self) -> Ended {
        let ended = tokio::time::timeout(crate::LIMIT, async {
            while self.child.try_wait().unwrap().is_none() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        let in_time = ended.await.is_ok();
        let _ = self.child.kill();
        let status = self.child.wait().unwrap();
        let (output, errors) = (self.output(), self.errors());
        assert!(in_time, "the program does not end: {output}{errors}");
        Ended { code: status.code(), output, errors }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
