//! Signals that end a command.
//!
//! The first SIGINT, SIGTERM or SIGHUP starts draining: the command takes no more input and finishes
//! what it has taken. When the time for that has passed, it stops. A second SIGINT or SIGTERM ends the
//! process at once. A signal that was ignored when the process started, as `nohup` does with SIGHUP,
//! stays ignored.

use std::fs;
use std::io;
use std::process;
use std::task::Poll;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::exit_code::ExitCode;

/// A signal repeated within this time counts once: `timeout` sends it to the process and to its group.
const REPEATED: Duration = Duration::from_millis(100);

/// How far the end of a command has come. Clones share their state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    /// Cancelled by the first signal: take no more input, finish what was taken.
    pub(crate) draining: CancellationToken,
    /// Cancelled when the time for draining has passed: give up what is not finished.
    pub(crate) stopping: CancellationToken,
}

/// A signal that ends a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT, which Ctrl-C sends.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP: the terminal was closed.
    HangUp,
}

impl Signal {
    /// Returns the exit code of a process that this signal ended at once. SIGHUP never does that:
    /// shell and kernel may both send it when a terminal is closed.
    fn exit_code(self) -> Option<ExitCode> {
        match self {
            Self::Interrupt => Some(ExitCode::Interrupted),
            Self::Terminate => Some(ExitCode::Terminated),
            Self::HangUp => None,
        }
    }
}

impl Shutdown {
    /// Handles the process's signals from now on. `drain` is the time between draining and stopping.
    ///
    /// # Errors
    /// The signal handlers could not be installed.
    pub(crate) fn on_signals(drain: Duration) -> io::Result<Self> {
        // A handler would end the ignoring, so this comes first.
        let ignored = IgnoredSignals::of_process();
        let mut signals = Vec::new();
        for (kind, meaning) in [
            (SignalKind::interrupt(), Signal::Interrupt),
            (SignalKind::terminate(), Signal::Terminate),
            (SignalKind::hangup(), Signal::HangUp),
        ] {
            if !ignored.contain(kind) {
                signals.push(listen(kind, meaning)?);
            }
        }
        let signals = stream::select_all(signals);
        let shutdown = Self::default();
        let exit = |code: ExitCode| process::exit(u8::from(code).into());
        tokio::spawn(shutdown.clone().follow(signals, drain, exit));
        Ok(shutdown)
    }

    /// Drains at the first of `signals`, stops after `drain`, and calls `exit` at the second signal.
    /// Ends when `signals` end.
    pub(crate) async fn follow(
        self,
        mut signals: impl Stream<Item = Signal> + Unpin,
        drain: Duration,
        exit: impl Fn(ExitCode),
    ) {
        let Some(first) = signals.next().await else { return };
        let received = Instant::now();
        self.draining.cancel();
        let drained = sleep(drain);
        tokio::pin!(drained);
        loop {
            tokio::select! {
                () = &mut drained, if !self.stopping.is_cancelled() => self.stopping.cancel(),
                signal = signals.next() => {
                    let Some(signal) = signal else { return };
                    let is_repeated = signal == first && received.elapsed() < REPEATED;
                    if let Some(code) = signal.exit_code().filter(|_| !is_repeated) {
                        exit(code);
                    }
                }
            }
        }
    }
}

/// Signals that a process ignores, one bit each, the lowest for signal 1.
#[derive(Debug, Clone, Copy)]
struct IgnoredSignals(u64);

impl IgnoredSignals {
    /// Reads them from the kernel. Only Linux has such a file; elsewhere none count as ignored.
    fn of_process() -> Self {
        Self::parse(&fs::read_to_string("/proc/self/status").unwrap_or_default())
    }

    fn parse(status: &str) -> Self {
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        Self(mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default())
    }

