//! What happens around a command: its terminal, its files, and the signals that it gets.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::terminal::Terminal;

/// Time between two key strokes of a person in a hurry. Less counts as one.
const BETWEEN_KEYS: Duration = Duration::from_millis(200);

/// Files in which a run without a terminal leaves its output.
const OUTPUT: &str = "output";
const ERRORS: &str = "errors";
/// File in which a shell leaves the exit code of a command in a pipeline.
const STATUS: &str = "status";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Situation {
    Terminal80,
    Terminal60,
    NoTerminal,
    NoColor,
    OutputToHead,
    ErrorsToHead,
    OutputClosed,
    ErrorsClosed,
    OutputFull,
    ErrorsFull,
    CtrlC,
    CtrlCTwice,
    Terminate,
    TerminateTwice,
    /// As `timeout` does: to the process, and to its process group.
    TerminateGroup,
    HangUp,
    TerminalCloses,
}
use Situation::*;

impl Situation {
    /// Situations in which a command runs to its end.
    pub(crate) const UNDISTURBED: [Self; 10] = [
        Terminal80,
        Terminal60,
        NoTerminal,
        NoColor,
        OutputToHead,
        ErrorsToHead,
        OutputClosed,
        ErrorsClosed,
        OutputFull,
        ErrorsFull,
    ];

    pub(crate) fn columns(self) -> Option<u16> {
        match self {
            Terminal60 => Some(60),
            Terminal80 | NoColor | CtrlC | CtrlCTwice | HangUp | TerminalCloses => Some(80),
            _ => None,
        }
    }

    /// Returns the shell's script around a command, whose own redirections are `redirected`.
    fn script(self, redirected: &str) -> String {
        let run = format!(r#""$0" "$@" {redirected}"#);
        match self {
            OutputToHead => format!("{{ {run} 2>errors; echo $? >status; }} | head -1 >output"),
            ErrorsToHead => format!("{{ {run} 2>&1 >output; echo $? >status; }} | head -1 >errors"),
            OutputClosed => format!("exec {run} >&- 2>errors"),
            ErrorsClosed => format!("exec {run} >output 2>&-"),
            OutputFull => format!("exec {run} >/dev/full 2>errors"),
            ErrorsFull => format!("exec {run} >output 2>/dev/full"),
            _ if self.columns().is_some() => format!("exec {run}"),
            _ => format!("exec {run} >output 2>errors"),
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code that a shell reports: 128 and the number of the signal that ended the process.
    pub(crate) code: i32,
    pub(crate) output: String,
    /// Standard error, or what the terminal showed.
    pub(crate) errors: String,
    /// Time from the last signal, or from the start, to the end.
    pub(crate) time: Duration,
}

/// A command that runs in a situation.
pub(crate) struct Running {
    situation: Situation,
    child: Child,
    terminal: Option<Terminal>,
    since: Instant,
}

impl Running {
    /// Starts a command in a folder, with redirections of its own.
    pub(crate) fn start(
        command: &Command,
        redirected: &str,
        situation: Situation,
        folder: &Path,
    ) -> Self {
        for file in [OUTPUT, ERRORS, STATUS] {
            let _ = fs::remove_file(folder.join(file));
        }
        let script = situation.script(redirected);
        let terminal = situation.columns().map(Terminal::open);
        // Whoever runs the tests may ignore signals, which programs would inherit.
        let mut shell = Command::new("env");
        shell.arg("--default-signal");
        if terminal.is_some() {
            // The terminal controls the session, so that it sends the signals of its keys.
            shell.args(["setsid", "--ctty"]);
        }
        shell.args(["sh", "-c"]).arg(script).arg(command.get_program()).args(command.get_args());
        shell
            .env_clear()
            .current_dir(folder)
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("PATH", "/usr/bin:/bin").env("TERM", "xterm-256color");
        if situation == NoColor {
            shell.env("NO_COLOR", "1");
        }
        match &terminal {
            Some(terminal) => {
                let device = || Stdio::from(terminal.device());
                shell.stdin(device()).stdout(device()).stderr(device());
            }
            None => {
                shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                shell.process_group(0);
            }
        }
        let child = shell.spawn().unwrap();
        Self { situation, child, terminal, since: now() }
    }

    /// Sends the signals of the situation.
    pub(crate) fn disturb(&mut self) {
        let pid = Pid::from_child(&self.child);
        self.since = now();
        match self.situation {
            CtrlC => self.press_ctrl_c(),
            CtrlCTwice => {
                self.press_ctrl_c();
                thread::sleep(BETWEEN_KEYS);
                self.press_ctrl_c();
            }
            Terminate => kill_process(pid, Signal::TERM).unwrap(),
            TerminateTwice => {
                kill_process(pid, Signal::TERM).unwrap();
                thread::sleep(BETWEEN_KEYS);
                kill_process(pid, Signal::TERM).unwrap();
            }
            TerminateGroup => {
                kill_process(pid, Signal::TERM).unwrap();
                kill_process_group(pid, Signal::TERM).unwrap();
            }
            HangUp => kill_process(pid, Signal::HUP).unwrap(),
            TerminalCloses => self.terminal.as_mut().expect("the situation has one").close(),
            _ => {}
        }
    }

    fn press_ctrl_c(&mut self) {
        self.terminal.as_mut().expect("the situation has a terminal").press_ctrl_c();
    }

    /// Waits for the end, for at most `limit`. A process that lasts longer is killed.
    pub(crate) fn wait(mut self, folder: &Path, limit: Duration) -> Ended {
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if self.since.elapsed() > limit => {
                    kill_process(Pid::from_child(&self.child), Signal::KILL).unwrap();
                    break self.child.wait().unwrap();
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let time = self.since.elapsed();
        let read = |file| fs::read(folder.join(file)).unwrap_or_default();
        let text = |file| String::from_utf8_lossy(&read(file)).into_owned();
        let errors = self.terminal.map_or_else(|| text(ERRORS), Terminal::text);
        let code = text(STATUS).trim().parse().unwrap_or_else(|_| shell_code(status));
        Ended { code, output: text(OUTPUT), errors, time }
    }
}

fn shell_code(status: ExitStatus) -> i32 {
    status.code().or(status.signal().map(|signal| 128 + signal)).expect("the process has ended")
}

#[expect(clippy::disallowed_methods, reason = "the processes run in real time")]
fn now() -> Instant {
    Instant::now()
}
