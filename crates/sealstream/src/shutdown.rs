//! Signals that end the program.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a signal cancels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shutdown {
    /// At the first signal: take nothing more, and send what was taken.
    pub(crate) reading: CancellationToken,
    /// When the time for that is over: send nothing more.
    pub(crate) sending: CancellationToken,
}

impl Shutdown {
    /// Waits for signals in the background. `drain` is the time between the two steps.
    pub(crate) fn on_signals(drain: Duration) -> anyhow::Result<Self> {
        let shutdown = Self::default();
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let tokens = shutdown.clone();
        tokio::spawn(async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupts.recv() => {}
                    _ = terminations.recv() => {}
                }
            };
            next().await;
            eprintln!("stopping: sending what was read, for up to {} s", drain.as_secs());
            tokens.reading.cancel();
            tokio::select! {
                () = next() => std::process::exit(EXIT_CODE_AT_ONCE),
                () = tokio::time::sleep(drain) => tokens.sending.cancel(),
            }
        });
        Ok(shutdown)
    }
}

/// What a shell reports of a program that SIGINT ended.
const EXIT_CODE_AT_ONCE: i32 = 130;