    fn contain(self, kind: SignalKind) -> bool {
        let bit = u32::try_from(kind.as_raw_value() - 1).ok();
        bit.and_then(|bit| self.0.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
    }
}

fn listen(
    kind: SignalKind,
    meaning: Signal,
) -> io::Result<impl Stream<Item = Signal> + Unpin + Send> {
    let mut received = signal(kind)?;
    Ok(stream::poll_fn(move |context| match received.poll_recv(context) {
        Poll::Ready(received) => Poll::Ready(received.map(|()| meaning)),
        Poll::Pending => Poll::Pending,
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use Signal::{HangUp, Interrupt, Terminate};

    const DRAIN: Duration = Duration::from_secs(10);

    /// Sends signals, each after a pause in milliseconds. Returns the phase after each of them, with the
    /// exit code that it caused.
    async fn phases(signals: &[(u64, Signal)]) -> Vec<(bool, bool, Option<ExitCode>)> {
        let shutdown = Shutdown::default();
        let (sender, mut receiver) = unbounded_channel();
        let (exit, exited) = mpsc::channel();
        let received = stream::poll_fn(move |context| receiver.poll_recv(context));
        let exit = move |code| exit.send(code).unwrap();
        tokio::spawn(shutdown.clone().follow(received, DRAIN, exit));
        let mut phases = Vec::new();
        for &(pause, signal) in signals {
            sleep(Duration::from_millis(pause)).await;
            sender.send(signal).unwrap();
            // The paused clock moves when all tasks wait, so that the signal is handled.
            sleep(Duration::from_millis(1)).await;
            let Shutdown { draining, stopping } = &shutdown;
            let exit_code = exited.try_recv().ok();
            phases.push((draining.is_cancelled(), stopping.is_cancelled(), exit_code));
        }
        phases
    }

    #[test]
    fn ignored_signals_are_read_from_the_status_of_a_process() {
        let all = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate()];
        for (status, expected) in [
            (
                "Name:\tsealstream\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000000001\n",
                [true, false, false],
            ),
            ("SigIgn:\t0000000000000002\n", [false, true, false]),
            ("SigIgn:\t0000000000005001\n", [true, false, true]),
            ("SigIgn:\t0000000000001000\n", [false; 3]),
            ("SigIgn:\tunknown\n", [false; 3]),
            ("", [false; 3]),
        ] {
            let ignored = IgnoredSignals::parse(status);
            assert_eq!(all.map(|kind| ignored.contain(kind)), expected, "{status}");
        }
    }

    const DRAINING: (bool, bool, Option<ExitCode>) = (true, false, None);
    const STOPPING: (bool, bool, Option<ExitCode>) = (true, true, None);

    #[tokio::test(start_paused = true)]
    async fn the_first_signal_drains_and_the_second_exits() {
        for (second, code) in
            [(Interrupt, ExitCode::Interrupted), (Terminate, ExitCode::Terminated)]
        {
            for first in [Interrupt, Terminate, HangUp] {
                let late = phases(&[(0, first), (200, second)]).await;
                assert_eq!(late, [DRAINING, (true, false, Some(code))]);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_signal_that_is_repeated_at_once_counts_once() {
        for signal in [Interrupt, Terminate] {
            let repeated = phases(&[(0, signal), (0, signal), (50, signal), (200, signal)]).await;
            assert_eq!(repeated[..3], [DRAINING, DRAINING, DRAINING]);
            assert_eq!(repeated[3].2, signal.exit_code());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_terminal_that_closes_only_drains() {
        let phases = phases(&[(0, HangUp), (200, HangUp), (10_000, HangUp)]).await;
        assert_eq!(phases, [DRAINING, DRAINING, STOPPING]);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_ends_in_stopping_which_a_signal_ends() {
        let phases = phases(&[(0, Terminate), (10_000, HangUp), (60_000, Terminate)]).await;
        assert_eq!(phases, [DRAINING, STOPPING, (true, true, Some(ExitCode::Terminated))]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_time_of_zero_stops_at_once_and_an_endless_one_never() {
        for (drain, stops) in [(Duration::ZERO, true), (Duration::MAX, false)] {
            let shutdown = Shutdown::default();
            let signals = stream::iter([Interrupt]).chain(stream::pending());
            tokio::spawn(shutdown.clone().follow(signals, drain, |_| ()));
            sleep(Duration::from_secs(3600)).await;
            assert!(shutdown.draining.is_cancelled());
            assert_eq!(shutdown.stopping.is_cancelled(), stops);
        }
    }
}
